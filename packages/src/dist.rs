//! The directory of packages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::archive::Effort;
use crate::product::Builder;
use crate::tools::Tools;
use crate::{Architecture, Product, Release, Tree, archive, deb, nestos, rpm, sbom, sums, sysext};

/// The programs of the system that make packages, and Debian's packages of them.
pub const PROGRAMS: &[(&str, &str)] = &[
    ("dpkg-deb", "dpkg"),
    ("git", "git"),
    ("mksquashfs", "squashfs-tools"),
    ("rpmbuild", "rpm"),
];

/// Makes all packages for these architectures.
///
/// # Errors
/// A program is missing, a build fails, or the directory has files that are not from an earlier run.
pub fn all(
    architectures: &[Architecture],
    release: &Release,
    tools: &Tools,
    directory: &Path,
) -> Result<()> {
    ensure_programs()?;
    empty(directory)?;
    let directory = &directory.canonicalize()?;
    for &architecture in architectures {
        eprintln!("dist: building for {architecture}");
        let agent = tree(Product::Agent, architecture, release, tools, directory)?;
        let nkd = tree(Product::Nkd, architecture, release, tools, directory)?;
        eprintln!("dist: packing for {architecture}");
        let name = |product: Product, what: &str| {
            let (name, version) = (product.name(), Release::VERSION);
            directory.join(format!("{name}-{version}-{architecture}{what}"))
        };
        for (product, tree) in [(Product::Agent, &agent), (Product::Nkd, &nkd)] {
            archive::tar_zst(
                tree,
                release.time(),
                Effort::High,
                &name(product, ".tar.zst"),
            )?;
            sbom::write(product, tree, tools, &name(product, ".cdx.json"))?;
        }
        let overlay = name(Product::Agent, ".nestos-assembler.tar.zst");
        nestos::build(&agent, release, &overlay)?;
        let extension = name(Product::Agent, ".sysext.raw");
        sysext::agent(&agent, architecture, release, &extension)?;
        let (version, debian) = (Release::VERSION, architecture.debian());
        let package = directory.join(format!("nkd_{version}-1_{debian}.deb"));
        deb::build(&nkd, architecture, release, &package)?;
        let work = tempfile::tempdir()?;
        let both = Tree::at(work.path())?;
        both.copy_all(&agent, "")?;
        both.copy_all(&nkd, "")?;
        both.finish(release.time())?;
        rpm::build(&both, architecture, release, directory)?;
    }
    eprintln!("dist: packing the sources");
    rpm::build_source(release, directory)?;
    let containerfile = release.workspace().join("packages/Containerfile");
    fs::copy(containerfile, directory.join("Containerfile"))?;
    sums::write(directory)
}

/// The installed tree of a program, which is a part of the result.
fn tree(
    product: Product,
    architecture: Architecture,
    release: &Release,
    tools: &Tools,
    directory: &Path,
) -> Result<Tree> {
    let (name, version) = (product.name(), Release::VERSION);
    let root = directory.join(format!("{name}-{version}-{architecture}"));
    product.install(architecture, release, Builder::Auditable(tools), &root)
}

fn ensure_programs() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &str| std::env::split_paths(&path).any(|place| place.join(program).exists());
    let missing: Vec<String> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(program, package)| format!("{program} (Debian's package {package})"))
        .collect();
    ensure!(missing.is_empty(), "missing: {}", missing.join(", "));
    Ok(())
}

/// Removes the result of an earlier run, and nothing else.
fn empty(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let paths = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("nkd") || name == "SHA256SUMS" || name == "Containerfile"
    };
    if let Some(other) = paths.iter().find(|path| !is_ours(path)) {
        anyhow::bail!("{} is not a package of nkd", other.display());
    }
    for path in paths {
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
