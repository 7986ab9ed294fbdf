use serde::{Deserialize, Serialize};

use crate::{Cause, Event, Kind, Progress, Role, Stage, Timestamp, Word};

/// The state that follows from a node's events, for D-Bus, `nkd-agent status`, and receivers of
/// callbacks. A reader ignores fields that it doesn't know, because the status is derived from the events each time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeStatus {
    /// The state of the node in one word.
    pub state: Word<State>,
    /// Name of the cluster.
    pub cluster: Option<String>,
    /// Name of the node.
    pub node: String,
    /// The node's role.
    pub role: Option<Word<Role>>,
    /// Digest of the plan.
    pub plan: Option<String>,
    /// The current stage, or the one in which the installation failed.
    pub stage: Option<Word<Stage>>,
    /// The attempt at that stage, from 1.
    pub attempt: u32,
    /// How far the stage is.
    pub progress: Option<Progress>,
    /// Why the last attempt failed, until the next succeeds.
    pub cause: Option<Word<Cause>>,
    /// The last message.
    pub message: String,
    /// When `state` last changed.
    pub since: Option<Timestamp>,
    /// The last event's place in the log.
    pub sequence: u64,
}

/// A node's state in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum State {
    /// Nothing has happened yet.
    #[default]
    Waiting,
    /// A stage is running.
    Installing,
    /// A stage failed transiently and will be tried again.
    Retrying,
    /// The node is Ready.
    Ready,
    /// A person is needed, or a stage's budget is used up; see [`crate::Kind::Failed`].
    Failed,
}

impl State {
    /// The state after an event of this kind.
    const fn after(kind: Kind) -> Self {
        match kind {
            Kind::Started | Kind::StageStarted | Kind::Progress | Kind::StageDone => {
                Self::Installing
            }
            Kind::AttemptFailed => Self::Retrying,
            Kind::Ready => Self::Ready,
            Kind::Failed => Self::Failed,
        }
    }

    /// The state's name, as in JSON and on D-Bus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Installing => "installing",
            Self::Retrying => "retrying",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

impl NodeStatus {
    /// Applies the next event of the log. An event of an unknown kind changes neither state nor cause, and the stage
    /// only if it names one, because what it means for the node is not known.
    pub fn apply(&mut self, event: &Event) {
        let state = event.kind.known().map(State::after);
        if let Some(state) = state.filter(|state| self.state != *state) {
            self.state = state.into();
            self.since = Some(event.time);
        }
        // The cause of the last failure stays until an attempt succeeds.
        let same_stage_again = event.kind == Kind::StageStarted && event.attempt > 1;
        let goes_on = same_stage_again || event.kind == Kind::Progress || state.is_none();
        if event.cause.is_some() || !goes_on {
            self.cause.clone_from(&event.cause);
        }
        if event.stage.is_some() || state.is_some() {
            self.stage.clone_from(&event.stage);
            self.attempt = event.attempt;
            self.progress.clone_from(&event.progress);
        }
        self.cluster.clone_from(&event.cluster);
        self.node.clone_from(&event.node);
        self.role.clone_from(&event.role);
        self.plan.clone_from(&event.plan);
        self.message.clone_from(&event.message);
        self.sequence = event.sequence;
    }
}

impl<'a> Extend<&'a Event> for NodeStatus {
    fn extend<I: IntoIterator<Item = &'a Event>>(&mut self, events: I) {
        for event in events {
            self.apply(event);
        }
    }
}
