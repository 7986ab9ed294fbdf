//! A machine's disk: what it writes, over the image's layers.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};

use crate::image::Image;
use crate::teardown;

/// Directories that must not be on overlayfs, because containers' own overlayfs is in them.
const PLAIN: &[&str] = &["var/lib/containerd", "var/lib/docker"];

/// Makes the disk in a machine's directory, mounted as `root` there.
pub(crate) fn make(machine: &Path, image: &Image) -> Result<()> {
    let [root, upper, work] = ["root", "upper", "work"].map(|name| machine.join(name));
    for directory in [&root, &upper, &work] {
        fs::create_dir_all(directory)?;
    }
    let lower: Vec<_> = image
        .layers()
        .iter()
        .map(|layer| layer.display().to_string())
        .collect();
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
        let (plain, target) = (machine.join("plain").join(name), root.join(name));
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

/// Unmounts the disk of a machine that is off.
pub(crate) fn detach(machine: &Path) -> Result<()> {
    teardown::unmount(machine)
}
