//! What an OS image must have to become a node: the tables and rules that the stage `host` and
//! `nkd-agent check-image` share.

mod modules;
mod programs;
mod version;

pub(crate) use modules::{MODULES, USEFUL_MODULES};
pub(crate) use programs::{ADDONS_PROGRAM, AGENT_PROGRAMS, preflight};
pub(crate) use version::{Component, Skew, Version};
