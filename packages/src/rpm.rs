//! The RPMs, binary and source, from one spec.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::archive::Effort;
use crate::{Architecture, Release, Tree, archive, command, tools};

/// The release number of the packages.
const REVISION: &str = "1";

/// Makes the binary packages from an installed tree that has both programs.
pub(crate) fn build(
    installed: &Tree,
    architecture: Architecture,
    release: &Release,
    directory: &Path,
) -> Result<()> {
    let work = tempfile::tempdir()?;
    let spec = spec(release, work.path())?;
    let mut rpmbuild = rpmbuild(release, work.path(), directory);
    rpmbuild
        .args(["-bb", "--target", &format!("{architecture}-linux")])
        .arg("--define")
        .arg(format!("installed_tree {}", installed.root().display()))
        .arg(spec);
    command::check(&mut rpmbuild).map(drop)
}

/// Makes the source package: the sources of the commit, and those of all crates they depend on.
pub(crate) fn build_source(release: &Release, directory: &Path) -> Result<()> {
    let work = tempfile::tempdir()?;
    let spec = spec(release, work.path())?;
    let sources = Tree::at(&work.path().join("sources"))?;
    let name = format!("nkd-{}", Release::VERSION);
    let tar = work.path().join("sources.tar");
    release.git(&[
        "archive",
        "--format=tar",
        "--output",
        &tar.to_string_lossy(),
        "HEAD",
    ])?;
    let unpacked = sources.root().join(&name);
    fs::create_dir(&unpacked)?;
    tar::Archive::new(fs::File::open(&tar)?).unpack(&unpacked)?;
    let target = |part: &str| work.path().join(format!("{name}{part}.tar.zst"));
    sources.finish(release.time())?;
    archive::tar_zst(&sources, release.time(), Effort::Low, &target(""))?;
    let vendored = vendor(release, work.path())?;
    archive::tar_zst(&vendored, release.time(), Effort::Low, &target("-vendor"))?;
    // The package contains the spec with the places of its sources, which must be the same each time.
    let mut rpmbuild = rpmbuild(release, Path::new("/proc/self/cwd"), directory);
    rpmbuild.current_dir(work.path()).arg("-bs").arg(spec);
    command::check(&mut rpmbuild).map(drop)
}

/// Copies the sources of all crates, with the setting that makes cargo use them.
fn vendor(release: &Release, work: &Path) -> Result<Tree> {
    let tree = Tree::at(&work.join("vendored"))?;
    let mut cargo = tools::cargo();
    cargo
        .args([
            "vendor",
            "--quiet",
            "--locked",
            "--versioned-dirs",
            "vendor",
        ])
        .arg("--manifest-path")
        .arg(release.workspace().join("Cargo.toml"))
        .current_dir(tree.root());
    let setting = command::check(&mut cargo)?;
    tree.write("vendor/config.toml", setting, 0o644)?;
    tree.finish(release.time())?;
    Ok(tree)
}

/// Writes the spec of this version.
fn spec(release: &Release, work: &Path) -> Result<PathBuf> {
    let template = release.workspace().join("packages/nkd.spec.in");
    let template = fs::read_to_string(&template)
        .with_context(|| format!("cannot read {}", template.display()))?;
    let spec = work.join("nkd.spec");
    let text = template
        .replace("@VERSION@", Release::VERSION)
        .replace("@RELEASE@", REVISION)
        .replace("@TIME@", &release.time().to_string());
    fs::write(&spec, text)?;
    Ok(spec)
}

/// rpmbuild with the settings that make its result depend on nothing but its input.
fn rpmbuild(release: &Release, work: &Path, directory: &Path) -> Command {
    let mut rpmbuild = release.command("rpmbuild");
    let work = work.display();
    for definition in [
        format!("_topdir {work}/rpmbuild"),
        format!("_sourcedir {work}"),
        format!("_rpmdir {}", directory.display()),
        format!("_srcrpmdir {}", directory.display()),
        "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm".to_owned(),
        "_buildhost localhost".to_owned(),
        "use_source_date_epoch_as_buildtime 1".to_owned(),
        "clamp_mtime_to_source_date_epoch 1".to_owned(),
        "_binary_payload w19.zstdio".to_owned(),
        "_source_payload w.ufdio".to_owned(),
    ] {
        rpmbuild.args(["--define", &definition]);
    }
    rpmbuild.arg("--quiet").arg("--nodeps");
    rpmbuild
}
