//! The state that the worker process saves across crashes and reboots.

use std::io;
use std::time::Duration;

use nkd_contract::{Event, Stage, Word, paths};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::step::{Change, Step};
use crate::stages::StageList;
use crate::system::Root;
use crate::system::files::{read_if_exists, with_reserve, write_atomic};

/// `/var/lib/nkd/state.json`. It may have been written by a later release that was rolled back, or by an earlier one
/// that was updated.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkerState {
    /// The digest of the plan of this installation.
    pub(crate) plan: String,
    /// The boot on which the state was written.
    pub(crate) boot: String,
    /// The time of writing, since the start of that boot.
    pub(crate) at: Duration,
    /// The stages that were ever due. A release that does not have the last of them uses the others to
    /// determine how far the installation was.
    pub(crate) reached: Vec<Word<Stage>>,
    /// The current step of the installation.
    pub(crate) step: Step,
    /// The smallest amount that was ever left to do in this stage, if the stage counts it.
    #[serde(default)]
    pub(crate) left: Option<u64>,
    /// The events of the last step. They are saved here first, and then written to the log, so that a
    /// crash in between neither loses nor repeats an event.
    pub(crate) events: Vec<Event>,
    /// Fields of a later release, which are kept for it.
    #[serde(flatten)]
    pub(crate) unknown_fields: Map<String, Value>,
}

impl WorkerState {
    /// The state at the beginning of an installation with these stages.
    pub(crate) fn new(plan: String, boot: String, stages: StageList) -> Self {
        Self {
            plan,
            boot,
            at: Duration::ZERO,
            reached: vec![stages.first().into()],
            step: Step::first(stages),
            left: None,
            events: Vec::new(),
            unknown_fields: Map::new(),
        }
    }

    /// Moves to the step that follows a change.
    pub(crate) fn advance(&mut self, input: Change, stages: StageList) {
        self.step = self.step.on(input, stages, self.furthest(stages));
        if let Step::Due { stage, attempt, .. } = self.step {
            if !self.reached.contains(&stage.into()) {
                self.reached.push(stage.into());
            }
            if attempt == 1 {
                self.left = None;
            }
        }
    }

    /// The furthest stage that was ever due.
    pub(crate) fn furthest(&self, stages: StageList) -> Stage {
        let known = self.reached.iter().filter_map(Word::known);
        known.fold(stages.first(), |furthest, stage| {
            stages.later(stage, furthest)
        })
    }

    /// The state that was saved last. If it cannot be parsed, the installation starts with the first
    /// stage, because every stage checks what is already done.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn load(root: &Root, stages: StageList) -> io::Result<Option<Self>> {
        let Some(json) = read_if_exists(&root.path(paths::STATE))? else {
            return Ok(None);
        };
        Ok(Self::parse(&json, stages)
            .inspect_err(|error| {
                log::warn!(
                    "starting with the first stage, because the saved state cannot be read: {error}"
                );
            })
            .ok())
    }

    /// Parses a state of any release. If this release does not have the step, the installation continues
    /// with the first stage, because every stage checks what is already done.
    fn parse(json: &[u8], stages: StageList) -> serde_json::Result<Self> {
        let mut state: Value = serde_json::from_slice(json)?;
        if let Some(step) = state.get_mut("step")
            && let Err(error) = Step::deserialize(&*step)
        {
            log::warn!(
                "continuing with the first stage, because the step in the saved state cannot be read: {error}"
            );
            *step = serde_json::to_value(Step::first(stages))?;
        }
        // Before 0.1.0 only the furthest stage was written.
        if let Some(reached) = state
            .get_mut("reached")
            .filter(|reached| reached.is_string())
        {
            *reached = Value::Array(vec![reached.take()]);
        }
        serde_json::from_value(state)
    }

    /// Saves the state. It is on the disk when this returns.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn save(&self, root: &Root) -> io::Result<()> {
        let (path, json) = (root.path(paths::STATE), serde_json::to_vec(self)?);
        with_reserve(&path, || write_atomic(&path, &json, 0o600))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stages::INSTALLATION;

    /// The states of earlier releases, which are never changed.
    const FROZEN: [&str; 2] = [
        include_str!("../../contract/tests/frozen/state.json"),
        include_str!("../../contract/tests/frozen/state-stages.json"),
    ];

    fn parse(state: &Value) -> WorkerState {
        WorkerState::parse(state.to_string().as_bytes(), INSTALLATION).unwrap()
    }

    #[test]
    fn every_state_that_was_ever_written_is_gone_on_with() {
        for frozen in FROZEN {
            let saved = parse(&serde_json::from_str(frozen).unwrap());
            assert_eq!(saved.furthest(INSTALLATION), Stage::Kubeadm);
            let step = Step::Running {
                stage: Stage::Images,
                attempt: 2,
                spent: 3500,
            };
            assert_eq!((saved.step, saved.left), (step, Some(4)));
            assert_eq!(saved.events[0].sequence, 7);
        }
        let written: Value = serde_json::from_str(FROZEN[1]).unwrap();
        assert_eq!(serde_json::to_value(parse(&written)).unwrap(), written);
    }

    #[test]
    fn a_state_of_a_later_release_loses_nothing_when_an_earlier_one_goes_on_with_it() {
        let mut later: Value = serde_json::from_str(FROZEN[1]).unwrap();
        later["novelty"] = json!({ "a": [1] });
        later["reached"] = json!(["clock", "gate", "kubeadm", "verify"]);
        later["step"] = json!({ "is": "running", "stage": "verify", "attempt": 1, "spent": 0 });
        later["events"][0]["kind"] = "stage-skipped".into();
        later["events"][0]["novelty"] = 7.into();
        let mut state = parse(&later);
        assert_eq!(state.plan, later["plan"]);
        assert_eq!(state.step, Step::first(INSTALLATION));
        // So the gate isn't passed again, and the marks of what was done are looked for.
        assert_eq!(state.furthest(INSTALLATION), Stage::Kubeadm);

        state.advance(Change::Rebooted, INSTALLATION);
        let kept = serde_json::to_value(&state).unwrap();
        for field in ["plan", "events", "reached", "novelty"] {
            assert_eq!(kept[field], later[field], "{field}");
        }
    }

    #[test]
    fn a_kind_of_step_that_is_not_known_begins_with_the_first_stage() {
        let mut later: Value = serde_json::from_str(FROZEN[1]).unwrap();
        later["step"] = json!({ "is": "paused", "until": 7 });
        assert_eq!(parse(&later).step, Step::first(INSTALLATION));
    }
}
