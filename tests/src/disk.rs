//! A machine's disk: a file system in a file of the host. It holds what the machine writes, over the
//! layers of the image.
//!
//! A power cut can be simulated: the data that were not synced are then lost.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};

use crate::image::OsImage;
use crate::teardown;
use packages::command;

/// Directories that must not be on overlayfs, because containers' own overlayfs is in them.
const PLAIN: &[&str] = &["var/lib/containerd", "var/lib/docker"];
/// The file with the file system, and where that is mounted.
const FILE: &str = "disk.img";
const MOUNTED: &str = "disk";
/// Its size in bytes; the file is sparse.
const SIZE: u64 = 16 << 30;
/// How long the kernel may take to let go of a file system that nobody uses any more.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a machine's disk is formatted with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4, Debian's default.
    #[default]
    Ext4,
    /// XFS, the default of NestOS and Fedora `CoreOS`.
    Xfs,
}

impl FileSystem {
    const fn formatter(self) -> &'static str {
        match self {
            Self::Ext4 => "mkfs.ext4",
            Self::Xfs => "mkfs.xfs",
        }
    }
}

/// Makes the disk in a machine's directory, mounted as `root` there.
pub(crate) fn make(machine: &Path, image: &OsImage) -> Result<()> {
    let file = machine.join(FILE);
    File::create(&file)?.set_len(SIZE)?;
    command::run(image.file_system().formatter(), [Path::new("-q"), &file])?;
    attach(machine, image)
}

/// Mounts the disk; after a cut this replays the file system's log.
pub(crate) fn attach(machine: &Path, image: &OsImage) -> Result<()> {
    let disk = machine.join(MOUNTED);
    fs::create_dir_all(&disk)?;
    let options = ["-o", "loop"].map(Path::new);
    command::run(
        "mount",
        options.into_iter().chain([&*machine.join(FILE), &disk]),
    )?;
    let root = machine.join("root");
    let [upper, work] = ["upper", "work"].map(|name| disk.join(name));
    for directory in [&root, &upper, &work] {
        fs::create_dir_all(directory)?;
    }
    let lower = image.layers().into_iter();
    let lower: Vec<_> = lower.map(|layer| layer.display().to_string()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        upper.display(),
        work.display()
    );
    mount(
        Some("overlay"),
        &root,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .with_context(|| format!("can't mount {}", root.display()))?;
    for name in PLAIN {
        let (plain, target) = (disk.join("plain").join(name), root.join(name));
        fs::create_dir_all(&plain)?;
        fs::create_dir_all(&target)?;
        mount(
            Some(&plain),
            &target,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .with_context(|| format!("can't mount {}", target.display()))?;
    }
    Ok(())
}

/// Writes everything to the disk, as an installer does before it reboots.
pub(crate) fn sync(machine: &Path) -> Result<()> {
    let arguments = [Path::new("--file-system"), &machine.join(MOUNTED)];
    command::run("sync", arguments).map(drop)
}

/// Stops the disk: from now on nothing reaches it, not even what the file system has in its log.
pub(crate) fn cut(machine: &Path) -> Result<()> {
    // Without `-f` the log isn't flushed (xfs_io(8)); ext4 has the same request.
    let arguments = ["-x", "-c", "shutdown"].map(Path::new);
    let disk = machine.join(MOUNTED);
    command::run("xfs_io", arguments.into_iter().chain([&*disk])).map(drop)
}

/// A disk that takes nothing: whoever writes to it or syncs it waits until this is dropped.
#[derive(Debug)]
pub struct Stalled(PathBuf);

/// Lets the disk take nothing for now (fsfreeze(8)).
pub(crate) fn stall(machine: &Path) -> Result<Stalled> {
    let disk = machine.join(MOUNTED);
    command::run("fsfreeze", [Path::new("--freeze"), &disk])?;
    Ok(Stalled(disk))
}

impl Drop for Stalled {
    fn drop(&mut self) {
        let thawed = command::run("fsfreeze", [Path::new("--unfreeze"), &self.0]);
        if let Err(error) = thawed {
            eprintln!("testbed: {error:#}");
        }
    }
}

/// Unmounts the disk of a machine that is off, and waits until the kernel has forgotten it. A file
/// system that was still alive would go on writing beside its successor.
pub(crate) fn detach(machine: &Path) -> Result<()> {
    teardown::unmount(machine)?;
    let file = machine.join(FILE);
    teardown::retry(PATIENCE, || {
        let devices = command::run("losetup", [Path::new("--associated"), &file])?;
        ensure!(
            devices.trim().is_empty(),
            "{} is still in use",
            file.display()
        );
        Ok(())
    })
}
