//! The Debian package.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::tree::Kind;
use crate::{Architecture, Release, Tree, command};

/// Makes the package of nkd from its installed tree.
pub(crate) fn build(
    nkd: &Tree,
    architecture: Architecture,
    release: &Release,
    package: &Path,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let tree = Tree::at(directory.path())?;
    tree.copy_all(nkd, "")?;
    let mut size = 0;
    for entry in nkd.entries()? {
        if matches!(entry.kind, Kind::File { .. }) {
            size += nkd.root().join(&entry.path).metadata()?.len();
        }
    }
    let mut control = String::new();
    writeln!(control, "Package: nkd")?;
    writeln!(control, "Version: {}-1", Release::VERSION)?;
    writeln!(control, "Architecture: {}", architecture.debian())?;
    writeln!(control, "Maintainer: nkd <nkd@openeuler.org>")?;
    writeln!(control, "Installed-Size: {}", size.div_ceil(1024))?;
    writeln!(control, "Section: admin\nPriority: optional")?;
    writeln!(
        control,
        "Description: offline compiler for Kubernetes on Ignition-based hosts"
    )?;
    writeln!(
        control,
        " nkd compiles one cluster file into one verified Ignition file per machine."
    )?;
    tree.write("DEBIAN/control", control, 0o644)?;
    tree.finish(release.time())?;
    let mut dpkg = release.command("dpkg-deb");
    dpkg.args(["--root-owner-group", "-Zxz", "--build"])
        .arg(tree.root())
        .arg(package);
    command::check(&mut dpkg).map(drop)
}
