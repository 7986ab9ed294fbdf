//! What `nkd-agent` takes and says: the only thing the compiler, the agent's worker and its
//! reporter have in common.
//!
//! - [`Plan`] and [`ReportTarget`] are what a node is given.
//! - [`Event`] is what it says; [`NodeStatus`] is what a list of events adds up to.
//! - [`Stage`] and [`Cause`] are the words both use; [`Word`] is one that may be of a later release.
//! - [`paths`] and [`names`] are where and under which names it is found.

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
    Bundle, BundleSource, Bundles, FEATURES, Image, ImageSource, Images, Kubeadm, Machine, Plan,
    PlanError, Role, SCHEMA, Urls,
};
pub use report::{ReportTarget, SIGNING_KEY_PREFIX};
pub use runtime::Runtime;
pub use stage::Stage;
pub use status::{NodeStatus, State};
pub use timestamp::Timestamp;
pub use word::{Vocabulary, Word};
