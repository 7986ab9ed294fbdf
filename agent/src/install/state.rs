//! What the worker remembers across crashes and reboots.

use std::io;
use std::time::Duration;

use nkd_contract::{Event, Stage, paths};
use serde::{Deserialize, Serialize};

use super::step::{Change, Step};
use crate::stages::StageList;
use crate::system::Root;
use crate::system::files::{read_if_exists, with_reserve, write_atomic};

/// `/var/lib/nkd/state.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkerState {
    /// Digest of the plan this installation is of.
    pub(crate) plan: String,
    /// The boot this was written on.
    pub(crate) boot: String,
    /// How long after the start of that boot.
    pub(crate) at: Duration,
    /// The furthest stage that was ever due.
    pub(crate) reached: Stage,
    /// Where the installation is.
    pub(crate) step: Step,
    /// The least that was ever left to do in this stage, where it is counted.
    #[serde(default)]
    pub(crate) left: Option<u64>,
    /// The events of the last step. They are saved here first and written to the log second, so that a crash
    /// in between neither loses nor repeats one.
    pub(crate) events: Vec<Event>,
}

impl WorkerState {
    /// The beginning of an installation in these stages.
    pub(crate) fn new(plan: String, boot: String, stages: StageList) -> Self {
        Self {
            plan,
            boot,
            at: Duration::ZERO,
            reached: stages.first(),
            step: Step::first(stages),
            left: None,
            events: Vec::new(),
        }
    }

    /// Moves to the step after a change.
    pub(crate) fn advance(&mut self, input: Change, stages: StageList) {
        self.step = self.step.on(input, stages, self.reached);
        if let Step::Due { stage, attempt, .. } = self.step {
            self.reached = stages.later(stage, self.reached);
            if attempt == 1 {
                self.left = None;
            }
        }
    }

    /// The state that was saved last. If it can't be parsed, the installation starts with its first stage:
    /// every stage checks by itself what is already done.
    ///
    /// # Errors
    /// The file can't be read or written.
    pub(crate) fn load(root: &Root) -> io::Result<Option<Self>> {
        let Some(json) = read_if_exists(&root.path(paths::STATE))? else {
            return Ok(None);
        };
        Ok(serde_json::from_slice(&json)
            .inspect_err(|error| {
                log::warn!(
                    "starting with the first stage, because the saved state can't be read: {error}"
                )
            })
            .ok())
    }

    /// Saves the state; it is on the disk when this returns.
    ///
    /// # Errors
    /// The file can't be read or written.
    pub(crate) fn save(&self, root: &Root) -> io::Result<()> {
        let (path, json) = (root.path(paths::STATE), serde_json::to_vec(self)?);
        with_reserve(&path, || write_atomic(&path, &json, 0o600))
    }
}
