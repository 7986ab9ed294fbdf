//! A USB stick: a labelled file system on a block device, which can be pulled out.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command;

/// What a file system takes beside its files, in bytes.
const OVERHEAD: u64 = 16 << 20;

/// A stick; machines that it is to be plugged into are given it before they boot.
#[derive(Debug)]
pub struct Stick {
    /// A loop device, whose backing file bears the lab's name.
    device: PathBuf,
    image: PathBuf,
    whole: PathBuf,
}

impl Stick {
    /// Makes one with ext4 and these files in a directory, and plugs it in.
    pub(crate) fn new(directory: &Path, label: &str, files: &[&Path]) -> Result<Self> {
        let content = directory.join("content");
        fs::create_dir(&content)?;
        let mut size = OVERHEAD;
        for file in files {
            let name = file.file_name().context("a file without a name")?;
            fs::hard_link(file, content.join(name))
                .or_else(|_| fs::copy(file, content.join(name)).map(drop))?;
            size += fs::metadata(file)?.len() / 16 * 17;
        }
        let [image, whole] = ["image", "whole"].map(|name| directory.join(name));
        File::create(&whole)?.set_len(size)?;
        let content = content.to_string_lossy();
        let target = whole.to_string_lossy();
        command::run("mkfs.ext4", ["-q", "-L", label, "-d", &content, &target])?;
        fs::copy(&whole, &image)?;
        let device = command::run("losetup", ["--find", "--show", &image.to_string_lossy()])?;
        Ok(Self {
            device: device.trim().into(),
            image,
            whole,
        })
    }

    /// The device, of the host and of the machines.
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// Pulls it out: what isn't in memory can't be read any more.
    pub fn pull_out(&self) -> Result<()> {
        Ok(File::options().write(true).open(&self.image)?.set_len(0)?)
    }

    /// Plugs it in again.
    pub fn plug_in(&self) -> Result<()> {
        fs::copy(&self.whole, &self.image).map(drop)?;
        // What was read in vain is not to be remembered.
        command::run("blockdev", [Path::new("--flushbufs"), &self.device]).map(drop)
    }
}

impl Drop for Stick {
    fn drop(&mut self) {
        if let Err(error) = command::run("losetup", [Path::new("--detach"), &self.device]) {
            eprintln!("testbed: {error:#}");
        }
    }
}
