//! `gate`: the cluster's API is up, is this cluster's, and has all that a joining node needs; the
//! control planes that join before this one have done so, or have had their time.
//! kubeadm's own waiting is too short for machines that are powered on together.

use std::time::Duration;

use nkd_contract::Role;

use super::api::Api;
use super::{Fault, Node, kubeadm};

/// How long one attempt looks.
const WINDOW: Duration = Duration::from_secs(60);

/// What `kubeadm init` publishes last of all that a join needs; until then a join would only use
/// up its own patience.
const CLUSTER_INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// A control plane that never comes up may use as much of the gate's budget, one in so many parts;
/// then those after it go on without it.
const PARTS: u32 = 6;

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    if node.plan.role == Role::Init {
        return Ok(());
    }
    if let Err(fault) = node.poll(WINDOW, endpoint_is_ready) {
        // The API waits for etcd, and that may wait for this very node.
        if !kubeadm::repair_quorum(node)? {
            return Err(fault);
        }
        node.poll(WINDOW, endpoint_is_ready)?;
    }
    let plan = node.plan;
    for earlier in &plan.control_planes_before {
        await_earlier(node, earlier);
    }
    if plan.control_planes_before.is_empty() {
        return Ok(());
    }
    // etcd's new members may have shaken it.
    node.poll(WINDOW, endpoint_is_ready)
}

fn endpoint_is_ready(node: &Node<'_>) -> Result<(), Fault> {
    let endpoint = &node.plan.endpoint;
    let api = Api::anonymous(node.plan).map_err(|error| error.at_gate(endpoint, "TLS"))?;
    for path in ["/readyz", CLUSTER_INFO] {
        api.get(path)
            .map_err(|error| error.at_gate(endpoint, path))?;
    }
    Ok(())
}

/// Waits for a control plane that joins before this one, for etcd takes one new member at a time.
/// Each is waited for by itself, so that those that come after a dead one still take turns.
fn await_earlier(node: &mut Node<'_>, earlier: &str) {
    let patience = node.plan.budget(node.stage) / PARTS;
    let ready = node.poll(patience, |node| {
        // A control plane is ready when its etcd member is.
        Api::anonymous(node.plan)
            .and_then(|api| api.at(earlier).get("/readyz"))
            .map_err(|error| error.at_gate(earlier, "/readyz"))
    });
    if let Err(fault) = ready {
        let seconds = patience.as_secs();
        let message = format!(
            "going on after {seconds} s without a control plane: {}",
            fault.message
        );
        node.warn(&Fault::new(fault.cause, message));
    }
}
