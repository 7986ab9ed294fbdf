//! A computer that QEMU emulates: slow, but with a clock of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::{Cache, Recipe};
use packages::command;

/// How long a computer may run. A boot takes ten seconds.
const SECONDS: &str = "180";

/// Mounts the computer's files, packs its first file system and runs it; in a mount namespace of
/// its own, so that the cache's entry stays as it is.
const RUN: &str = r#"
set -eu
root=$1 files=$2
shift 2
mount --bind "$files" "$root/mnt"
chroot "$root" /busybox sh -c 'cd /mnt/root && /busybox find . | /busybox cpio -o -H newc > /mnt/initrd'
exec chroot "$root" qemu-system-x86_64 "$@"
"#;

/// What starts the script as the first process of the computer.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
sh /script
poweroff -f
";

/// QEMU without hardware acceleration, a kernel and a busybox.
#[derive(Debug)]
pub struct Emulator {
    root: PathBuf,
}

impl Emulator {
    /// Builds it when it isn't in the cache.
    pub fn new(cache: &Cache) -> Result<Self> {
        let entry = cache.entry(&Recipe {
            name: "emulator",
            script: include_str!("../recipes/emulator.sh"),
            ..Recipe::default()
        })?;
        Ok(Self {
            root: entry.join("root"),
        })
    }

    /// The root directory that QEMU runs in.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Boots a computer whose clock begins at a time (`YYYY-MM-DDTHH:MM:SS`), with these files,
    /// copied with their modes, and gives what it wrote to its console until the script ended.
    pub fn run(&self, clock: &str, files: &[(&str, &Path)], script: &str) -> Result<String> {
        let directory = tempfile::tempdir()?;
        let root = directory.path().join("root");
        for name in ["bin", "dev", "proc", "run", "sys", "tmp"] {
            fs::create_dir_all(root.join(name))?;
        }
        for (path, source) in files {
            copy(source, &root.join(&path[1..]))?;
        }
        copy(&self.root.join("busybox"), &root.join("bin/busybox"))?;
        fs::write(root.join("script"), script)?;
        fs::write(root.join("init"), INIT)?;
        fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
        let output = command::output(
            Command::new("timeout")
                .args(["--kill-after=5", SECONDS])
                .args(["unshare", "--mount", "--propagation=private"])
                .args(["sh", "-c", RUN, "sh"])
                .args([&self.root, directory.path()])
                .args(["-accel", "tcg", "-cpu", "max", "-m", "512", "-nographic"])
                .args(["-no-reboot", "-rtc", &format!("base={clock}")])
                .args(["-kernel", "/vmlinuz", "-initrd", "/mnt/initrd"])
                .args(["-append", "console=ttyS0 quiet panic=-1"]),
        )?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Copies a file into a directory, which is made if it does not exist.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("can't copy {}", from.display()))
}
