//! Cargo and the tools that come through it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cache::{Cache, lock};

/// A tool of crates.io's, at the version the project is checked with.
struct Tool {
    name: &'static str,
    version: &'static str,
}

const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    version: "0.9.143",
};
const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

const FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
};

/// The test runner.
pub fn nextest(cache: &Cache) -> Result<Command> {
    tool(cache, &NEXTEST)
}

/// The checker of dependencies.
pub fn deny(cache: &Cache) -> Result<Command> {
    tool(cache, &DENY)
}

/// The runner of fuzz targets.
pub fn fuzz(cache: &Cache) -> Result<Command> {
    tool(cache, &FUZZ)
}

/// Cargo, told nothing of the package whose program this is: build scripts that look at such
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

/// The tool on the machine when it is of the wanted version, else one built into the cache.
fn tool(cache: &Cache, tool: &Tool) -> Result<Command> {
    let is_wanted = |program: &PathBuf| {
        Command::new(program)
            .arg("--version")
            .output()
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(tool.version))
    };
    let installed = PathBuf::from(tool.name);
    if is_wanted(&installed) {
        return Ok(clean(Command::new(installed)));
    }
    let name = format!("{}-{}", tool.name, tool.version);
    let home = cache.directory().join(&name);
    let program = home.join("bin").join(tool.name);
    let _lock = lock(&cache.directory().join(format!("{name}.lock")))?;
    if !is_wanted(&program) {
        eprintln!("testbed: building {name}");
        let status = cargo()
            .args(["install", "--quiet", "--locked", tool.name])
            .args(["--version", tool.version, "--root"])
            .arg(&home)
            // Nothing of this workspace's settings.
            .current_dir("/")
            .status()
            .with_context(|| format!("can't build {name}"))?;
        ensure!(status.success(), "can't build {name}: {status}");
    }
    Ok(clean(Command::new(program)))
}
