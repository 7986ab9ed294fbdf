//! Syncs the files that kubeadm, kubelet and the runtime have written.
//!
//! kubeadm, kubelet and the container runtimes leave most of their files to the kernel, which writes
//! them within half a minute. After a power cut before that, such a file exists but is empty
//! (containerd issue 5854). So the agent syncs whole file systems before it records such work as
//! done.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use anyhow::Context as _;
use nix::unistd::syncfs;
use nkd_contract::Runtime;

use super::{Root, attended};

/// Directories to which Kubernetes writes. Each may be a file system of its own.
const DIRECTORIES: [&str; 5] = [
    "/etc",
    "/var",
    "/var/lib/nkd",
    "/var/lib/kubelet",
    "/var/lib/etcd",
];

/// Syncs the node's file systems. All earlier writes are on the disk when this returns. The watchdog is
/// notified meanwhile.
///
/// # Errors
/// A file system cannot be opened or synced. The error names the directory of the first one.
pub(crate) fn sync(root: &Root, runtime: Runtime) -> anyhow::Result<()> {
    let mut synced = HashSet::new();
    for directory in DIRECTORIES.into_iter().chain([runtime.store()]) {
        let file = match File::open(root.path(directory)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context(directory),
        };
        if synced.insert(file.metadata().context(directory)?.dev()) {
            attended(|| syncfs(&file)).context(directory)?;
        }
    }
    Ok(())
}
