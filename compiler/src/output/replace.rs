//! How new files take the place of an earlier output's, in a directory that may hold anything else.
//!
//! All new files are written into a staging directory inside the output, and are on the disk before the
//! commit is written, which lists what is to be done. Then each file is moved to its place. A run that
//! is killed before the commit has changed nothing; after it, the next run finishes what is listed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Component, Path};

use anyhow::{Context, Result, ensure};
use nix::unistd::syncfs;
use serde::{Deserialize, Serialize};

use super::files::{LOCK, SECRETS, digest, private_directory, write_private};
use super::staging::{self, Staging};

/// The new files in a staging directory.
const FRESH: &str = "fresh";

/// The commit in a staging directory.
const COMMIT: &str = "commit.json";

/// What is to be done to an output; names are relative to it.
#[derive(Serialize, Deserialize)]
struct Commit {
    /// Files to move to their place, in this order.
    fresh: Vec<String>,
    /// Files to remove, and the digest of what nkd has written there.
    stale: BTreeMap<String, String>,
}

/// Puts new files into an output, and removes stale ones that are still as nkd has written them.
pub fn replace(
    out: &Path,
    mut fresh: Vec<(String, &str)>,
    stale: BTreeMap<String, String>,
) -> Result<()> {
    fresh.retain(|(name, text)| !fs::read(out.join(name)).is_ok_and(|old| old == text.as_bytes()));
    if fresh.is_empty() && stale.is_empty() {
        return Ok(());
    }
    // Without its secrets an output is worth nothing, and the lock file says that it is whole.
    fresh.sort_by_key(|(name, _)| (name != SECRETS, name == LOCK));
    let mut staging = Staging::new_in(out)?;
    write_all(&staging.path().join(FRESH), &fresh)?;
    let commit = Commit {
        fresh: fresh.into_iter().map(|(name, _)| name).collect(),
        stale,
    };
    write_commit(staging.path(), &commit).context("cannot write the commit")?;
    staging.keep();
    finish(staging.path(), out, &commit)?;
    staging
        .close()
        .context("cannot remove the staging directory")
}

/// Writes files below a new directory, and waits until they are on the disk.
pub fn write_all(directory: &Path, files: &[(String, &str)]) -> Result<()> {
    private_directory(directory)?;
    for (name, content) in files {
        let path = directory.join(name);
        let parent = path.parent().unwrap_or(directory);
        if !parent.exists() {
            private_directory(parent)?;
        }
        write_private(&path, content.as_bytes()).with_context(|| format!("cannot write {name}"))?;
    }
    // One call for all files: one each is what a thousand nodes would wait for.
    let on_disk = File::open(directory).map(syncfs).context("cannot write")?;
    on_disk.context("cannot write")
}

/// Finishes what killed runs had committed in an output, and removes what they left there.
pub fn recover(out: &Path) -> Result<()> {
    for left in staging::abandoned(out) {
        if let Some(commit) = read_commit(&left.path)? {
            finish(&left.path, out, &commit).with_context(|| {
                format!("cannot finish the interrupted output in {}", out.display())
            })?;
        }
        let _ = fs::remove_dir_all(&left.path);
    }
    Ok(())
}

/// Removes what killed runs left in the directory where a new output is made. What can't be removed is
/// left for the next run: nobody else can read it.
pub fn clean(parent: &Path) {
    let left = staging::abandoned(parent);
    for left in left.iter().filter(|left| !left.path.join(COMMIT).exists()) {
        let _ = fs::remove_dir_all(&left.path);
    }
}

fn write_commit(staging: &Path, commit: &Commit) -> Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(staging)?;
    file.write_all(&serde_json::to_vec(commit)?)?;
    file.as_file().sync_all()?;
    file.persist(staging.join(COMMIT))?;
    Ok(File::open(staging)?.sync_all()?)
}

fn read_commit(staging: &Path) -> Result<Option<Commit>> {
    match fs::read(staging.join(COMMIT)) {
        Ok(bytes) => {
            let commit: Commit = serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged", staging.join(COMMIT).display()))?;
            let mut names = commit.fresh.iter().chain(commit.stale.keys());
            ensure!(
                names.all(|name| stays_inside(name)),
                "a path leads out of the output directory"
            );
            Ok(Some(commit))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", staging.display())),
    }
}

/// Does what a commit lists, as far as it isn't done yet.
fn finish(staging: &Path, out: &Path, commit: &Commit) -> Result<()> {
    let mut directories = vec![out.to_owned()];
    for name in &commit.fresh {
        let target = out.join(name);
        let parent = target.parent().unwrap_or(out);
        if !directories.iter().any(|known| known == parent) {
            if !parent.exists() {
                private_directory(parent)?;
            }
            directories.push(parent.to_owned());
        }
        let source = staging.join(FRESH).join(name);
        // What is missing here has been moved before a run was killed.
        if source.exists() {
            fs::rename(source, &target)
                .with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    for directory in &directories {
        sync(directory)?;
    }
    for (name, digest) in &commit.stale {
        remove_stale(out, name, digest);
    }
    sync(out)
}

/// Removes a file that is as nkd has written it, and then its directory if nothing else is there.
fn remove_stale(out: &Path, name: &str, written: &str) {
    let path = out.join(name);
    let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    let unchanged = fs::read_to_string(&path).is_ok_and(|text| digest(&text) == written);
    if !is_file || !unchanged || fs::remove_file(&path).is_err() {
        return;
    }
    if let Some(parent) = path.parent().filter(|parent| *parent != out) {
        let _ = fs::remove_dir(parent);
    }
}

/// Whether a name is that of a file below the output.
pub fn stays_inside(name: &str) -> bool {
    let mut components = Path::new(name).components();
    !name.is_empty() && components.all(|component| matches!(component, Component::Normal(_)))
}

/// Waits until a directory's entries are on the disk.
pub fn sync(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .with_context(|| format!("cannot write {}", directory.display()))
}
