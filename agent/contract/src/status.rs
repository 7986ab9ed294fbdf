use serde::{Deserialize, Serialize};

use crate::{Cause, Event, Kind, Progress, Role, Stage, Timestamp};

/// The state that follows from a node's events, for D-Bus, `nkd-agent status`, and receivers of
/// callbacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeStatus {
    /// The state of the node in one word.
    pub state: State,
    /// Name of the cluster.
    pub cluster: Option<String>,
    /// Name of the node.
    pub node: String,
    /// The node's role.
    pub role: Option<Role>,
    /// Digest of the plan.
    pub plan: Option<String>,
    /// The current stage, or the one in which the installation failed.
    pub stage: Option<Stage>,
    /// The attempt at that stage, from 1.
    pub attempt: u32,
    /// How far the stage is.
    pub progress: Option<Progress>,
    /// Why the last attempt failed, until the next succeeds.
    pub cause: Option<Cause>,
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
    /// Applies the next event of the log.
    pub fn apply(&mut self, event: &Event) {
        let state = match event.kind {
            Kind::Started | Kind::StageStarted | Kind::Progress | Kind::StageDone => {
                State::Installing
            }
            Kind::AttemptFailed => State::Retrying,
            Kind::Ready => State::Ready,
            Kind::Failed => State::Failed,
        };
        if state != self.state {
            self.since = Some(event.time);
        }
        // The cause of the last failure stays until an attempt succeeds.
        let same_stage_again = event.kind == Kind::StageStarted && event.attempt > 1;
        if event.cause.is_some() || !(same_stage_again || event.kind == Kind::Progress) {
            self.cause = event.cause;
        }
        self.state = state;
        self.cluster.clone_from(&event.cluster);
        self.node.clone_from(&event.node);
        self.role = event.role;
        self.plan.clone_from(&event.plan);
        self.stage = event.stage;
        self.attempt = event.attempt;
        self.progress = event.progress;
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
