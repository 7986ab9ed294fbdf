//! The product's programs, built from this workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{command, tools};

const AGENT_TARGET: &str = "x86_64-unknown-linux-musl";

/// What an operator and an OS image get of the product.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `nkd`, the operator's.
    pub nkd: PathBuf,
    /// `nkd-agent`, static, as it is baked into images.
    pub agent: PathBuf,
    /// The tree that is laid into images as it is.
    pub systemd: PathBuf,
}

impl Programs {
    /// Builds them, in the target directory that cargo is told to use.
    pub fn build() -> Result<Self> {
        if !command::run("rustup", ["target", "list", "--installed"])?.contains(AGENT_TARGET) {
            eprintln!("testbed: adding the Rust target {AGENT_TARGET}");
            command::run("rustup", ["target", "add", AGENT_TARGET])?;
        }
        let agent = [
            "--package=nkd-agent",
            "--profile=agent",
            "--target",
            AGENT_TARGET,
        ];
        Ok(Self {
            // As the tests build it: with the features the workspace has as a whole.
            nkd: build("nkd", &["--workspace", "--bin=nkd"])?,
            agent: build("nkd-agent", &agent)?,
            systemd: workspace().join("systemd"),
        })
    }
}

/// The workspace's directory.
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// Builds one program and returns its path, as cargo tells it.
fn build(program: &str, arguments: &[&str]) -> Result<PathBuf> {
    eprintln!("testbed: building {program}");
    let messages = command::check(
        tools::cargo()
            .args([
                "build",
                "--quiet",
                "--message-format=json-render-diagnostics",
            ])
            .args(arguments)
            .current_dir(workspace()),
    )?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|message| message["target"]["name"] == program && message["executable"].is_string())
        .and_then(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .with_context(|| format!("cargo built no {program}"))
}
