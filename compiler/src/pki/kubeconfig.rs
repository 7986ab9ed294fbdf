//! kubeconfig files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::KeyPair;
use crate::cluster_file::domain::Endpoint;
use crate::yaml;

/// The administrator's, with everything embedded.
pub fn admin(cluster: &str, endpoint: &Endpoint, authority: &str, admin: &KeyPair) -> String {
    let user = format!("{cluster}-admin");
    yaml::to_yaml(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": server(endpoint, authority)}],
        "users": [{
            "name": user,
            "user": {
                "client-certificate-data": STANDARD.encode(&admin.public),
                "client-key-data": STANDARD.encode(admin.key.expose()),
            },
        }],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "current-context": cluster,
    }))
}

/// What kubeadm discovers the cluster with: a cluster without a name and no credentials, like the
/// `ConfigMap` `cluster-info`.
pub fn discovery(endpoint: &Endpoint, authority: &str) -> String {
    yaml::to_yaml(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": server(endpoint, authority)}],
        "contexts": [],
        "current-context": "",
        "users": [],
    }))
}

fn server(endpoint: &Endpoint, authority: &str) -> Value {
    json!({
        "server": format!("https://{endpoint}"),
        "certificate-authority-data": STANDARD.encode(authority),
    })
}
