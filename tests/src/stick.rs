//! A USB stick: a labelled file system on a block device, which can be pulled out.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::image::link;
use crate::teardown;
use packages::command;

const IMAGE: &str = "image";
const PATIENCE: Duration = Duration::from_secs(20);

/// What a file system takes beside its files, in bytes.
const OVERHEAD: u64 = 16 << 20;

/// A stick; machines that it is to be plugged into are given it before they boot.
#[derive(Debug)]
pub struct Stick {
    label: String,
    directory: PathBuf,
    /// A loop device, whose backing file is in the lab's directory.
    device: PathBuf,
}

impl Stick {
    /// Makes one with ext4 and these files in a directory, and plugs it in.
    pub(crate) fn new(directory: &Path, label: &str, files: &[&Path]) -> Result<Self> {
        let image = format(directory, label, files)?;
        let device = command::run(
            "losetup",
            [Path::new("--find"), Path::new("--show"), &image],
        )?;
        Ok(Self {
            label: label.to_owned(),
            directory: directory.to_owned(),
            device: device.trim().into(),
        })
    }

    /// The device, of the host and of the machines.
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// Pulls it out: what isn't in memory can't be read any more.
    pub fn pull_out(&self) -> Result<()> {
        let image = self.directory.join(IMAGE);
        Ok(File::options().write(true).open(image)?.set_len(0)?)
    }

    /// Plugs it in again, once everybody has let go of it, with these files.
    pub fn plug_in(&self, files: &[&Path]) -> Result<()> {
        teardown::retry(PATIENCE, || {
            command::run("losetup", [Path::new("--detach"), &self.device])?;
            let image = format(&self.directory, &self.label, files)?;
            command::run("losetup", [&self.device, &image]).map(drop)
        })
    }
}

/// Makes the file system anew, in a file of its own.
fn format(directory: &Path, label: &str, files: &[&Path]) -> Result<PathBuf> {
    let (content, image) = (directory.join("content"), directory.join(IMAGE));
    if content.exists() {
        fs::remove_dir_all(&content)?;
        fs::remove_file(&image)?;
    }
    fs::create_dir(&content)?;
    let mut size = OVERHEAD;
    for file in files {
        link(file, &content)?;
        size += fs::metadata(file)?.len() / 16 * 17;
    }
    File::create(&image)?.set_len(size)?;
    let options = ["-q", "-L", label, "-d"].map(Path::new);
    command::run("mkfs.ext4", options.into_iter().chain([&*content, &image]))?;
    Ok(image)
}

impl Drop for Stick {
    fn drop(&mut self) {
        if let Err(error) = command::run("losetup", [Path::new("--detach"), &self.device]) {
            eprintln!("testbed: {error:#}");
        }
    }
}
