//! The cache of the testbed does not grow without limit.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use testbed::Cache;
use testbed::cache::Recipe;

/// Builds an entry, or finds it.
fn entry(cache: &Cache, name: &str, version: &str) -> PathBuf {
    let recipe = Recipe {
        name,
        script: "echo \"$VERSION\" >>\"$OUT/version\"",
        variables: &[("VERSION", version)],
        ..Recipe::default()
    };
    let entry = cache.entry(&recipe).unwrap();
    let built = fs::read_to_string(entry.join("version")).unwrap();
    assert_eq!(built, format!("{version}\n"));
    entry
}

fn was_used_days_ago(entry: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(24 * 60 * 60 * days);
    File::open(entry).unwrap().set_modified(then).unwrap();
}

#[test]
fn a_build_removes_what_an_earlier_recipe_built_and_nothing_has_used_for_a_day() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::at(directory.path()).unwrap();
    let (unused, used, other) = (
        entry(&cache, "image", "1"),
        entry(&cache, "image", "2"),
        entry(&cache, "image-of-a-node", "1"),
    );
    for built in [&unused, &used, &other] {
        was_used_days_ago(built, 2);
    }
    let foreign = cache.directory().join("image-of-a-user");
    fs::create_dir(&foreign).unwrap();
    was_used_days_ago(&foreign, 2);
    let interrupted = cache.directory().join("image-0123456789abcdef.removed");
    fs::create_dir(&interrupted).unwrap();

    assert_eq!(entry(&cache, "image", "2"), used);
    assert!(unused.exists(), "only a build removes");
    let latest = entry(&cache, "image", "3");

    for kept in [&used, &other, &foreign, &latest] {
        assert!(kept.exists(), "{}", kept.display());
    }
    for removed in [&unused, &unused.with_extension("log"), &interrupted] {
        assert!(!removed.exists(), "{}", removed.display());
    }
}
