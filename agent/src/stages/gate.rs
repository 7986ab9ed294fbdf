//! `gate`: the cluster's API is up, is this cluster's, and has all that a joining node needs; the
//! control planes that join before this one have done so.
//! kubeadm's own waiting is too short for machines that are powered on together.

use std::time::Duration;

use nkd_contract::Role;

use super::api::Api;
use super::{Fault, Node};

/// How long one attempt looks.
const WINDOW: Duration = Duration::from_secs(60);

/// What `kubeadm init` publishes last of all that a join needs; until then a join would only use
/// up its own patience.
const CLUSTER_INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    if node.plan.role == Role::Init {
        return Ok(());
    }
    node.poll(WINDOW, |node| {
        let endpoint = &node.plan.endpoint;
        let api = Api::anonymous(node.plan).map_err(|error| error.at_gate(endpoint, "TLS"))?;
        for path in ["/readyz", CLUSTER_INFO] {
            api.get(path)
                .map_err(|error| error.at_gate(endpoint, path))?;
        }
        for earlier in &node.plan.control_planes_before {
            // A control plane is ready when its etcd member is.
            Api::anonymous(node.plan)
                .and_then(|api| api.at(earlier).get("/readyz"))
                .map_err(|error| error.at_gate(earlier, "/readyz"))?;
        }
        Ok(())
    })
}
