//! The two programs, and what is installed with each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::tools::{self, Tools};
use crate::{Architecture, Release, Tree, command};

/// A program with its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Product {
    /// `nkd-agent`, which is a part of OS images.
    #[value(name = "nkd-agent")]
    Agent,
    /// `nkd`, which runs on the operator's machine.
    Nkd,
}

/// How cargo builds the programs.
#[derive(Debug, Clone, Copy)]
pub enum Builder<'a> {
    /// With cargo-auditable: the program has a list of its dependencies.
    Auditable(&'a Tools),
    /// With cargo alone, and without network. Builders of distributions do this.
    Frozen,
}

impl Product {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Agent, Self::Nkd];

    /// The name of the program and of its packages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "nkd-agent",
            Self::Nkd => "nkd",
        }
    }

    /// The profile in Cargo.toml with which it is built.
    fn profile(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Nkd => "dist",
        }
    }

    /// Builds the program and installs it into a directory, which stands for the root of a machine.
    ///
    /// # Errors
    /// The program cannot be built, or the directory cannot be written.
    pub fn install(
        self,
        architecture: Architecture,
        release: &Release,
        builder: Builder<'_>,
        root: &Path,
    ) -> Result<Tree> {
        let program = self.build(architecture, release, builder)?;
        let tree = Tree::at(root)?;
        let name = self.name();
        tree.copy(&program, &format!("usr/bin/{name}"), 0o755)?;
        let workspace = release.workspace();
        let license = format!("usr/share/licenses/{name}/LICENSE");
        tree.copy(&workspace.join("LICENSE"), &license, 0o644)?;
        match self {
            Self::Agent => tree.copy_all(&Tree::at(&workspace.join("systemd"))?, "")?,
            Self::Nkd => operators_files(release, &tree)?,
        }
        tree.finish(release.time())?;
        Ok(tree)
    }

    /// The options of rustc.
    fn options(self) -> Result<Vec<String>> {
        let mut options = remapped_paths()?;
        if self == Self::Agent {
            // The index of the tables for unwinding, which a program that a panic aborts does not use.
            options.push("-Clink-arg=-Wl,--no-eh-frame-hdr".to_owned());
        }
        Ok(options)
    }

    /// Builds the program and returns its path.
    fn build(
        self,
        architecture: Architecture,
        release: &Release,
        builder: Builder<'_>,
    ) -> Result<PathBuf> {
        add_target(architecture.target())?;
        let mut command = match builder {
            Builder::Auditable(tools) => {
                let mut command = tools::cargo();
                list_dependencies(&mut command, tools)?;
                command.args(["build", "--locked"]);
                command
            }
            Builder::Frozen => {
                let mut command = tools::cargo();
                command.args(["build", "--frozen"]);
                command
            }
        };
        command
            .args(["--package", self.name(), "--profile", self.profile()])
            .args(["--target", architecture.target()])
            .env("CARGO_ENCODED_RUSTFLAGS", self.options()?.join("\u{1f}"))
            // C compilers replace `__DATE__` with the date of this time. It is not the time of the commit, because
            // cargo does not compile the C parts again for another commit.
            .env("SOURCE_DATE_EPOCH", "0");
        built(&mut command, self.name(), release.workspace())
    }
}

/// Has cargo-auditable link the list of dependencies into the program, as `cargo auditable build --locked` does. That
/// command gives cargo the path of cargo-auditable, on which cargo then makes the names of all symbols depend. Here
/// cargo finds it by its name, so that the same commit makes the same bytes in every directory.
fn list_dependencies(cargo: &mut Command, tools: &Tools) -> Result<()> {
    let auditable = tools.command(tools::AUDITABLE)?;
    // Empty if the tool is in PATH already.
    let directory = Path::new(auditable.get_program()).parent();
    let directory = directory.filter(|directory| !directory.as_os_str().is_empty());
    let path = env::var_os("PATH").unwrap_or_default();
    let places = directory.map(Path::to_owned).into_iter();
    let places = places.chain(env::split_paths(&path));
    let arguments = json!({"offline": false, "locked": true, "frozen": false, "config": []});
    cargo
        .env("PATH", env::join_paths(places)?)
        .env("RUSTC_WORKSPACE_WRAPPER", "cargo-auditable")
        .env("CARGO_AUDITABLE_ORIG_ARGS", arguments.to_string());
    Ok(())
}

/// Builds nkd for the machine that this program runs on, for use on it, and returns its path.
///
/// # Errors
/// It cannot be built.
pub fn nkd_for_this_machine(release: &Release) -> Result<PathBuf> {
    let mut command = tools::cargo();
    // With the features that the workspace has as a whole, as its tests build it.
    command.args(["build", "--locked", "--workspace", "--bin=nkd"]);
    built(&mut command, "nkd", release.workspace())
}

/// Runs a build by cargo and returns the path of the program, as cargo reports it.
fn built(command: &mut Command, program: &str, workspace: &Path) -> Result<PathBuf> {
    let messages = command::check(
        command
            .args(["--quiet", "--message-format=json-render-diagnostics"])
            .current_dir(workspace),
    )?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|message| message["target"]["name"] == program && message["executable"].is_string())
        .and_then(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .with_context(|| format!("cargo built no {program}"))
}

/// Adds the standard library for a target, if rustup manages the toolchain and lacks it.
fn add_target(target: &str) -> Result<()> {
    let Ok(installed) = command::run("rustup", ["target", "list", "--installed"]) else {
        return Ok(());
    };
    if !installed.lines().any(|found| found == target) {
        eprintln!("adding the Rust target {target}");
        command::run("rustup", ["target", "add", target])?;
    }
    Ok(())
}

/// Options of rustc that replace the paths of this machine in the messages of panics. The paths of
/// the workspace's own crates are relative to it.
fn remapped_paths() -> Result<Vec<String>> {
    let home = env::var_os("CARGO_HOME").map_or_else(
        || env::home_dir().map(|home| home.join(".cargo")),
        |home| Some(PathBuf::from(home)),
    );
    let sources = home.context("HOME is not set")?.join("registry/src");
    let mut options = Vec::new();
    // Each source of crates has a directory, whose name depends on its address.
    for directory in fs::read_dir(&sources).into_iter().flatten() {
        let path = directory?.path();
        options.push(format!("--remap-path-prefix={}=crates", path.display()));
    }
    Ok(options)
}

/// What the operator gets beside the program: manual pages, completions, documentation and examples.
fn operators_files(release: &Release, tree: &Tree) -> Result<()> {
    // The program that was built may be of another architecture.
    let nkd = nkd_for_this_machine(release)?;
    let pages = tempfile::tempdir()?;
    command::check(Command::new(&nkd).arg("man").arg(pages.path()))?;
    for entry in Tree::at(pages.path())?.entries()? {
        let page = fs::read(pages.path().join(&entry.path))?;
        let path = format!("usr/share/man/man1/{}.gz", entry.path.display());
        tree.write(&path, gzip(&page)?, 0o644)?;
    }
    for (shell, path) in [
        ("bash", "usr/share/bash-completion/completions/nkd"),
        ("fish", "usr/share/fish/vendor_completions.d/nkd.fish"),
        ("zsh", "usr/share/zsh/site-functions/_nkd"),
    ] {
        let script = command::check(Command::new(&nkd).args(["completions", shell]))?;
        tree.write(path, script, 0o644)?;
    }
    let documentation = "usr/share/doc/nkd";
    for file in ["README.md", "CHANGELOG.md"] {
        let path = release.workspace().join(file);
        tree.copy(&path, &format!("{documentation}/{file}"), 0o644)?;
    }
    for directory in ["docs", "examples"] {
        let from = Tree::at(&release.workspace().join(directory))?;
        tree.copy_all(&from, &format!("{documentation}/{directory}"))?;
    }
    Ok(())
}

/// Compresses a manual page, without a name and a time.
fn gzip(page: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(page)?;
    Ok(encoder.finish()?)
}
