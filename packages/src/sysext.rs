//! System extensions, for hosts whose image cannot be built anew: see systemd-sysext(8).

use std::path::Path;

use anyhow::Result;

use crate::{Architecture, Release, Tree, command};

/// The name of the agent's extension. Its file on the host must be `NAME.raw`.
const NAME: &str = "nkd";

/// How the files of an image are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As small as possible.
    Small,
    /// In a fraction of the time, for tests.
    Fast,
}

/// An extension, apart from its files.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    pub name: &'a str,
    pub architecture: Architecture,
    /// More lines of its extension-release file.
    pub fields: &'a str,
    pub compression: Compression,
}

/// Makes the extension of the agent from the installed tree of the agent.
///
/// # Errors
/// The image cannot be written.
pub fn agent(
    agent: &Tree,
    architecture: Architecture,
    release: &Release,
    image: &Path,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let tree = Tree::at(directory.path())?;
    tree.copy_all(agent, "")?;
    tree.copy_all(&Tree::at(&release.workspace().join("packages/sysext"))?, "")?;
    let description = Image {
        name: NAME,
        architecture,
        fields: "EXTENSION_RELOAD_MANAGER=1\n",
        compression: Compression::Small,
    };
    finish(&tree, &description, release, image)
}

/// Adds the extension-release file to a tree, and makes the image.
pub(crate) fn finish(
    tree: &Tree,
    description: &Image<'_>,
    release: &Release,
    image: &Path,
) -> Result<()> {
    let metadata = format!(
        "ID=_any\nARCHITECTURE={}\n{}",
        description.architecture.systemd(),
        description.fields
    );
    let name = description.name;
    let path = format!("usr/lib/extension-release.d/extension-release.{name}");
    tree.write(&path, metadata, 0o644)?;
    tree.finish(release.time())?;
    pack(tree, description, release, image)
}

/// Packs a tree as squashfs. Its xz needs no feature that the oldest kernels of these hosts lack.
fn pack(tree: &Tree, description: &Image<'_>, release: &Release, image: &Path) -> Result<()> {
    let time = release.time().to_string();
    let mut mksquashfs = release.command("mksquashfs");
    // mksquashfs refuses to have the times from both the variable and the options.
    mksquashfs
        .env_remove("SOURCE_DATE_EPOCH")
        .arg(tree.root())
        .arg(image)
        .args(["-noappend", "-no-progress", "-quiet", "-reproducible"])
        .args(["-no-xattrs", "-no-exports", "-all-root"])
        .args(["-mkfs-time", &time, "-all-time", &time]);
    match description.compression {
        Compression::Fast => mksquashfs.args(["-comp", "gzip", "-Xcompression-level", "1"]),
        Compression::Small => mksquashfs.args(["-comp", "xz", "-b", "1M"]),
    };
    // Machine code is smaller after this filter. The one for Arm needs newer kernels.
    if (description.compression, description.architecture)
        == (Compression::Small, Architecture::X86_64)
    {
        mksquashfs.args(["-Xbcj", "x86"]);
    }
    command::check(&mut mksquashfs).map(drop)
}
