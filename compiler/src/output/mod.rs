//! The output directory: a new one appears whole or not at all, and in an earlier one nkd changes only
//! what it has written there. The lock file lists that.

mod files;
mod held;
mod lock;
mod read;
mod replace;
mod staging;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, RenameFlags, rename, renameat_with};
use rustix::io::Errno;

use crate::compiled::Compiled;
use crate::failure::Failure;
use files::{KUBECONFIG, LOCK, NODES, SECRETS};
use nkd_document::{Code, Diagnostics};
use staging::Staging;

pub(crate) use files::digest;
pub use held::Held;
pub(crate) use lock::Lock;
pub(crate) use read::{read_lock, read_node, read_nodes};

/// What the root directory of a file system may have before anybody writes to it (mke2fs).
const LOST_AND_FOUND: &str = "lost+found";

/// Looks at what is where the output shall go: nothing, an empty directory, or an earlier output,
/// whose secrets file is then the one to use. Anything else is reported and stays.
pub(crate) fn check(out: &Path, to: &mut Diagnostics) -> Option<PathBuf> {
    let entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            let message = format!("cannot replace `{}`: {error}", out.display());
            to.report_nowhere(Code::ForeignOutput, message);
            return None;
        }
    };
    let names =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names
        .filter(|name| name != LOST_AND_FOUND && !staging::is_named_so(name))
        .collect();
    if names.iter().any(|name| name == LOCK) {
        return read::parse_lock(out, to).ok().map(|_| out.join(SECRETS));
    }
    if let Some(name) = names.first() {
        let message = format!(
            "`{}` is not an output of nkd: it contains `{name}` but no `{LOCK}`",
            out.display()
        );
        to.report_nowhere(Code::ForeignOutput, message);
    }
    None
}

/// Whether a directory has a lock file.
pub(crate) fn is_output(directory: &Path) -> bool {
    directory.join(LOCK).is_file()
}

/// Files by their path in the output, and their text.
pub type Files<'a> = Vec<(String, &'a str)>;

/// What became of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The output was written.
    Done,
    /// Another run has made an output there in the meantime. Its secrets are to be used, so everything
    /// has to be compiled again.
    Overtaken,
}

/// Writes an output. A new one appears as a whole. In an earlier one, files of nodes that were not asked
/// for stay, and so does everything that nkd has not written.
///
/// # Errors
/// When something that nkd has not written is in the way, or the files can't be written. Then nothing
/// was written, unless a commit was: the next run finishes that.
pub fn write(
    held: &Held,
    compiled: &Compiled,
    more: Files<'_>,
    to: &mut Diagnostics,
) -> Result<Written, Failure> {
    let secrets = compiled.secrets.to_json()?;
    let mut fresh = compiled_files(compiled, &secrets, more);
    let Some(out) = held.directory() else {
        let lock = lock::text(compiled, &fresh, &BTreeMap::new())?;
        fresh.push((LOCK.to_owned(), &lock));
        return Ok(create(held.path(), &fresh)?);
    };
    let earlier = if is_output(out) {
        read::parse_lock(out, to)?.outputs
    } else {
        BTreeMap::new()
    };
    let names: BTreeSet<&str> = fresh.iter().map(|(name, _)| name.as_str()).collect();
    let (stale, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = earlier
        .clone()
        .into_iter()
        .filter(|(name, _)| !names.contains(name.as_str()) && replace::stays_inside(name))
        .partition(|(name, _)| is_stale(name, compiled));
    let lock = lock::text(compiled, &fresh, &kept)?;
    fresh.push((LOCK.to_owned(), &lock));
    for name in foreign(out, &fresh, &earlier)? {
        let message = format!(
            "`{}` contains `{name}`, which nkd would replace but did not write",
            out.display()
        );
        let way_out = "move it to another directory, or set another output directory with `-o`";
        to.report_with_help_nowhere(Code::ForeignOutput, message, way_out);
    }
    to.as_result()?;
    replace::replace(out, fresh, stale)?;
    Ok(Written::Done)
}

/// Makes an output where there is nothing yet.
fn create(target: &Path, files: &[(String, &str)]) -> Result<Written> {
    let parent = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    replace::clean(parent);
    let staging = Staging::new_in(parent)?;
    let fresh = staging.path().join("out");
    replace::write_all(&fresh, files)?;
    if !put(&fresh, target)
        .with_context(|| format!("cannot move the output to {}", target.display()))?
    {
        ensure!(
            target.exists(),
            "{} is a broken symbolic link",
            target.display()
        );
        return Ok(Written::Overtaken);
    }
    replace::sync(parent)?;
    staging
        .close()
        .context("cannot remove the staging directory")?;
    Ok(Written::Done)
}

/// Moves a new output to its place. False if somebody else's is there.
fn put(fresh: &Path, target: &Path) -> Result<bool> {
    // nix has renameat2 only for glibc, and nkd is also built for musl.
    let done = match renameat_with(CWD, fresh, CWD, target, RenameFlags::NOREPLACE) {
        // A plain rename replaces nothing but an empty directory.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rename(fresh, target),
        done => done,
    };
    match done {
        Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
        done => Ok(done.map(|()| true)?),
    }
}

/// Whether a file of an earlier output is of no use any more: all that weren't compiled, or only those
/// of the nodes that were asked for.
fn is_stale(name: &str, compiled: &Compiled) -> bool {
    let mut wanted = compiled.nodes.iter().filter(|node| node.wanted);
    if wanted.clone().count() == compiled.nodes.len() {
        return true;
    }
    let path = Path::new(name);
    let of_a_node = path
        .extension()
        .is_some_and(|extension| extension == "ign" || extension == "ipxe");
    of_a_node
        && wanted.any(|node| {
            path.file_stem()
                .is_some_and(|stem| stem == node.name.as_str())
        })
}

/// What is where files shall go, and was not written by nkd.
fn foreign(
    out: &Path,
    fresh: &[(String, &str)],
    earlier: &BTreeMap<String, String>,
) -> Result<BTreeSet<String>> {
    let device = fs::metadata(out)?.dev();
    let mut found = BTreeSet::new();
    for (name, text) in fresh {
        if let Some((directory, _)) = name.split_once('/')
            && let Ok(metadata) = fs::metadata(out.join(directory))
        {
            if !metadata.is_dir() {
                found.insert(directory.to_owned());
                continue;
            }
            ensure!(
                metadata.dev() == device,
                "{} and {} are on different file systems, so the files cannot be replaced atomically",
                out.join(directory).display(),
                out.display()
            );
        }
        let path = out.join(name);
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let is_nkds = name == LOCK || earlier.contains_key(name);
        let is_same = || fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes());
        if metadata.is_dir() || !is_nkds && !is_same() {
            found.insert(name.clone());
        }
    }
    Ok(found)
}

/// All files but the lock file.
fn compiled_files<'a>(compiled: &'a Compiled, secrets: &'a str, more: Files<'a>) -> Files<'a> {
    let wanted = compiled.nodes.iter().filter(|node| node.wanted);
    let mut files: Files<'a> = wanted
        .map(|node| (format!("{NODES}/{}.ign", node.name), &*node.ignition))
        .collect();
    files.extend(more);
    files.push((KUBECONFIG.to_owned(), &compiled.kubeconfig));
    files.push((SECRETS.to_owned(), secrets));
    files
}
