//! Removes everything that a lab has created.
//!
//! A lab is a directory in the cache. Everything that the lab creates outside of it (network namespace,
//! cgroups, mounts, loop devices) has the directory's name in its own name, so the directory is
//! sufficient to find and remove all of it. This happens when the lab is dropped, when a signal ends its
//! process, and, if its process was killed, when the next lab finds the directory unlocked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, umount2};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::cache::Cache;
use crate::cgroup;
use packages::command;

const PREFIX: &str = "nkd-lab-";

/// The directories of this process's labs, for the signal handler.
static OWNED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static SIGNALS: Once = Once::new();

/// A directory whose name is that of everything that is taken down with it.
#[derive(Debug)]
pub(crate) struct Scope {
    directory: PathBuf,
    _owner: Flock<File>,
}

impl Scope {
    /// A new one; those of killed processes are taken down first.
    pub(crate) fn new(cache: &Cache) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let labs = cache.directory().join("labs");
        fs::create_dir_all(&labs).with_context(|| format!("can't create {}", labs.display()))?;
        SIGNALS.call_once(|| {
            if let Err(error) = tear_down_on_signals() {
                eprintln!("testbed: an interrupt won't clean up: {error:#}");
            }
        });
        // Between making a directory and locking it another process must not sweep.
        let _sweeping = crate::cache::lock(&labs.join("sweep.lock"))?;
        sweep(&labs)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = labs.join(format!("{PREFIX}{}-{number}", std::process::id()));
        fs::create_dir(&directory)
            .with_context(|| format!("can't create {}", directory.display()))?;
        let owner = crate::cache::lock(&directory.join("owner.lock"))?;
        owned().push(directory.clone());
        Ok(Self {
            directory,
            _owner: owner,
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn name(&self) -> String {
        name(&self.directory)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // Waits for ever when a signal is about to end the process.
        let mut owned = owned();
        if let Err(error) = take_down(&self.directory) {
            eprintln!(
                "testbed: {} is not wholly taken down: {error:#}",
                self.name()
            );
        }
        owned.retain(|directory| *directory != self.directory);
    }
}

fn owned() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(directory: &Path) -> String {
    directory
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Takes down what processes that are gone have left.
fn sweep(labs: &Path) -> Result<()> {
    for entry in fs::read_dir(labs)? {
        let directory = entry?.path();
        if !name(&directory).starts_with(PREFIX) {
            continue;
        }
        let owner = File::open(directory.join("owner.lock"))
            .map(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock));
        // The owner of a lab that can't be locked is alive.
        if matches!(owner, Ok(Err(_))) {
            continue;
        }
        eprintln!(
            "testbed: taking down {}, whose owner is gone",
            name(&directory)
        );
        // It costs this lab nothing but time, and the next lab tries again.
        if let Err(error) = take_down(&directory) {
            eprintln!("testbed: {}: {error:#}", directory.display());
        }
    }
    Ok(())
}

/// Ends and removes all that bears the directory's name, and the directory.
fn take_down(directory: &Path) -> Result<()> {
    let name = name(directory);
    cgroup::kill(&name)?;
    unmount(directory)?;
    detach_loops(directory)?;
    if Path::new("/run/netns").join(&name).exists() {
        command::run("ip", ["netns", "delete", &name])?;
    }
    let gone = retry(Duration::from_secs(5), || cgroup::remove(&name));
    let removed = match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    gone?;
    removed.with_context(|| format!("can't remove {}", directory.display()))
}

/// Unmounts everything at and below a directory, last mounted first.
pub(crate) fn unmount(directory: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let below: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|path| PathBuf::from(path.replace("\\040", " ")))
        .filter(|path| path.starts_with(directory))
        .collect();
    for path in below.iter().rev() {
        match umount2(path, MntFlags::MNT_DETACH) {
            // Somebody else was faster.
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(error) => bail!("can't unmount {}: {error}", path.display()),
        }
    }
    Ok(())
}

/// Lets go of block devices whose files are in a directory.
fn detach_loops(directory: &Path) -> Result<()> {
    let columns = ["--list", "--noheadings", "--output", "NAME,BACK-FILE"];
    for line in command::run("losetup", columns)?.lines() {
        if let Some((device, file)) = line.split_once(' ')
            && Path::new(file.trim()).starts_with(directory)
        {
            command::run("losetup", ["--detach", device])?;
        }
    }
    Ok(())
}

/// Tries again until it works or the time is up.
pub(crate) fn retry<T>(patience: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(_) if start.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP take this process's labs down before they end it.
fn tear_down_on_signals() -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                end(signal);
            }
        })?;
    Ok(())
}

fn end(signal: i32) -> ! {
    eprintln!("testbed: interrupted, taking the labs down");
    // Held to the end, so that no other thread ends the process before this is done.
    let owned = owned();
    for directory in owned.iter() {
        if let Err(error) = take_down(directory) {
            eprintln!("testbed: {}: {error:#}", directory.display());
        }
    }
    std::process::exit(128 + signal)
}
