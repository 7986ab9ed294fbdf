//! Writes large blobs directly into containerd's content store, a directory with one file for each blob,
//! whose name is the digest.
//!
//! An imported blob is sent through `ctr`, gRPC and containerd, and each of them copies and hashes it. If
//! the store already has a file with the blob's digest, containerd adds the blob to the namespace without
//! receiving its bytes (containerd, `content_sharing_policy = "shared"`, the default). With any other
//! policy, or if the file has been removed meanwhile, `ctr` sends the bytes, so the result is the same.
//!
//! A power cut or a crash must not leave an incomplete blob under its digest, because containerd would
//! not check the blob. So the agent writes to a file without a name, verifies and syncs the file, and
//! only then gives it its name.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use anyhow::anyhow;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::linkat;
use nkd_bundle::{Blob, Digest};

use super::super::{LOAD, RuntimeError};
use super::ctr;
use crate::system::{Input, Root, Running, attended};

/// The size in bytes from which on the agent writes a blob itself. Each such blob requires a run of
/// `ctr`, which takes longer than sending a smaller blob.
const LARGE: u64 = 1 << 20;
/// The number of bytes after which the file is synced, so that the last sync of a large blob is short.
const SYNC: u64 = 32 << 20;
/// The label that protects a blob, and the blobs to which its labels refer, from containerd's garbage
/// collector (containerd, docs/garbage-collection.md, "Garbage Collection Labels").
const GC_ROOT: &str = "containerd.io/gc.root=nkd";
const GC_ROOT_FILTER: &str = r#"labels."containerd.io/gc.root"==nkd"#;
const GC_REFERENCE: &str = "containerd.io/gc.ref.content";

/// The content store of a running containerd. As long as this value exists, containerd keeps the blobs
/// for which it was created, although no image refers to them yet.
#[derive(Debug)]
pub(crate) struct ContentStore {
    machine: Root,
    directory: PathBuf,
    /// The blob whose labels refer to all others.
    root: Digest,
    coming: Option<Coming>,
    ingesting: Vec<(Digest, Running)>,
}

/// A file with a blob that has no name yet. It is deleted when this value is dropped.
#[derive(Debug)]
struct Coming {
    file: File,
    unsynced: u64,
}

impl ContentStore {
    /// The store for the large blobs among these. `None` if there are no large blobs, or if the store is
    /// not a directory in which this process can write.
    pub(super) fn open(machine: &Root, blobs: &[Blob]) -> Option<Self> {
        let mut seen = HashSet::new();
        let mut is_new = |blob: &&Blob| Self::takes(blob) && seen.insert(blob.digest);
        let large: Vec<_> = blobs.iter().filter(|blob| is_new(blob)).collect();
        if large.is_empty() {
            return None;
        }
        let opened = directory(machine).and_then(|directory| {
            let list: Vec<_> = large.iter().map(|blob| blob.digest.to_string()).collect();
            let list = list.join("\n");
            let store = Self {
                machine: machine.clone(),
                directory,
                root: Digest::of(list.as_bytes()),
                coming: None,
                ingesting: Vec::new(),
            };
            store
                .keep(&list, &large)
                .or_else(|_| store.keep(&list, &large))?;
            store.create()?;
            Ok(store)
        });
        let why = |error: &RuntimeError| {
            log::info!("sending large layers to containerd instead of writing them: {error}");
        };
        opened.inspect_err(why).ok()
    }

    /// Creates the root for the garbage collector. containerd then also creates the directory, if this is
    /// its first blob. The garbage collector may remove the root before it has its label, which can
    /// happen right after containerd's start. So the agent tries again after a failure.
    fn keep(&self, list: &str, blobs: &[&Blob]) -> Result<(), RuntimeError> {
        let root = Blob {
            digest: self.root,
            size: list.len() as u64,
        };
        let file = in_memory(list).map_err(|error| RuntimeError::Internal(error.into()))?;
        let mut ingest = self.ingest(file, root)?;
        ingest.wait()?;
        let references = blobs.iter().enumerate();
        let references =
            references.map(|(number, blob)| format!("{GC_REFERENCE}.{number}={}", blob.digest));
        let label = ctr(&self.machine).args(["content", "label"]);
        let label = label.args([root.digest.to_string(), GC_ROOT.to_owned()]);
        let labelled = label
            .args(references)
            .each_line(|line| log::debug!("{line}"));
        Ok(labelled?)
    }

    /// Whether a blob belongs into the store.
    pub(crate) fn takes(blob: &Blob) -> bool {
        blob.size >= LARGE
    }

    /// Begins a blob.
    pub(crate) fn begin(&mut self) -> Result<(), RuntimeError> {
        let file = self.create()?;
        self.coming = Some(Coming { file, unsynced: 0 });
        Ok(())
    }

    /// Creates a file without a name.
    fn create(&self) -> Result<File, RuntimeError> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_TMPFILE.bits())
            .open(&self.directory)
            .map_err(|error| self.failed(error))
    }

    /// Adds bytes to the blob.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), RuntimeError> {
        let Some(coming) = &mut self.coming else {
            return Ok(());
        };
        let written = coming.write(bytes);
        written.map_err(|error| self.failed(error))
    }

    /// Ends the blob, which is complete and has the right digest.
    pub(crate) fn end(&mut self, blob: Blob) -> Result<(), RuntimeError> {
        let coming = self.coming.take();
        let coming =
            coming.ok_or_else(|| RuntimeError::Internal(anyhow!("no blob is expected")))?;
        let file = self.name(coming.file, blob);
        let file = file.map_err(|error| self.failed(error))?;
        let running = self.ingest(file, blob)?;
        self.ingesting.push((blob.digest, running));
        Ok(())
    }

    /// The blobs that containerd has registered since the last call.
    pub(crate) fn poll(&mut self) -> Result<Vec<Digest>, RuntimeError> {
        let mut there = Vec::new();
        for (digest, running) in &mut self.ingesting {
            if running.poll()?.is_some() {
                there.push(*digest);
            }
        }
        self.ingesting.retain(|(digest, _)| !there.contains(digest));
        Ok(there)
    }

    /// Makes containerd register a blob.
    fn ingest(&self, file: File, blob: Blob) -> Result<Running, RuntimeError> {
        let digest = blob.digest.to_string();
        let ingest = ctr(&self.machine).args(["content", "ingest"]);
        let running = ingest
            .args(["--expected-digest", &digest])
            .args(["--expected-size", &blob.size.to_string()])
            .args([format!("nkd-{}", blob.digest.hex())])
            .timeout(LOAD)
            .start(Input::File(file))?;
        Ok(running)
    }

    /// Gives a file its name after its bytes are on the disk, as containerd does.
    fn name(&self, mut file: File, blob: Blob) -> io::Result<File> {
        file.set_permissions(Permissions::from_mode(0o444))?;
        attended(|| file.sync_all())?;
        file.rewind()?;
        let from = format!("/proc/self/fd/{}", file.as_raw_fd());
        let to = self.directory.join(blob.digest.hex());
        match linkat(
            AT_FDCWD,
            from.as_str(),
            AT_FDCWD,
            &to,
            AtFlags::AT_SYMLINK_FOLLOW,
        ) {
            Err(error) if error != nix::Error::EEXIST => return Err(error.into()),
            _ => attended(|| File::open(&self.directory)?.sync_all())?,
        }
        Ok(file)
    }

    fn failed(&self, source: io::Error) -> RuntimeError {
        let directory = self.directory.to_string_lossy().into_owned();
        RuntimeError::Write { directory, source }
    }
}

impl Coming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        attended(|| self.file.write_all(bytes))?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC {
            self.unsynced = 0;
            attended(|| self.file.sync_data())?;
        }
        Ok(())
    }
}

impl Drop for ContentStore {
    /// Removes the root. containerd's garbage collector then removes the blobs to which no image refers.
    fn drop(&mut self) {
        self.ingesting.clear();
        if let Err(error) = forget(&self.machine, &[self.root.to_string()]) {
            log::warn!("{error}");
        }
    }
}

/// Removes the root of an earlier load that was interrupted.
pub(super) fn forget_cut_off_loads(machine: &Root) -> Result<(), RuntimeError> {
    // All content is a line for each layer of each image, with its labels.
    let list = ["content", "list", "--quiet", GC_ROOT_FILTER];
    let list = ctr(machine).args(list).read()?;
    let roots: Vec<_> = list.split_whitespace().collect();
    if roots.is_empty() {
        return Ok(());
    }
    forget(machine, &roots)
}

fn forget<S: AsRef<std::ffi::OsStr>>(machine: &Root, roots: &[S]) -> Result<(), RuntimeError> {
    let delete = ctr(machine).args(["content", "delete"]).args(roots);
    delete.read()?;
    Ok(())
}

/// The directory with the blobs, as containerd reports it.
fn directory(machine: &Root) -> Result<PathBuf, RuntimeError> {
    let plugin = "type==io.containerd.content.v1,id==content";
    let plugin = ctr(machine)
        .args(["plugins", "list", "--detailed", plugin])
        .read()?;
    let root = plugin.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        words
            .next()
            .filter(|word| *word == "root")
            .and_then(|_| words.next())
    });
    let root = root.ok_or_else(|| {
        RuntimeError::Answer(anyhow!(
            "containerd does not report the directory of its content store"
        ))
    })?;
    Ok(machine.path(root).join("blobs/sha256"))
}

/// Creates a file in memory.
fn in_memory(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("gc-root", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}
