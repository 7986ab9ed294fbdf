//! Retries an installation that has failed, after an administrator has removed the cause.

use anyhow::{Context as _, bail};
use nkd_contract::{NodeStatus, State, Word, paths};

use crate::events::EventReader;
use crate::system::Root;

/// The unit of the worker process. A start tries the failed stage again, with its whole budget.
const UNIT: &str = "nkd-agent.service";

/// Restarts the worker process.
///
/// # Errors
/// The installation has not failed, or its unit cannot be started.
pub(crate) fn retry(root: &Root) -> anyhow::Result<()> {
    let path = root.path(paths::EVENTS);
    let events = EventReader::new(path.clone()).read();
    let events = events.with_context(|| format!("reading {}", path.display()))?;
    let mut status = NodeStatus::default();
    status.extend(&events);
    let node = &status.node;
    match status.state {
        Word::Known(State::Failed) => {}
        Word::Known(State::Waiting) => {
            bail!("the installation has not begun; see `systemctl status {UNIT}`")
        }
        Word::Known(State::Ready) => bail!("{node} is Ready: there is nothing to retry"),
        Word::Known(State::Installing | State::Retrying) | Word::Other(_) => {
            bail!("the installation of {node} has not failed; see `nkd-agent status`")
        }
    }
    root.command("systemctl")
        .args(["restart", "--no-block", UNIT])
        .run()?;
    match &status.stage {
        Some(stage) => println!("{node} tries {stage} again"),
        None => println!("{node} tries again"),
    }
    Ok(())
}
