//! The user's own executables that run before and after stages. The user's Ignition config delivers them
//! to `/etc/nkd/hooks/{pre,post}-STAGE.d/`. The agent executes them directly, without a shell, in the
//! order of their names.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nkd_contract::{Cause, paths};

use super::{Fault, Node, OrFault as _, name};
use crate::system::journal;

/// The time limit for one hook.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// The permission bits for executing a file.
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

/// Runs the hooks of the node's stage. The first hook that fails ends the attempt.
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
        .env("NKD_NODE", name::of(plan, node.root))
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

/// The names of the files in a directory, sorted. A file that cannot be executed is an error and not
/// ignored, because it is meant to be a hook.
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
