//! The steps of an installation, and the only function that moves from one step to the next.

use std::time::Duration;

use nkd_contract::{Class, Stage};
use serde::{Deserialize, Serialize};

use crate::stages::StageList;

/// A step of an installation. Times are in milliseconds and come from the monotonic clock, because the
/// wall clock may jump when the first stage sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub(crate) enum Step {
    /// An attempt at a stage will begin after a delay.
    Due {
        /// The stage.
        stage: Stage,
        /// The attempt, from 1.
        attempt: u32,
        /// How long to wait first.
        delay: u64,
        /// The part of the stage's budget that is used up.
        spent: u64,
    },
    /// An attempt has begun.
    Running {
        /// The stage.
        stage: Stage,
        /// The attempt, from 1.
        attempt: u32,
        /// The part of the stage's budget that was used up before.
        spent: u64,
    },
    /// The budget is used up. The node counts as failed, but the agent retries the stage every few
    /// minutes, because the cause may disappear without a person.
    Exhausted {
        /// The stage.
        stage: Stage,
        /// The next attempt.
        attempt: u32,
        /// How long to wait first.
        delay: u64,
    },
    /// The node is Ready.
    Ready,
    /// The installation has stopped.
    Failed {
        /// The stage in which it stopped.
        stage: Stage,
    },
}

/// A change that leads to the next step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// The worker process started on another boot than before.
    Rebooted,
    /// The worker process started again on the same boot, between two attempts or because a person has
    /// restarted it.
    Restarted,
    /// The worker process started again on the same boot, and its attempt had not ended.
    CutOff {
        /// How long ago the attempt began.
        since: Duration,
        /// The budget of its stage.
        budget: Duration,
    },
    /// The attempt that was due begins.
    Begin,
    /// The running attempt succeeded.
    Succeeded,
    /// The running attempt failed.
    Faulted(Failure),
}

/// A failed attempt, and the delays after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    /// Whether another attempt can help.
    pub(crate) class: Class,
    /// How long the attempt took.
    pub(crate) took: Duration,
    /// Whether the stage got further than in all earlier attempts, which restores its whole budget.
    pub(crate) advanced: bool,
    /// The budget of the stage.
    pub(crate) budget: Duration,
    /// The delay before the next attempt.
    pub(crate) delay: Duration,
    /// The delay if the budget is used up.
    pub(crate) pause: Duration,
}

/// An interrupted attempt uses up at most the budget divided by this number, because the time of its end
/// is unknown. So a worker process that is stopped for a night resumes, and one that is killed in every
/// attempt still reaches the end of its budget.
const CUT_OFF_ATTEMPTS: u32 = 10;

impl Step {
    /// The first step of an installation in these stages.
    pub(crate) fn first(stages: StageList) -> Self {
        Self::first_attempt(stages.first())
    }

    const fn first_attempt(stage: Stage) -> Self {
        Self::Due {
            stage,
            attempt: 1,
            delay: 0,
            spent: 0,
        }
    }

    /// The step after this one, where `reached` is the furthest stage that was ever due. A change that
    /// cannot happen in a step does not change it.
    #[must_use]
    pub(crate) fn on(self, input: Change, stages: StageList, reached: Stage) -> Self {
        match (self, input) {
            (Self::Ready, _) => Self::Ready,
            // After a reboot, modules, hostname and runtime may have changed.
            (_, Change::Rebooted) => Self::first(stages),
            (
                Self::Running {
                    stage,
                    attempt,
                    spent,
                },
                Change::CutOff { since, budget },
            ) => {
                let took = since.min(budget / CUT_OFF_ATTEMPTS);
                let spent = spent.saturating_add(millis(took));
                if spent > millis(budget) {
                    return Self::Failed { stage };
                }
                Self::due(stage, attempt, spent, 0)
            }
            // An administrator who starts a stopped installation has removed the cause.
            (Self::Failed { stage } | Self::Exhausted { stage, .. }, Change::Restarted) => {
                Self::first_attempt(stage)
            }
            (
                Self::Due {
                    stage,
                    attempt,
                    spent,
                    ..
                },
                Change::Begin,
            ) => Self::Running {
                stage,
                attempt,
                spent,
            },
            (Self::Running { stage, .. } | Self::Exhausted { stage, .. }, Change::Succeeded) => {
                let next = stages.next(stage, reached);
                next.map_or(Self::Ready, Self::first_attempt)
            }
            (_, Change::Faulted(failure)) => self.failed(failure),
            (step, _) => step,
        }
    }

    /// The step after a failed attempt. After the first attempt, and after each attempt that made
    /// progress, there is always another one, because such an attempt may have used up the whole budget
    /// and failed for a temporary reason.
    fn failed(self, failure: Failure) -> Self {
        let Failure { budget, delay, .. } = failure;
        let (stage, attempt, spent) = match self {
            Self::Running {
                stage,
                attempt,
                spent,
            } => (stage, attempt, spent),
            Self::Exhausted { stage, attempt, .. } => (stage, attempt, u64::MAX),
            step => return step,
        };
        let was_exhausted = matches!(self, Self::Exhausted { .. });
        let used = spent.saturating_add(millis(failure.took));
        let delay = millis(delay.min(budget));
        let spent = if failure.advanced { 0 } else { used }.saturating_add(delay);
        let deserves_another = !budget.is_zero() && (attempt == 1 || failure.advanced);
        match failure.class {
            Class::Permanent => Self::Failed { stage },
            Class::Transient if was_exhausted || spent >= millis(budget) && !deserves_another => {
                Self::Exhausted {
                    stage,
                    attempt: attempt.saturating_add(1),
                    delay: millis(failure.pause),
                }
            }
            Class::Transient => Self::due(stage, attempt, spent, delay),
        }
    }

    /// The attempt after another.
    fn due(stage: Stage, attempt: u32, spent: u64, delay: u64) -> Self {
        Self::Due {
            stage,
            attempt: attempt.saturating_add(1),
            delay,
            spent,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::state::WorkerState;
    use super::*;
    use crate::stages::{INSTALLATION, StageEntry};

    fn running(stage: Stage, attempt: u32, spent: u64) -> Step {
        Step::Running {
            stage,
            attempt,
            spent,
        }
    }

    fn fault(class: Class, took: u64, delay: u64) -> Change {
        Change::Faulted(Failure {
            class,
            took: Duration::from_secs(took),
            advanced: false,
            budget: Duration::from_secs(60),
            delay: Duration::from_secs(delay),
            pause: Duration::from_secs(100),
        })
    }

    fn exhausted(attempt: u32) -> Step {
        Step::Exhausted {
            stage: Stage::Host,
            attempt,
            delay: 100_000,
        }
    }

    fn cut_off(since: u64) -> Change {
        Change::CutOff {
            since: Duration::from_secs(since),
            budget: Duration::from_secs(60),
        }
    }

    /// The stages that run in an installation in which nothing fails but the power: `reboots` are
    /// the steps, counted from the beginning, after which it does.
    fn path(stages: StageList, reboots: &[usize]) -> Vec<Stage> {
        let mut state = WorkerState::new(String::new(), String::new(), stages);
        let mut path = Vec::new();
        for step in 1.. {
            match state.step {
                Step::Due { .. } => state.advance(Change::Begin, stages),
                Step::Running { stage, .. } => {
                    path.push(stage);
                    state.advance(Change::Succeeded, stages);
                }
                Step::Ready => break,
                Step::Exhausted { .. } | Step::Failed { .. } => panic!("nothing fails here"),
            }
            if reboots.contains(&step) {
                state.advance(Change::Rebooted, stages);
            }
        }
        path
    }

    #[test]
    fn the_stages_run_in_their_order() {
        assert_eq!(path(INSTALLATION, &[]), Stage::ALL);
    }

    #[test]
    fn after_a_reboot_every_stage_runs_again_but_a_gate_that_was_passed() {
        for done in 0..Stage::ALL.len() {
            let (before, _) = Stage::ALL.split_at(done);
            let passed = before.contains(&Stage::Gate);
            let again = Stage::ALL
                .iter()
                .filter(|stage| !passed || **stage != Stage::Gate);
            let expected: Vec<_> = before.iter().chain(again).copied().collect();
            // Each stage is two steps: it begins, and it is done.
            assert_eq!(path(INSTALLATION, &[2 * done]), expected);
            assert_eq!(path(INSTALLATION, &[2 * done + 1]), expected);
        }
    }

    #[test]
    fn another_list_of_stages_is_another_way_to_ready() {
        const DELAY: Duration = Duration::ZERO;
        const OTHER: StageList = StageList::new(&[
            StageEntry::new(Stage::Gate, |_| Ok(()), DELAY),
            StageEntry::new(Stage::Images, |_| Ok(()), DELAY).once(),
            StageEntry::new(Stage::Clock, |_| Ok(()), DELAY),
        ]);
        let (gate, images, clock) = (Stage::Gate, Stage::Images, Stage::Clock);
        assert_eq!(path(OTHER, &[]), [gate, images, clock]);
        // The power fails when `images` is done, which isn't run again.
        assert_eq!(path(OTHER, &[4]), [gate, images, gate, clock]);
    }

    #[test]
    fn a_crash_is_the_end_of_an_attempt() {
        let step = running(Stage::Images, 2, 500).on(cut_off(3), INSTALLATION, Stage::Clock);
        let expected = Step::Due {
            stage: Stage::Images,
            attempt: 3,
            delay: 0,
            spent: 3_500,
        };
        assert_eq!(step, expected);
    }

    #[test]
    fn a_worker_that_is_cut_off_again_and_again_uses_up_the_budget_bit_by_bit() {
        let night = cut_off(12 * 3600);
        let mut step = running(Stage::Images, 1, 0);
        for attempt in 2..=11 {
            step = step.on(night, INSTALLATION, Stage::Clock).on(
                Change::Begin,
                INSTALLATION,
                Stage::Clock,
            );
            assert_eq!(
                step,
                running(Stage::Images, attempt, 6_000 * u64::from(attempt - 1))
            );
        }
        let stage = Stage::Images;
        assert_eq!(
            step.on(night, INSTALLATION, Stage::Clock),
            Step::Failed { stage }
        );
    }

    #[test]
    fn a_transient_fault_is_tried_again_until_the_budget_is_used_up() {
        let step = running(Stage::Host, 1, 0).on(
            fault(Class::Transient, 10, 20),
            INSTALLATION,
            Stage::Clock,
        );
        let expected = Step::Due {
            stage: Stage::Host,
            attempt: 2,
            delay: 20_000,
            spent: 30_000,
        };
        assert_eq!(step, expected);
        let again = step.on(Change::Begin, INSTALLATION, Stage::Clock).on(
            fault(Class::Transient, 10, 21),
            INSTALLATION,
            Stage::Clock,
        );
        assert_eq!(again, exhausted(3));
    }

    #[test]
    fn a_first_attempt_that_takes_longer_than_the_budget_is_followed_by_a_second() {
        let fault = fault(Class::Transient, 3_600, 5);
        let step = running(Stage::Host, 1, 0).on(fault, INSTALLATION, Stage::Clock);
        assert!(matches!(step, Step::Due { attempt: 2, .. }));
        let step = step.on(Change::Begin, INSTALLATION, Stage::Clock);
        assert_eq!(step.on(fault, INSTALLATION, Stage::Clock), exhausted(3));
    }

    #[test]
    fn an_attempt_that_got_further_gives_the_stage_its_budget_anew() {
        let mut fault = fault(Class::Transient, 3_600, 5);
        if let Change::Faulted(failure) = &mut fault {
            failure.advanced = true;
        }
        let mut step = running(Stage::Images, 1, 0);
        for attempt in 2..100 {
            step = step.on(fault, INSTALLATION, Stage::Clock).on(
                Change::Begin,
                INSTALLATION,
                Stage::Clock,
            );
            assert_eq!(step, running(Stage::Images, attempt, 5_000));
        }
    }

    #[test]
    fn a_stage_whose_budget_is_used_up_is_tried_on_until_it_succeeds() {
        let transient = fault(Class::Transient, 1, 1);
        let step = exhausted(7).on(transient, INSTALLATION, Stage::Clock);
        assert_eq!(step, exhausted(8));
        let next = Stage::Host.next().unwrap();
        let done = step.on(Change::Succeeded, INSTALLATION, Stage::Clock);
        assert_eq!(done, Step::first_attempt(next));
        let permanent = fault(Class::Permanent, 1, 1);
        let stopped = step.on(permanent, INSTALLATION, Stage::Clock);
        assert_eq!(stopped, Step::Failed { stage: Stage::Host });
    }

    #[test]
    fn a_permanent_fault_stops_at_once() {
        let step = running(Stage::Host, 1, 0).on(
            fault(Class::Permanent, 0, 0),
            INSTALLATION,
            Stage::Clock,
        );
        assert_eq!(step, Step::Failed { stage: Stage::Host });
    }

    #[test]
    fn a_stopped_installation_tries_the_failed_stage_again_when_started() {
        let stage = Stage::Host;
        for step in [Step::Failed { stage }, exhausted(9)] {
            let again = step.on(Change::Restarted, INSTALLATION, Stage::Clock);
            assert_eq!(again, Step::first_attempt(stage));
        }
    }

    #[test]
    fn a_ready_node_stays_ready_whatever_happens() {
        for input in [
            Change::Begin,
            Change::Rebooted,
            Change::Restarted,
            fault(Class::Permanent, 0, 0),
        ] {
            assert_eq!(
                Step::Ready.on(input, INSTALLATION, Stage::Clock),
                Step::Ready
            );
        }
    }
}
