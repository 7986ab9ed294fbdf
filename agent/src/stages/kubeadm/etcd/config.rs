//! What kubeadm's phases are given that run without a cluster.

use nkd_contract::{Plan, paths};
use serde_json::{Value, json};

use super::super::cri_socket;

/// What kubeadm needs to sign a certificate. What isn't said it would look for: the newest version on
/// the internet, an address, and the one CRI socket, of which Docker's nodes have two.
pub(super) fn of_client(plan: &Plan) -> String {
    yaml(&[init(plan), cluster(plan)])
}

fn yaml(documents: &[Value]) -> String {
    // JSON is YAML.
    let documents: Vec<_> = documents.iter().map(Value::to_string).collect();
    documents.join("\n---\n") + "\n"
}

fn init(plan: &Plan) -> Value {
    json!({
        "apiVersion": plan.kubeadm_api,
        "kind": "InitConfiguration",
        "localAPIEndpoint": {
            "advertiseAddress": plan.machine.addresses.first(),
            "bindPort": plan.machine.api_port(),
        },
        "nodeRegistration": {"name": plan.node, "criSocket": cri_socket(plan.runtime)},
    })
}

fn cluster(plan: &Plan) -> Value {
    json!({
        "apiVersion": plan.kubeadm_api,
        "kind": "ClusterConfiguration",
        "certificatesDir": paths::KUBERNETES_PKI,
        "kubernetesVersion": plan.kubernetes_version,
    })
}
