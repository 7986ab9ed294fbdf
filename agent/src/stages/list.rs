//! The stages of an installation, as data.
//!
//! The worker process gets a [`StageList`] as a value, and everything about a stage from its
//! [`StageEntry`]. Another kind of plan, such as an upgrade, has another list.

use std::fmt;
use std::time::Duration;

use nkd_contract::Stage;

use super::kubeadm::{self, MEMBER};
use super::{Fault, Node, addons, clock, gate, host, images, pivot, ready, runtime};

/// The longest delay between two attempts, unless a stage has another.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// The longest delay for stages that already wait for others during an attempt.
const SHORT_DELAY: Duration = Duration::from_secs(2);
/// The longest delay for the checks of the machine, which take little time.
const CHECK_DELAY: Duration = Duration::from_secs(5);

/// A stage, with everything that the worker process needs to run it.
#[derive(Clone, Copy)]
pub(crate) struct StageEntry {
    /// The stage's name.
    pub(crate) stage: Stage,
    /// The function that runs one attempt.
    pub(crate) attempt: fn(&mut Node<'_>) -> Result<(), Fault>,
    /// Whether it runs on every boot, or only until it has been passed once.
    pub(crate) on_every_boot: bool,
    /// The longest delay between two attempts.
    pub(crate) longest_delay: Duration,
    /// The marker: a file that exists as long as the results of the stage exist.
    pub(crate) mark: Option<&'static str>,
}

impl StageEntry {
    /// A stage that runs on every boot and verifies its earlier work.
    pub(crate) const fn new(
        stage: Stage,
        attempt: fn(&mut Node<'_>) -> Result<(), Fault>,
        longest_delay: Duration,
    ) -> Self {
        Self {
            stage,
            attempt,
            on_every_boot: true,
            longest_delay,
            mark: None,
        }
    }

    /// The same stage, which does not run again after it has been passed.
    pub(crate) const fn once(mut self) -> Self {
        self.on_every_boot = false;
        self
    }

    /// The same stage with a marker.
    const fn marked_by(mut self, path: &'static str) -> Self {
        self.mark = Some(path);
        self
    }
}

impl fmt::Debug for StageEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.stage)
    }
}

/// Stages in the order in which they run. There is at least one.
#[derive(Debug, Clone, Copy)]
pub struct StageList {
    first: Stage,
    entries: &'static [StageEntry],
}

/// The stages that make a machine a Ready node.
pub const INSTALLATION: StageList = StageList::new(&[
    StageEntry::new(Stage::Clock, clock::run, LONGEST_DELAY),
    StageEntry::new(Stage::Pivot, pivot::run, LONGEST_DELAY),
    StageEntry::new(Stage::Host, host::run, CHECK_DELAY),
    StageEntry::new(Stage::Runtime, runtime::run, LONGEST_DELAY),
    StageEntry::new(Stage::Images, images::run, LONGEST_DELAY),
    // A control plane whose join was cut off may itself be what the cluster's API waits for, so the gate
    // must not hold it up a second time.
    StageEntry::new(Stage::Gate, gate::run, SHORT_DELAY).once(),
    StageEntry::new(Stage::Kubeadm, kubeadm::run, LONGEST_DELAY).marked_by(MEMBER),
    StageEntry::new(Stage::Addons, addons::run, LONGEST_DELAY),
    StageEntry::new(Stage::Ready, ready::run, SHORT_DELAY),
]);

impl StageList {
    /// A list of these stages.
    ///
    /// # Panics
    /// The list is empty. For a constant, this is a compile-time error.
    pub(crate) const fn new(entries: &'static [StageEntry]) -> Self {
        match entries {
            [first, ..] => Self {
                first: first.stage,
                entries,
            },
            [] => panic!("a list of stages has at least one"),
        }
    }

    /// The first stage.
    pub(crate) fn first(self) -> Stage {
        self.first
    }

    /// The entry of a stage, or `None` if the stage is not in the list.
    pub(crate) fn entry(self, stage: Stage) -> Option<&'static StageEntry> {
        self.entries.iter().find(|entry| entry.stage == stage)
    }

    /// The stages before this one.
    pub(crate) fn before(self, stage: Stage) -> impl Iterator<Item = &'static StageEntry> {
        let entries = self.entries.iter();
        entries.take_while(move |entry| entry.stage != stage)
    }

    /// Whether a stage comes before another.
    pub(crate) fn is_before(self, stage: Stage, other: Stage) -> bool {
        self.before(other).any(|entry| entry.stage == stage)
    }

    /// The later of two stages.
    pub(crate) fn later(self, stage: Stage, other: Stage) -> Stage {
        if self.is_before(stage, other) {
            other
        } else {
            stage
        }
    }

    /// The stage to run after this one, where `reached` is the furthest stage that was ever due. `None`
    /// after the last one.
    pub(crate) fn next(self, stage: Stage, reached: Stage) -> Option<Stage> {
        let after = self.entries.iter().skip_while(|entry| entry.stage != stage);
        let mut due = after
            .skip(1)
            .filter(|entry| entry.on_every_boot || !self.is_before(entry.stage, reached));
        due.next().map(|entry| entry.stage)
    }

    /// The longest delay between two attempts at a stage.
    pub fn longest_delay(self, stage: Stage) -> Duration {
        self.entry(stage)
            .map_or(LONGEST_DELAY, |entry| entry.longest_delay)
    }
}
