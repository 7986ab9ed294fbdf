use std::fs;

use anyhow::Context as _;
use nkd_contract::{Cause, paths};

use super::Fault;
use crate::stages::OrFault as _;
use crate::system::{CommandError, Root};

/// A disk that is mounted as long as this value exists.
#[derive(Debug)]
pub(in super::super) struct Medium {
    root: Root,
}

impl Medium {
    /// Mounts the disk whose file system has this label, read-only.
    pub(super) fn mount(root: &Root, label: &str) -> Result<Self, Fault> {
        let device = root
            .command("blkid")
            .args(["--cache-file", "/dev/null", "--label", label]);
        let path = device.read().map_err(|error| match error {
            // blkid(8), "EXIT CODE": 2 where there is none.
            CommandError::Failed { status, .. } if status.code() == Some(2) => {
                let message = format!("no disk has the label {label}");
                Fault::new(Cause::ImagesSource, message)
            }
            error => Fault::of_command(Cause::ImagesSource, error),
        })?;
        let directory = root.path(paths::MEDIUM);
        fs::create_dir_all(&directory)
            .context(paths::MEDIUM)
            .or_fault(Cause::ImagesSource)?;
        let medium = Self { root: root.clone() };
        // An agent that was killed has left it.
        medium.unmount();
        root.command("mount")
            .args([
                "--read-only",
                "--options",
                "nodev,nosuid,noexec",
                path.trim(),
            ])
            .args([directory])
            .read()
            .map_err(|error| Fault::of_command(Cause::ImagesSource, error))?;
        Ok(medium)
    }

    /// Unmounts lazily, because a disk that was unplugged cannot be unmounted otherwise.
    fn unmount(&self) {
        let path = self.root.path(paths::MEDIUM);
        let unmount = self.root.command("umount").args(["--lazy", "--quiet"]);
        let _ = unmount.args([path]).read();
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        self.unmount();
    }
}
