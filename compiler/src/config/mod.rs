//! One node's Ignition config: what nkd puts on it, and the user's own configs merged into it.

pub(crate) mod accounts;
mod collisions;
mod generated;
mod hooks;
pub(crate) mod kept;
pub(crate) mod needs;
mod overridden;
pub(crate) mod places;
mod spec;
pub mod user;

use serde_json::Value;

pub(crate) use collisions::Collision;
pub(crate) use generated::{Config, Directory, EXECUTABLE, Fetched, PRIVATE, PUBLIC, Unit};
use nkd_document::yaml;
use nkd_ignition::{merge, tree};
use nkd_model::UserConfig;
pub(crate) use spec::SPEC;
pub use spec::SPEC_MINOR;

impl Config {
    /// The merged config, or `None` if the user has no configs. As in Ignition, each config is the child
    /// of the one before it, and nkd's part is the child of the last one. So nkd's part takes precedence,
    /// except for the `overrides`, for which it is the parent. The users' configs must have been checked
    /// for [collisions](Self::collisions). `own` is this config as JSON.
    pub fn merged(own: &Value, users: &[&UserConfig], overrides: &[&str]) -> Option<yaml::Node> {
        let own = tree::from_json(own, users.first()?.config.span);
        let (base, top) = overridden::split(own, overrides);
        let mut merged = users
            .iter()
            .fold(base, |parent, user| merge::merge(&parent, &user.config));
        kept::add_copies(&mut merged);
        Some(merge::merge(&merged, &top))
    }
}
