//! The programs of the OS image.

use nkd_contract::{Cause, Role};

use super::super::{Fault, Node, runtime};

pub(super) fn check(node: &Node<'_>) -> Result<(), Fault> {
    let client = runtime::client_program(node.plan.runtime);
    let mut wanted = vec!["systemctl", "kubelet", "kubeadm", client];
    if node.plan.role == Role::Init && !node.plan.addons.is_empty() {
        wanted.push("kubectl");
    }
    let missing: Vec<_> = wanted
        .into_iter()
        .filter(|program| node.root.program(program).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("not in this OS image: {}", missing.join(", "));
    Err(Fault::new(Cause::HostProgram, message))
}
