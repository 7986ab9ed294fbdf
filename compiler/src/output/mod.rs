//! The output directory: whole or not at all.

mod read;
mod staging;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::syncfs;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::carrier::Target;
use crate::compile::Compiled;
use crate::diagnostics::{Code, Diagnostics};
use staging::Staging;

pub use read::{Lock, read_lock, read_node, read_nodes};

/// Says what was compiled from what; marks a directory as nkd's.
const LOCK: &str = "cluster.lock";
/// The cluster's secrets.
const SECRETS: &str = "secrets.json";
/// The administrator's kubeconfig.
const KUBECONFIG: &str = "kubeconfig";
/// The nodes' Ignition files.
const NODES: &str = "nodes";

/// Looks at what is where the output shall go: nothing, an empty directory, or an earlier output,
/// whose secrets file is then the one to use. Anything else is reported and stays.
pub fn check(out: &Path, to: &mut Diagnostics) -> Option<PathBuf> {
    let entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            let message = format!("{} can't be replaced: {error}", out.display());
            to.report_nowhere(Code::ForeignOutput, message);
            return None;
        }
    };
    let names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    if names.is_empty() {
        return None;
    }
    let foreign = names.iter().find(|name| !is_ours(name));
    let problem = match foreign {
        Some(name) => format!("it holds `{name}`"),
        None if !names.iter().any(|name| name == LOCK) => format!("it has no `{LOCK}`"),
        None => return Some(out.join(SECRETS)),
    };
    let message = format!("{} is not an output of nkd: {problem}", out.display());
    to.report_nowhere(Code::ForeignOutput, message);
    None
}

fn is_ours(name: &str) -> bool {
    [LOCK, SECRETS, KUBECONFIG, NODES].contains(&name)
        || Target::ALL.iter().any(|target| target.name() == name)
}

/// Further files by their path in the output, such as carriers'.
pub type More = Vec<(String, String)>;

/// Writes everything, at once as far as anyone can see.
pub fn write(out: &Path, compiled: &Compiled, more: More) -> Result<()> {
    let (parent, target) = place(out)?;
    let staging = Staging::new_in(&parent)?;
    let fresh = staging.path().join("out");
    private_directory(&fresh)?;
    for (name, content) in files(compiled, more)? {
        let path = fresh.join(&name);
        let directory = path.parent().unwrap_or(&fresh);
        if !directory.exists() {
            private_directory(directory)?;
        }
        write_private(&path, content.as_bytes()).with_context(|| format!("can't write {name}"))?;
    }
    // One call for all files: one each is what a thousand nodes would wait for.
    let on_disk = File::open(&fresh).map(syncfs).context("can't write")?;
    on_disk.context("can't write")?;
    put(&fresh, &target)
        .with_context(|| format!("can't put the output at {}", target.display()))?;
    sync(&parent)?;
    staging.close().context("can't remove the earlier output")
}

/// Moves the output to its place. An earlier one comes to be where it was, and goes with that.
fn put(fresh: &Path, target: &Path) -> Result<()> {
    if target.exists() {
        // An exchange leaves no moment without an output and its secrets.
        let done = renameat2(
            AT_FDCWD,
            fresh,
            AT_FDCWD,
            target,
            RenameFlags::RENAME_EXCHANGE,
        );
        return match done {
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => bail!(
                "its file system can't exchange directories: give another with `-o`, and this \
                 one's secrets with `--secrets`"
            ),
            done => Ok(done?),
        };
    }
    let done = renameat2(
        AT_FDCWD,
        fresh,
        AT_FDCWD,
        target,
        RenameFlags::RENAME_NOREPLACE,
    );
    match done {
        // A plain rename replaces nothing but an empty directory.
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => Ok(fs::rename(fresh, target)?),
        done => Ok(done?),
    }
}

/// The directory the output is in, and its own path with links followed.
fn place(out: &Path) -> Result<(PathBuf, PathBuf)> {
    let target = if out.exists() {
        out.canonicalize()?
    } else {
        out.to_owned()
    };
    let parent = match target.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    fs::create_dir_all(&parent).with_context(|| format!("can't make {}", parent.display()))?;
    Ok((parent, target))
}

/// All files by their name in the output.
fn files(compiled: &Compiled, more: More) -> Result<Vec<(String, String)>> {
    let wanted = compiled.nodes.iter().filter(|node| node.wanted);
    let mut files: Vec<_> = wanted
        .map(|node| (format!("{NODES}/{}.ign", node.name), node.ignition.clone()))
        .collect();
    files.extend(more);
    files.push((KUBECONFIG.to_owned(), compiled.kubeconfig.clone()));
    files.push((SECRETS.to_owned(), compiled.secrets.to_json()?));
    let lock = lock(compiled, &files)?;
    files.push((LOCK.to_owned(), lock));
    Ok(files)
}

fn lock(compiled: &Compiled, outputs: &[(String, String)]) -> Result<String> {
    let digests = |files: &[(String, String)]| -> serde_json::Map<_, _> {
        files
            .iter()
            .map(|(name, text)| (name.clone(), json!(digest(text))))
            .collect()
    };
    let nodes = compiled.nodes.iter();
    let configs: serde_json::Map<_, _> = nodes
        .filter(|node| !node.places.is_empty())
        .map(|node| (node.name.clone(), json!(node.places)))
        .collect();
    let lock = json!({
        "nkd": env!("CARGO_PKG_VERSION"),
        "cluster": compiled.cluster.name,
        "kubernetesVersion": compiled.cluster.version.to_string(),
        "images": compiled.closure.all(),
        "clusterFile": compiled.inputs.first().map(|(name, _)| name),
        "keys": compiled.keys,
        "nodeConfigs": configs,
        "inputs": digests(&compiled.inputs),
        "outputs": digests(outputs),
    });
    Ok(serde_json::to_string_pretty(&lock)? + "\n")
}

fn digest(text: &str) -> String {
    format!(
        "sha256:{}",
        base16ct::lower::encode_string(&Sha256::digest(text.as_bytes()))
    )
}

fn private_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .with_context(|| format!("can't make {}", path.display()))
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}

fn sync(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|it| it.sync_all())
        .with_context(|| format!("can't write {}", directory.display()))
}
