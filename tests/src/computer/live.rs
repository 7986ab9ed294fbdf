//! The files of a live image, as iPXE loads them: the system of a disk, to run from memory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::disk::DiskImage;
use crate::cache::{Cache, Recipe};
use crate::teardown::Scope;

const KERNEL: &str = "kernel";
const INITRAMFS: &str = "initramfs.img";
const ROOT_FILE_SYSTEM: &str = "rootfs.img";
/// The version of coreos-installer.
const INSTALLER: &str = "0.27.0";

const SQUASH: &str = r#"
set -eu
disk=$1 start=$2 root=$3 image=$4 more=$5
mount -o "loop,ro,offset=$start" "$disk" "$root"
mount -t overlay -o "lowerdir=$more:$root" overlay "$root"
mksquashfs "$root" "$image" -quiet -no-progress -noappend -comp lz4
umount "$root"
umount "$root"
"#;

/// A kernel, an initramfs, and the root file system as a squashfs image.
#[derive(Debug)]
pub struct LiveImage {
    scope: Scope,
}

impl LiveImage {
    /// Makes the files from those of a disk.
    pub fn build(cache: &Cache, image: &DiskImage) -> Result<Self> {
        let nothing = tempfile::tempdir()?;
        Self::with(cache, image, nothing.path())
    }

    /// The same with the installer of Fedora `CoreOS`.
    pub fn with_installer(cache: &Cache, image: &DiskImage) -> Result<Self> {
        let installer = cache.entry(&Recipe {
            name: "coreos-installer",
            script: include_str!("../../recipes/coreos-installer.sh"),
            variables: &[("VERSION", INSTALLER)],
            ..Recipe::default()
        })?;
        Self::with(cache, image, &installer.join("root"))
    }

    fn with(cache: &Cache, image: &DiskImage, more: &Path) -> Result<Self> {
        let live = Self {
            scope: Scope::new(cache)?,
        };
        let mount_point = live.scope.directory().join("mounted");
        fs::create_dir_all(&mount_point)?;
        let [kernel, initramfs, root] = live.files();
        let disk = image.disk();
        disk.copy_boot_files("linux", &kernel)?;
        disk.copy_boot_files("initrd", &initramfs)?;
        disk.run(SQUASH, &[&mount_point, &root, more])?;
        Ok(live)
    }

    /// The files, with the names that nkd's scripts expect.
    pub fn files(&self) -> [PathBuf; 3] {
        [KERNEL, INITRAMFS, ROOT_FILE_SYSTEM].map(|name| self.scope.directory().join(name))
    }
}
