//! Tools that come through cargo, at the versions that the project is built and checked with.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use nix::fcntl::{Flock, FlockArg};

/// A program of a crate on crates.io.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    name: &'static str,
    version: &'static str,
}

/// The test runner.
pub const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    version: "0.9.143",
};
/// The checker of dependencies.
pub const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};
/// The runner of fuzz targets.
pub const FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
};
/// Builds programs that name their dependencies.
pub(crate) const AUDITABLE: Tool = Tool {
    name: "cargo-auditable",
    version: "0.7.7",
};
/// Prints what such a program names, as an SBOM.
pub(crate) const AUDITABLE2CDX: Tool = Tool {
    name: "auditable2cdx",
    version: "0.1.0",
};

/// Where tools are built that the machine does not have.
#[derive(Debug, Clone)]
pub struct Tools {
    directory: PathBuf,
}

impl Tools {
    /// Builds tools in this directory.
    pub fn at(directory: &Path) -> Self {
        let directory = directory.to_owned();
        Self { directory }
    }

    /// The tool on the machine if it has the right version, else one that is built once.
    ///
    /// # Errors
    /// The tool cannot be built.
    pub fn command(&self, tool: Tool) -> Result<Command> {
        let version = Command::new(tool.name).arg("--version").output();
        if version
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(tool.version))
        {
            return Ok(clean(Command::new(tool.name)));
        }
        let name = format!("{}-{}", tool.name, tool.version);
        let program = self.directory.join(&name).join("bin").join(tool.name);
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot create {}", self.directory.display()))?;
        let lock = File::create(self.directory.join(format!("{name}.lock")))?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive)
            .map_err(|(_, error)| anyhow!("cannot lock {name}: {error}"))?;
        if !program.exists() {
            self.build(tool, &name)?;
        }
        Ok(clean(Command::new(program)))
    }

    fn build(&self, tool: Tool, name: &str) -> Result<()> {
        eprintln!("building {name}");
        let status = cargo()
            .args(["install", "--quiet", "--locked", tool.name])
            .args(["--version", tool.version, "--root"])
            .arg(self.directory.join(name))
            // Nothing of this workspace's settings.
            .current_dir("/")
            .status()
            .with_context(|| format!("cannot build {name}"))?;
        ensure!(status.success(), "cannot build {name}: {status}");
        Ok(())
    }
}

/// Cargo, without the variables of the package whose program this is: build scripts that look at such
/// variables would run again whenever they change.
pub fn cargo() -> Command {
    clean(Command::new("cargo"))
}

fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
