//! kubeconfig files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use nkd_document::yaml;
use nkd_model::{Endpoint, KeyPair};

/// The kubeconfig of the administrator, with embedded certificates and key.
pub fn admin(cluster: &str, endpoint: &Endpoint, authority: &str, admin: &KeyPair) -> String {
    let user = format!("{cluster}-admin");
    yaml::to_yaml(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": cluster,
            "cluster": {
                "server": format!("https://{endpoint}"),
                "certificate-authority-data": STANDARD.encode(authority),
            },
        }],
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
