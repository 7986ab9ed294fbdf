//! Large inputs need little memory.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fmt::Write as _;
use std::fs;

use common::{demo, nkd};
use nix::sys::resource::{UsageWho, getrusage};

#[test]
fn a_manifest_of_megabytes_is_not_kept_as_a_tree() {
    let mut manifest =
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec:\n".to_owned();
    let lines = 50_000;
    for line in 0..lines {
        writeln!(
            manifest,
            "  field{line}: {{type: string, description: a text of this field}}"
        )
        .unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("crd.yaml"), &manifest).unwrap();
    let text = fs::read_to_string(demo()).unwrap();
    let text = text.replace("  nodes:", "  network: {manifests: [crd.yaml]}\n  nodes:");
    fs::write(directory.path().join("cluster.yaml"), text).unwrap();
    let run = nkd(directory.path(), &["images", "cluster.yaml"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let kilobytes = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    // The text is there twice, and each key once while its mapping is read.
    let megabytes = usize::try_from(kilobytes).unwrap() / 1024;
    let limit = 24 + 3 * manifest.len() / (1 << 20);
    assert!(
        megabytes < limit,
        "{megabytes} MiB, but the limit is {limit} MiB"
    );
}
