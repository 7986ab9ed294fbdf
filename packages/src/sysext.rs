//! The agent as a system extension, for hosts whose image cannot be built anew.

use std::path::Path;

use anyhow::Result;

use crate::{Architecture, Release, Tree, command};

/// The name of the extension. Its file on the host must be `NAME.raw`: see systemd-sysext(8).
const NAME: &str = "nkd";

/// Makes the image from the installed tree of the agent.
pub(crate) fn build(
    agent: &Tree,
    architecture: Architecture,
    release: &Release,
    image: &Path,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let tree = Tree::at(directory.path())?;
    tree.copy_all(agent, "")?;
    tree.copy_all(&Tree::at(&release.workspace().join("packages/sysext"))?, "")?;
    let metadata = format!(
        "ID=_any\nARCHITECTURE={}\nEXTENSION_RELOAD_MANAGER=1\n",
        architecture.systemd()
    );
    let path = format!("usr/lib/extension-release.d/extension-release.{NAME}");
    tree.write(&path, metadata, 0o644)?;
    tree.finish(release.time())?;
    pack(&tree, architecture, release, image)
}

/// Packs a tree as squashfs. Its xz needs no feature that the oldest kernels of these hosts lack.
pub(crate) fn pack(
    tree: &Tree,
    architecture: Architecture,
    release: &Release,
    image: &Path,
) -> Result<()> {
    let time = release.time().to_string();
    let mut mksquashfs = release.command("mksquashfs");
    // mksquashfs refuses to have the times from both the variable and the options.
    mksquashfs
        .env_remove("SOURCE_DATE_EPOCH")
        .arg(tree.root())
        .arg(image)
        .args(["-noappend", "-no-progress", "-quiet", "-reproducible"])
        .args(["-comp", "xz", "-b", "1M", "-no-xattrs", "-all-root"])
        .args(["-mkfs-time", &time, "-all-time", &time]);
    // Machine code is smaller after this filter. The one for Arm needs newer kernels.
    if architecture == Architecture::X86_64 {
        mksquashfs.args(["-Xbcj", "x86"]);
    }
    command::check(&mut mksquashfs).map(drop)
}
