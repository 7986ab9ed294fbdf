//! Sets the hostname, from which kubelet gets the names of its Node object and certificate.

use std::fs;
use std::io;

use nkd_contract::Cause;

use super::super::{Fault, Node};
use crate::system::files::write_atomic;

const HOSTNAME: &str = "/proc/sys/kernel/hostname";

pub(super) fn check(node: &Node<'_>) -> Result<(), Fault> {
    let name = node.plan.node.as_str();
    let fault = |error: io::Error| {
        let context = format!("setting the hostname to {name}");
        Fault::of(Cause::HostHostname, error).context(context)
    };
    let current = fs::read_to_string(node.root.path(HOSTNAME)).map_err(fault)?;
    if current.trim() != name {
        nix::unistd::sethostname(name).map_err(|error| fault(error.into()))?;
    }
    let file = node.root.path("/etc/hostname");
    if fs::read_to_string(&file).is_ok_and(|text| text.trim() == name) {
        return Ok(());
    }
    write_atomic(&file, format!("{name}\n").as_bytes(), 0o644).map_err(fault)
}
