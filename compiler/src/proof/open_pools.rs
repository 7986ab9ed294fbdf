//! The rule about open pools.

use anyhow::{Result, ensure};
use nkd_contract::{OPEN_POOL, Role};

use super::nodes::{DecodedCluster, DecodedNode};
use crate::kubeadm::NODE_IP;

/// The hostname of the machine, which the platform sets.
const HOSTNAME: &str = "/etc/hostname";
/// Where nkd puts the configuration of network interfaces.
const CONNECTIONS: &str = "/etc/NetworkManager/";

/// Nothing in the config of an open pool is the name or the address of one machine, and older agents refuse
/// its plan. All other plans name their node.
pub(super) fn nameless(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let (name, plan) = (&node.name, &node.plan);
    let requires_feature = plan.requires.iter().any(|feature| feature == OPEN_POOL);
    ensure!(
        requires_feature == node.is_open() && plan.node.is_empty() == node.is_open(),
        "the plan of {name} is neither that of a node nor that of an open pool"
    );
    if !node.is_open() {
        return Ok(());
    }
    ensure!(
        plan.role == Role::JoinWorker,
        "the open pool {name} is not a pool of workers"
    );
    let node_ip = node.kubelet_arg(NODE_IP)?;
    ensure!(
        node.registration()?["name"].is_null() && [None, Some("::")].contains(&node_ip),
        "kubeadm gives all machines of the open pool {name} the same name or address"
    );
    for (path, content) in node.own_files() {
        let is_of_one_machine =
            (path == HOSTNAME && !content.is_empty()) || path.starts_with(CONNECTIONS);
        ensure!(
            !is_of_one_machine,
            "{path} is the same on all machines of the open pool {name}"
        );
    }
    Ok(())
}
