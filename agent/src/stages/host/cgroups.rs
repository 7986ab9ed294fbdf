//! The cgroups version of the machine, which the kernel's command line sets, and the versions that
//! kubelet supports.

use nkd_contract::Cause;

use super::super::{Fault, Node};

/// A file that only the unified hierarchy has at its root (cgroups(7)).
const VERSION_2: &str = "/sys/fs/cgroup/cgroup.controllers";

pub(super) fn check(node: &Node<'_>) -> Result<(), Fault> {
    let wanted = &node.plan.machine.cgroups;
    let has = if node.root.path(VERSION_2).exists() {
        2
    } else {
        1
    };
    if wanted.is_empty() || wanted.contains(&has) {
        return Ok(());
    }
    let message = format!(
        "this machine uses cgroups v{has}, which kubelet {} does not support",
        node.plan.kubernetes_version
    );
    Err(Fault::new(Cause::HostCgroups, message))
}
