//! The worker process: takes the node from its plan to Ready, across failures, restarts and reboots.

mod lock;
mod ready;
mod state;
mod step;
mod updates;
mod worker;

use std::fs;
use std::io;

use anyhow::Context as _;
use nkd_contract::{Cause, Kind, Plan, PlanError, paths};

use crate::announcer::{self, Announcer, News};
use crate::stages::{Fault, StageList, name};
use crate::system::files::keep_reserve;
use crate::system::{self, Root};
use state::WorkerState;
use step::{Change, Step};
use worker::Worker;

/// How an installation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The node is Ready.
    Ready,
    /// An administrator has to act; the event log has the cause.
    Stopped,
    /// The agent's own state cannot be read or written. systemd starts the agent again later.
    Lost,
}

/// Installs the node in these stages, or resumes its installation.
///
/// # Errors
/// Another process is installing the node, or the lock cannot be taken.
pub(crate) fn install(root: &Root, stages: StageList) -> anyhow::Result<Outcome> {
    let _lock = lock::take(root)?;
    Ok(begin(root, stages).unwrap_or_else(|error| {
        announcer::tell_of_lost_state(root, &error);
        Outcome::Lost
    }))
}

/// # Errors
/// The agent's own state cannot be read or written.
fn begin(root: &Root, stages: StageList) -> anyhow::Result<Outcome> {
    // The unit counts as started although its work isn't done, so that the boot doesn't wait for a cluster.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let boot = system::boot_id();
    let mut announcer = Announcer::open(root, boot.clone()).context(paths::EVENTS)?;
    let (mut plan, digest) = match read_plan(root) {
        Ok(read) => read,
        Err(fault) => return stop(&mut announcer, &fault),
    };
    name::fill_in(&mut plan, root);
    announcer.adopt(&plan, &digest);
    keep_reserve(&root.path(paths::STATE));
    let saved = WorkerState::load(root, stages).context(paths::STATE)?;
    let mut state = saved.unwrap_or_else(|| WorkerState::new(digest.clone(), boot.clone(), stages));
    if state.plan != digest {
        let message = format!(
            "the installation began with another plan, {}",
            short(&state.plan)
        );
        return stop(&mut announcer, &Fault::new(Cause::PlanChanged, message));
    }
    for event in &state.events {
        announcer.publish(event)?;
    }
    for entry in stages.before(state.furthest(stages)) {
        if let Some(mark) = entry.mark.filter(|mark| !root.path(mark).exists()) {
            let message = format!("stage {} was done, but {mark} does not exist", entry.stage);
            return stop(&mut announcer, &Fault::new(Cause::PlanVarKept, message));
        }
    }
    let news = restart(&plan, stages, &mut state, boot);
    let mut worker = Worker::new(root, plan, stages, announcer, state);
    worker.work(news)
}

/// Moves the saved state to the step that follows this start, and returns the news about it.
fn restart(plan: &Plan, stages: StageList, state: &mut WorkerState, boot: String) -> News {
    let began = beginning(plan, state, &boot);
    let left = state.step;
    let input = match left {
        _ if state.boot != boot => Change::Rebooted,
        Step::Running { stage, .. } => Change::CutOff {
            since: system::since_boot().saturating_sub(state.at),
            budget: plan.budget(stage),
        },
        _ => Change::Restarted,
    };
    state.boot = boot;
    state.advance(input, stages);
    match (left, state.step) {
        (Step::Running { stage, attempt, .. }, Step::Failed { .. }) => {
            let message = format!("attempt {attempt} was interrupted, like the attempts before it");
            let mut news = News::of(Kind::Failed, stage, attempt, message);
            news.cause = Some(Cause::AgentCutOff);
            news
        }
        _ => News::new(Kind::Started, began),
    }
}

/// The first message of this start.
fn beginning(plan: &Plan, state: &WorkerState, boot: &str) -> String {
    match state.step {
        _ if state.events.is_empty() => {
            let role = plan.role.name();
            let machine = match &plan.pool {
                Some(pool) if plan.node.is_empty() => format!("a machine of the pool {pool}"),
                _ => plan.node.clone(),
            };
            format!("installing {machine} as {role} of {}", plan.cluster)
        }
        Step::Failed { stage } | Step::Exhausted { stage, .. } => {
            format!("retrying stage {stage}, which had failed")
        }
        _ if state.boot != boot => "resuming after a reboot".to_owned(),
        _ => "resuming an interrupted installation".to_owned(),
    }
}

/// Announces a fault that prevents the installation from starting. No state is saved, because the next
/// start has the same result.
fn stop(announcer: &mut Announcer, fault: &Fault) -> anyhow::Result<Outcome> {
    let mut news = News::new(Kind::Failed, fault.message());
    news.cause = Some(fault.cause);
    announcer.announce(news)?;
    Ok(Outcome::Stopped)
}

/// The node's plan and its digest.
pub(crate) fn read_plan(root: &Root) -> Result<(Plan, String), Fault> {
    let json = fs::read(root.path(paths::PLAN)).map_err(|error| {
        let cause = match error.kind() {
            io::ErrorKind::NotFound => Cause::PlanMissing,
            _ => Cause::PlanInvalid,
        };
        Fault::of(cause, error).context(paths::PLAN)
    })?;
    let plan = Plan::parse(&json).map_err(|error| {
        let cause = match error {
            PlanError::Schema { .. } | PlanError::Requires { .. } => Cause::PlanSchema,
            PlanError::Invalid(_) => Cause::PlanInvalid,
        };
        Fault::of(cause, error)
    })?;
    Ok((plan, Plan::digest(&json)))
}

/// The part of a digest that people compare.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
