//! The contract between the compiler, the agent's worker and its reporter: what `nkd-agent` is given, and
//! what it reports.
//!
//! - [`Plan`] and [`ReportTarget`] are delivered to a node.
//! - [`Event`] is what the node reports; [`NodeStatus`] is the state that follows from its events.
//! - [`Stage`] and [`Cause`] are the names that both sides use; [`Word`] is a name that may be of a later release.
//! - [`paths`] and [`names`] are the paths and the names under which others find the agent.
//! - `callback`, with the feature `callbacks`, is how events are posted, signed and verified.

#[cfg(feature = "callbacks")]
pub mod callback;
mod cause;
mod event;
pub mod names;
pub mod paths;
mod plan;
mod report;
mod runtime;
mod stage;
mod status;
mod timestamp;
mod word;

pub use cause::{Cause, Class};
pub use event::{Event, Kind, Progress, Unit};
pub use plan::{
    Bundle, BundleSource, Bundles, FEATURES, Image, ImageSource, Images, Kubeadm, Machine,
    OPEN_POOL, PATCHES_ARGUMENT, Plan, PlanError, Role, SCHEMA, Urls,
};
pub use report::{ReportTarget, SIGNING_KEY_PREFIX};
pub use runtime::Runtime;
pub use stage::Stage;
pub use status::{NodeStatus, State};
pub use timestamp::Timestamp;
pub use word::{Vocabulary, Word};
