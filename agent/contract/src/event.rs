use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Cause, Role, Stage, Timestamp, Word};

/// One thing that happened on a node: a line of the event log, the `data` of a callback.
///
/// An event may be of a later release than its reader. Whatever the reader doesn't know of it is kept, so that an
/// event that is written again is the same: words by [`Word`], fields by [`unknown_fields`](Self::unknown_fields).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// Place in the node's event log, from 1. Gaps are events that were removed because the log had grown too
    /// large.
    pub sequence: u64,
    /// Unique among all events of all nodes. Receivers use it to recognize an event that is sent again.
    pub id: String,
    /// When it happened, by the node's clock.
    pub time: Timestamp,
    /// The kernel's boot id, so that reboots can be told apart.
    pub boot: String,
    /// Name of the cluster; absent while no plan could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Name of the node in its plan; the machine's hostname while no plan could be read, and on a machine of an
    /// open pool until the node has a name.
    pub node: String,
    /// The open pool whose machines all have this plan. They all sign with the key of the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The node's role; absent while no plan could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Word<Role>>,
    /// [Digest](crate::Plan::digest) of the plan; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What happened.
    pub kind: Word<Kind>,
    /// The stage in which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Word<Stage>>,
    /// The attempt at that stage, from 1; 0 outside stages.
    #[serde(default)]
    pub attempt: u32,
    /// How far the stage is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Why an attempt or the installation failed, or what a stage waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Word<Cause>>,
    /// What happened, in one line for a person, without secrets.
    pub message: String,
    /// Milliseconds until the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Fields of a later release.
    #[serde(flatten)]
    pub unknown_fields: Map<String, Value>,
}

impl Event {
    /// The name under which `nkd secrets callback-keys` lists the key that signs the event: the open pool, or
    /// else the node.
    pub fn signer(&self) -> &str {
        self.pool.as_deref().unwrap_or(&self.node)
    }
}

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Kind {
    /// The worker started, for the first time or after a reboot or a crash.
    Started,
    /// An attempt at a stage began.
    StageStarted,
    /// A stage got further, or waits for something else than before.
    Progress,
    /// An attempt at a stage failed with a transient cause; another attempt follows.
    AttemptFailed,
    /// A stage is done.
    StageDone,
    /// The node is Ready.
    Ready,
    /// The installation failed. With `retryAfter`, the budget of the stage is used up: the agent tries the
    /// stage again after pauses, and reports nothing until an attempt succeeds or the cause changes.
    /// Without `retryAfter`, the agent has stopped, and a person is needed.
    Failed,
}

impl Kind {
    /// The kind's name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::StageStarted => "stage-started",
            Self::Progress => "progress",
            Self::AttemptFailed => "attempt-failed",
            Self::StageDone => "stage-done",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// The journal's `MESSAGE_ID` of the kind, as in the message catalog.
    pub const fn message_id(self) -> &'static str {
        match self {
            Self::Started => "3fc32962483642778f26247495eeea46",
            Self::StageStarted => "a68e4d589de5434baff627bad9cd2e5e",
            Self::Progress => "bc4c7da1366c42dbb862c86d7db445b5",
            Self::AttemptFailed => "13cc2bc5dc6241bc8caa7db62410287f",
            Self::StageDone => "8cf5fb26cdcb4c38a84be17541d4e6a2",
            Self::Ready => "d1d499c9bd4a4d61ae92018fd3178e97",
            Self::Failed => "b88257996b3e4449bc322aa9fdcabfa0",
        }
    }
}

/// How far a stage is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Progress {
    /// How much is done.
    pub done: u64,
    /// How much there is to do in all.
    pub total: u64,
    /// What is counted.
    pub unit: Word<Unit>,
    /// Fields of a later release.
    #[serde(flatten)]
    pub unknown_fields: Map<String, Value>,
}

impl Progress {
    /// `done` of `total`, in this unit.
    pub fn new(done: u64, total: u64, unit: Unit) -> Self {
        Self {
            done,
            total,
            unit: unit.into(),
            unknown_fields: Map::new(),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            done, total, unit, ..
        } = self;
        if *unit == Unit::Bytes {
            write!(f, "{} of {} MB", done / 1_000_000, total / 1_000_000)
        } else {
            write!(f, "{done} of {total} {unit}")
        }
    }
}

/// What [`Progress`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Unit {
    /// Image archives.
    Archives,
    /// Bytes of a bundle.
    Bytes,
    /// Images.
    Images,
    /// Manifest files.
    Manifests,
}

impl Unit {
    /// The unit's name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Archives => "archives",
            Self::Bytes => "bytes",
            Self::Images => "images",
            Self::Manifests => "manifests",
        }
    }
}
