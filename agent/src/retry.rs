//! Goes on with an installation that has stopped for good, when a person has seen to the cause.

use anyhow::{Context as _, bail};
use nkd_contract::{NodeStatus, State, paths};

use crate::events::EventReader;
use crate::system::Root;

/// The worker's unit: starting it tries the failed stage again.
const UNIT: &str = "nkd-agent.service";

/// Has the worker try again.
///
/// # Errors
/// The installation hasn't stopped, or its unit can't be started.
pub fn retry(root: &Root) -> anyhow::Result<()> {
    let path = root.path(paths::EVENTS);
    let events = EventReader::new(path.clone()).read();
    let events = events.with_context(|| format!("reading {}", path.display()))?;
    let mut status = NodeStatus::default();
    status.extend(&events);
    let node = &status.node;
    match status.state {
        State::Failed => {}
        State::Waiting => bail!("the installation hasn't begun; see `systemctl status {UNIT}`"),
        State::Ready => bail!("{node} is Ready: there is nothing to try again"),
        State::Installing | State::Retrying => {
            bail!("the installation of {node} hasn't stopped; see `nkd-agent status`")
        }
    }
    root.command("systemctl")
        .args(["start", "--no-block", UNIT])
        .run()?;
    match status.stage {
        Some(stage) => println!("{node} tries {stage} again"),
        None => println!("{node} tries again"),
    }
    Ok(())
}
