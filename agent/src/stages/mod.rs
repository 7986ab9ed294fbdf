//! The stages, with one file for each. A stage is idempotent: it may be interrupted at any moment and
//! then runs again from its start, so it first checks what is already done.

mod addons;
mod api;
pub(crate) mod clock;
mod fault;
mod gate;
mod hooks;
mod host;
mod images;
mod kubeadm;
mod list;
pub(crate) mod name;
mod pivot;
mod ready;
mod runtime;

use std::time::{Duration, Instant};

use nkd_contract::{Cause, Kind, Plan, Progress, Stage};

pub(crate) use api::KUBELET_CREDENTIALS;
pub use fault::Fault;
pub(crate) use fault::{OrFault, can_report};
pub(crate) use kubeadm::ADMIN_CONFIG;
#[cfg(test)]
pub(crate) use list::StageEntry;
pub use list::{INSTALLATION, StageList};

use crate::announcer::{Announcer, News};
use crate::system::{self, Backoff, Root, TICK};
use hooks::When;

/// The pause before the next check after something has changed.
const SOON: Duration = Duration::from_millis(125);

/// The node a stage works on.
#[derive(Debug)]
pub struct Node<'a> {
    /// Its file system.
    pub root: &'a Root,
    /// Its plan.
    pub plan: &'a Plan,
    /// The stages of the installation.
    pub stages: StageList,
    /// The stage that runs.
    pub stage: Stage,
    /// The attempt at it, from 1.
    pub attempt: u32,
    /// The furthest stage that was ever due.
    pub reached: Stage,
    /// The least that was ever left to do in this stage, where it is counted.
    pub left: Option<u64>,
    /// Whether this attempt got further than any before it.
    pub advanced: bool,
    /// Where progress is announced.
    pub announcer: &'a mut Announcer,
}

impl Node<'_> {
    /// Whether a stage was ever due, in this attempt or before a reboot.
    fn was_due(&self, stage: Stage) -> bool {
        !self.stages.is_before(self.reached, stage)
    }

    /// Announces how far the stage is.
    fn progress(&mut self, message: impl Into<String>, progress: Option<Progress>) {
        let mut news = News::of(Kind::Progress, self.stage, self.attempt, message);
        news.progress = progress;
        self.announce(news);
    }

    /// Announces what the stage waits for, or continues without.
    fn warn(&mut self, reason: &Fault) {
        debug_assert!(can_report(self.stage, reason.cause), "{reason}");
        let mut news = News::of(Kind::Progress, self.stage, self.attempt, reason.message());
        news.cause = Some(reason.cause);
        self.announce(news);
    }

    /// Records how much is left to do. Less than ever before is progress, and progress restores the whole
    /// budget of the stage.
    fn count_left(&mut self, left: u64) {
        self.advanced |= self.left.is_some_and(|least| left < least);
        self.left = Some(self.left.map_or(left, |least| least.min(left)));
    }

    fn announce(&mut self, news: News) {
        // The next transition writes to the log too, and fails if that isn't possible.
        if let Err(error) = self.announcer.announce(news) {
            log::warn!("cannot write the event log: {error}");
        }
    }

    /// Checks until the check succeeds or the time is over, and announces each new reason for waiting.
    /// Checks follow each other quickly after a change, when another may be near, and then once a second.
    fn poll<T>(
        &mut self,
        window: Duration,
        look: impl FnMut(&Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let deadline = self.deadline(window);
        self.poll_until(|_| deadline, look)
    }

    /// The same, with a deadline that depends on the last fault.
    fn poll_until<T>(
        &mut self,
        deadline: impl FnMut(&Fault) -> Instant,
        look: impl FnMut(&Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut pause = SOON;
        let pauses = |change| {
            if change {
                pause = SOON;
            }
            let now = pause;
            pause = (pause * 2).min(TICK);
            now
        };
        self.look_until(deadline, pauses, look)
    }

    /// The same as [`Self::poll`], for a server that many nodes may ask together: pauses are random, and grow
    /// to the longest until something changes.
    fn poll_shared<T>(
        &mut self,
        window: Duration,
        longest: Duration,
        look: impl FnMut(&Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut backoff = Backoff::new(longest);
        let pauses = |change| {
            if change {
                backoff = Backoff::new(longest);
            }
            backoff.next(None)
        };
        let deadline = self.deadline(window);
        self.look_until(|_| deadline, pauses, look)
    }

    /// The end of a window that begins now, and at most of the stage's budget.
    fn deadline(&self, window: Duration) -> Instant {
        Instant::now() + window.min(self.plan.budget(self.stage))
    }

    /// Checks until the check succeeds or the time is over. The pauses depend on whether the fault has
    /// changed.
    fn look_until<T>(
        &mut self,
        mut deadline: impl FnMut(&Fault) -> Instant,
        mut pauses: impl FnMut(bool) -> Duration,
        mut look: impl FnMut(&Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut announced = None;
        loop {
            let fault = match look(self) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let left = deadline(&fault).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(fault);
            }
            let change = announced.as_ref() != Some(&fault);
            if change {
                self.warn(&fault);
                announced = Some(fault);
            }
            system::sleep(pauses(change).min(left));
        }
    }
}

/// Runs one attempt at the node's stage.
///
/// # Errors
/// The attempt failed.
pub fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let Some(entry) = node.stages.entry(node.stage) else {
        let message = format!("this installation has no stage {}", node.stage);
        return Err(Fault::new(Cause::AgentInternal, message));
    };
    hooks::run(node, When::Pre)?;
    (entry.attempt)(node)?;
    hooks::run(node, When::Post)
}

/// Makes the work of a stage survive a power cut.
///
/// # Errors
/// A file system can't be synced.
pub(crate) fn sync(root: &Root, plan: &Plan) -> Result<(), Fault> {
    system::sync(root, plan.runtime).or_fault(Cause::AgentSync)
}
