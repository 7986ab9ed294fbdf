//! Runs one stage after another and records how each attempt went.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use nkd_contract::{Cause, Kind, Plan, Stage, paths};

use super::state::WorkerState;
use super::step::{Change, Failure, Step};
use super::{Outcome, ready};
use crate::announcer::{Announcer, News};
use crate::stages::{self, Fault, Node, StageList, can_report, name};
use crate::system::files::give_up_reserve;
use crate::system::{self, Root};

/// The limits of the pause before a stage is retried whose budget is used up. Between these limits, the
/// pause is as long as the budget.
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

pub(super) struct Worker<'a> {
    root: &'a Root,
    plan: Plan,
    stages: StageList,
    announcer: Announcer,
    state: WorkerState,
    /// Why the last attempt failed.
    cause: Option<Cause>,
}

/// An attempt that has ended.
struct Ended {
    stage: Stage,
    attempt: u32,
    took: Duration,
    /// Whether it got further than all earlier attempts.
    advanced: bool,
    result: Result<(), Fault>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        root: &'a Root,
        plan: Plan,
        stages: StageList,
        announcer: Announcer,
        state: WorkerState,
    ) -> Self {
        Self {
            root,
            plan,
            stages,
            announcer,
            state,
            cause: None,
        }
    }

    /// Runs the installation from its current step to its end. `news` is announced first.
    ///
    /// # Errors
    /// The agent's own state cannot be written.
    pub(super) fn work(&mut self, news: News) -> anyhow::Result<Outcome> {
        if self.state.step != Step::Ready {
            self.save([news])?;
        }
        loop {
            match self.state.step {
                Step::Due {
                    stage,
                    attempt,
                    delay,
                    ..
                } => {
                    system::sleep(Duration::from_millis(delay));
                    self.state.advance(Change::Begin, self.stages);
                    self.save([News::of(Kind::StageStarted, stage, attempt, "started")])?;
                }
                Step::Running { stage, attempt, .. } => self.attempt(stage, attempt)?,
                Step::Exhausted {
                    stage,
                    attempt,
                    delay,
                } => {
                    system::sleep(Duration::from_millis(delay));
                    self.attempt_quietly(stage, attempt)?;
                }
                Step::Ready => {
                    ready::mark(self.root)?;
                    give_up_reserve(&self.root.path(paths::STATE));
                    return Ok(Outcome::Ready);
                }
                Step::Failed { .. } => return Ok(Outcome::Stopped),
            }
        }
    }

    fn attempt(&mut self, stage: Stage, attempt: u32) -> anyhow::Result<()> {
        let ended = self.run(stage, attempt);
        match &ended.result {
            Ok(()) => self.succeeded(&ended, None),
            Err(fault) => {
                let news = self.failed(&ended, fault);
                self.save([news])
            }
        }
    }

    /// Retries a stage whose budget is used up. The node is reported as failed until the stage succeeds.
    /// Attempts are not reported, except when the cause changes.
    fn attempt_quietly(&mut self, stage: Stage, attempt: u32) -> anyhow::Result<()> {
        self.announcer.set_quiet(true);
        let ended = self.run(stage, attempt);
        self.announcer.set_quiet(false);
        match &ended.result {
            Ok(()) => {
                let message = format!("{stage} succeeded after its budget had been used up");
                let again = News::of(Kind::Started, stage, attempt, message);
                self.succeeded(&ended, Some(again))
            }
            Err(fault) => {
                let before = self.cause;
                let news = self.failed(&ended, fault);
                let stopped = matches!(self.state.step, Step::Failed { .. });
                let is_news = stopped || before != Some(fault.cause);
                self.save(Some(news).filter(|_| is_news))
            }
        }
    }

    /// Runs a stage once.
    fn run(&mut self, stage: Stage, attempt: u32) -> Ended {
        let begun = Instant::now();
        let mut node = Node {
            root: self.root,
            plan: &self.plan,
            stages: self.stages,
            stage,
            attempt,
            reached: self.state.furthest(self.stages),
            left: self.state.left,
            advanced: false,
            announcer: &mut self.announcer,
        };
        let result = stages::run(&mut node).and_then(|()| stages::sync(self.root, &self.plan));
        if let Err(fault) = &result {
            debug_assert!(can_report(stage, fault.cause), "{stage}: {fault}");
        }
        self.state.left = node.left;
        let ended = Ended {
            stage,
            attempt,
            took: begun.elapsed(),
            advanced: node.advanced,
            result,
        };
        self.take_name();
        ended
    }

    /// Takes the name that the stage `host` may have given the node of an open pool.
    fn take_name(&mut self) {
        if self.plan.node.is_empty() {
            name::fill_in(&mut self.plan, self.root);
            self.announcer.rename(&self.plan.node);
        }
    }

    /// Records a success. `first` is announced before it.
    fn succeeded(&mut self, ended: &Ended, first: Option<News>) -> anyhow::Result<()> {
        self.state.advance(Change::Succeeded, self.stages);
        let message = format!("done in {:.1} s", ended.took.as_secs_f32());
        let done = News::of(Kind::StageDone, ended.stage, ended.attempt, message);
        let ready = (self.state.step == Step::Ready).then(|| {
            let Plan { node, cluster, .. } = &self.plan;
            News::new(Kind::Ready, format!("{node} is a Ready node of {cluster}"))
        });
        self.save(first.into_iter().chain([done]).chain(ready))
    }

    /// Moves to the step after a failure, and returns the news about it.
    fn failed(&mut self, ended: &Ended, fault: &Fault) -> News {
        let (stage, attempt) = (ended.stage, ended.attempt);
        let budget = self.plan.budget(stage);
        self.cause = Some(fault.cause);
        let failure = Failure {
            class: fault.cause.class(),
            took: ended.took,
            advanced: ended.advanced,
            budget,
            delay: system::jittered(attempt, self.stages.longest_delay(stage)),
            pause: pause(budget),
        };
        self.state.advance(Change::Faulted(failure), self.stages);
        let (kind, retry_after) = match self.state.step {
            Step::Due { delay, .. } => (Kind::AttemptFailed, Some(delay)),
            Step::Exhausted { delay, .. } => (Kind::Failed, Some(delay)),
            _ => (Kind::Failed, None),
        };
        let mut news = News::of(kind, stage, attempt, fault.message());
        news.cause = Some(fault.cause);
        news.retry_after = retry_after;
        news
    }

    /// Saves a step, then publishes its events.
    fn save(&mut self, news: impl IntoIterator<Item = News>) -> anyhow::Result<()> {
        self.state.at = system::since_boot();
        let events = self.announcer.events(news);
        if !events.is_empty() {
            self.state.events = events;
        }
        self.state.save(self.root).context(paths::STATE)?;
        for event in &self.state.events {
            self.announcer.publish(event).context(paths::EVENTS)?;
        }
        Ok(())
    }
}

/// A random pause, so that nodes that failed at the same moment do not retry at the same moment.
fn pause(budget: Duration) -> Duration {
    let longest = budget.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
