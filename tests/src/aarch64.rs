//! Runs the agent's tests for aarch64 in qemu-user on this machine.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use packages::tools;

use crate::cache::Cache;
use crate::programs::workspace;

/// The agent's other target.
const TARGET: &str = "aarch64-unknown-linux-musl";
/// The program that runs aarch64 programs.
const RUNNER: &str = "qemu-aarch64-static";
/// The nextest profile, which has a time limit for all tests (`.config/nextest.toml`). Emulated programs
/// are slow, and one that hangs must not block the others.
const PROFILE: &str = "aarch64";

/// Why the tests cannot run here, or `None` if they can.
pub fn hindrance() -> Option<&'static str> {
    let library = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(workspace())
        .output();
    let has_target = library.is_ok_and(|output| {
        let path = String::from_utf8_lossy(&output.stdout);
        output.status.success() && Path::new(path.trim()).is_dir()
    });
    if has_target {
        return None;
    }
    Some("the target isn't installed; `rustup target add aarch64-unknown-linux-musl`")
}

/// The command that builds and runs them.
pub fn tests(cache: &Cache) -> Result<Command> {
    let mut command = tools::Tools::at(cache.directory()).command(tools::NEXTEST)?;
    command
        .args(["nextest", "run", "--profile", PROFILE, "--target", TARGET])
        .args(["--no-fail-fast", "--package", "nkd-contract"])
        .args(["--package", "nkd-agent"])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER", RUNNER)
        .env("NKD_AGENT_RUNNER", RUNNER)
        .current_dir(workspace());
    Ok(command)
}
