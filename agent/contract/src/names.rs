//! Names under which others find the agent: D-Bus, systemd, CloudEvents.

/// D-Bus name on the system bus.
pub const BUS: &str = "org.openeuler.nkd1";
/// D-Bus object.
pub const OBJECT: &str = "/org/openeuler/nkd1";
/// D-Bus interface of [`OBJECT`].
pub const INTERFACE: &str = "org.openeuler.nkd1.Node";
/// systemd reaches this target when the node becomes Ready, and on every later boot. Other units can be
/// ordered after it.
pub const READY_TARGET: &str = "nkd-node-ready.target";
/// The CloudEvents `type` of a callback is this prefix, a dot and the event's kind.
pub const EVENT_TYPE_PREFIX: &str = "org.openeuler.nkd1.node";
