//! The user's own executables before and after stages, delivered by their Ignition config into
//! `/etc/nkd/hooks/{pre,post}-STAGE.d/`. They are executed, never read into a shell of the agent's,
//! in the order of their names.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nkd_contract::{Cause, paths};

use super::{Fault, Node, OrFault as _};
use crate::system::journal;

/// How long one hook may take.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Anybody may execute it.
const EXECUTABLE: u32 = 0o111;

/// When hooks run.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// Before every attempt at a stage.
    Pre,
    /// After the stage's work, before it counts as done.
    Post,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pre => "pre",
            Self::Post => "post",
        })
    }
}

/// Runs the hooks of the node's stage; the first that fails ends the attempt.
pub(super) fn run(node: &mut Node<'_>, when: When) -> Result<(), Fault> {
    let directory = format!("{when}-{}.d", node.stage);
    let absolute = format!("{}/{directory}", paths::HOOKS);
    let hooks = executables(&node.root.path(&absolute))
        .with_context(|| format!("hooks in {absolute}"))
        .or_fault(Cause::HookFailed)?;
    for name in hooks {
        let hook = format!("{directory}/{name}");
        journal::set_field("NKD_HOOK", &*hook);
        let ended = execute(node, &hook);
        journal::set_field("NKD_HOOK", "");
        ended?;
    }
    Ok(())
}

fn execute(node: &mut Node<'_>, hook: &str) -> Result<(), Fault> {
    let begun = Instant::now();
    let plan = node.plan;
    node.root
        .executable(&format!("{}/{hook}", paths::HOOKS))
        .env("NKD_CLUSTER", &plan.cluster)
        .env("NKD_NODE", &plan.node)
        .env("NKD_ROLE", plan.role.name())
        .env("NKD_STAGE", node.stage.name())
        .env("NKD_ATTEMPT", node.attempt.to_string())
        .timeout(TIMEOUT)
        .run()
        .context("hook")
        .or_fault(Cause::HookFailed)?;
    let took = begun.elapsed().as_secs_f32();
    node.progress(
        format!("hook {hook} ended with status 0 in {took:.1} s"),
        None,
    );
    Ok(())
}

/// The names of a directory's files, sorted. One that can't be executed is meant to be, so it is an
/// error and not passed over.
fn executables(directory: &PathBuf) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let metadata = fs::metadata(entry.path())?;
        if !metadata.is_file() || metadata.permissions().mode() & EXECUTABLE == 0 {
            return Err(io::Error::other(format!(
                "{name} is not an executable file"
            )));
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}
