//! The kubeconfig with which kubeadm discovers the cluster that a node joins.

use std::fs;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkd_contract::{Cause, paths};
use serde_json::json;

use super::{Fault, Node};
use crate::stages::OrFault as _;
use crate::system::files::write_atomic;

/// The bootstrap token. A person who has replaced it may have added a newline at its end.
pub(in crate::stages) fn token(node: &Node<'_>) -> Option<String> {
    let text = fs::read_to_string(node.root.path(paths::TOKEN)).ok()?;
    Some(text.trim().to_owned()).filter(|token| !token.is_empty())
}

/// Writes the endpoint and the authority of the cluster, as in the `ConfigMap` `cluster-info`, and the
/// bootstrap token. kubeadm joins with the credentials in this file, unless its configuration has others
/// (kubeadm, `discovery.For`).
pub(super) fn write(node: &Node<'_>) -> Result<(), Fault> {
    let user = token(node).map_or_else(|| json!({}), |token| json!({ "token": token }));
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "kubernetes",
            "cluster": {
                "server": format!("https://{}", node.plan.endpoint),
                "certificate-authority-data": STANDARD.encode(&node.plan.certificate_authority),
            },
        }],
        "users": [{"name": "bootstrap", "user": user}],
        "contexts": [{
            "name": "bootstrap@kubernetes",
            "context": {"cluster": "kubernetes", "user": "bootstrap"},
        }],
        "current-context": "bootstrap@kubernetes",
    });
    // JSON is YAML.
    write_atomic(
        &node.root.path(paths::DISCOVERY),
        config.to_string().as_bytes(),
        0o600,
    )
    .context(paths::DISCOVERY)
    .or_fault(Cause::KubeadmFailed)
}
