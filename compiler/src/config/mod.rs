//! One node's Ignition config: what nkd puts on it, and the user's own configs merged into it.

mod collisions;
mod generated;
mod hooks;
pub(crate) mod needs;
mod overridden;
mod spec;
pub mod user;

use serde_json::Value;

pub(crate) use collisions::Collision;
pub(crate) use generated::{Config, Directory, PRIVATE, PUBLIC, Unit};
use nkd_document::yaml;
use nkd_ignition::{merge, tree};
use nkd_model::UserConfig;
pub(crate) use spec::SPEC;
pub use spec::SPEC_MINOR;

impl Config {
    /// The config as Ignition reads it, merged as Ignition would: nkd's part is the child of the
    /// users' configs, and each of those of the one before. So nkd's part wins, but for the
    /// `overrides`, of which it is the parent. The users' configs have to be looked at for
    /// [collisions](Self::collisions) first. `own` is this config as JSON. Nothing if there are no
    /// users' configs.
    pub fn merged(own: &Value, users: &[&UserConfig], overrides: &[&str]) -> Option<yaml::Node> {
        let own = tree::from_json(own, users.first()?.config.span);
        let (base, top) = overridden::split(own, overrides);
        let merged = users
            .iter()
            .fold(base, |parent, user| merge::merge(&parent, &user.config));
        Some(merge::merge(&merged, &top))
    }
}
