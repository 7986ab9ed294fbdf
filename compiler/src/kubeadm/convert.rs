//! From the newest API version down to an older one, and from v1beta3 up to v1beta4.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use nkd_model::version::KubeadmApi;

const GROUP: &str = "kubeadm.k8s.io/";

/// Where arguments are: a list of name and value from v1beta4, a map before.
const ARGS: [&str; 5] = [
    "/nodeRegistration/kubeletExtraArgs",
    "/apiServer/extraArgs",
    "/controllerManager/extraArgs",
    "/scheduler/extraArgs",
    "/etcd/local/extraArgs",
];

/// Converts kubeadm's documents, all of one node together because some fields move from one to
/// another. A setting that the older version does not support is an error.
pub fn down(documents: &mut [Value], api: KubeadmApi) -> Result<()> {
    let mut control_plane_timeout = None;
    for document in documents.iter_mut() {
        let is_kubeadm = document["apiVersion"]
            .as_str()
            .is_some_and(|version| version.starts_with(GROUP));
        if !is_kubeadm {
            continue;
        }
        document["apiVersion"] = api.api_version().into();
        if api < KubeadmApi::V1Beta4 {
            for pointer in ARGS {
                if let Some(args) = document.pointer_mut(pointer) {
                    *args = args_to_map(args)?;
                }
            }
            control_plane_timeout = move_timeouts(document)?.or(control_plane_timeout);
        }
        if api < KubeadmApi::V1Beta3 && document.get("patches").is_some() {
            bail!("{} does not support patches", api.api_version());
        }
        let registration = document
            .get_mut("nodeRegistration")
            .and_then(Value::as_object_mut);
        if api < KubeadmApi::V1Beta3
            && let Some(registration) = registration
            && registration
                .remove("imagePullPolicy")
                .is_some_and(|policy| policy != "IfNotPresent")
        {
            // Older kubeadm knows nothing else than IfNotPresent.
            bail!("{} does not support imagePullPolicy", api.api_version());
        }
    }
    if let Some(timeout) = control_plane_timeout {
        let cluster = documents
            .iter_mut()
            .find(|document| document["kind"] == "ClusterConfiguration");
        let Some(cluster) = cluster else {
            bail!("a timeout has no document to move to")
        };
        cluster["apiServer"]["timeoutForControlPlane"] = timeout;
    }
    Ok(())
}

/// Converts an overlay document to the version of kubeadm's API that nodes read. v1beta3 and v1beta4 differ in the form
/// of arguments; fields that v1beta4 does not have were refused.
pub fn up(document: &mut Value, api: KubeadmApi) {
    let is_older = document["apiVersion"] == KubeadmApi::V1Beta3.api_version();
    if !is_older || api != KubeadmApi::V1Beta4 {
        return;
    }
    document["apiVersion"] = api.api_version().into();
    for pointer in ARGS {
        if let Some(args) = document.pointer_mut(pointer)
            && let Some(map) = args.as_object()
        {
            let args_of_map = map
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}));
            *args = args_of_map.collect();
        }
    }
}

fn args_to_map(list: &Value) -> Result<Value> {
    let mut map = Map::new();
    for arg in list.as_array().into_iter().flatten() {
        let name = arg["name"].as_str().unwrap_or_default();
        if map.insert(name.to_owned(), arg["value"].clone()).is_some() {
            bail!(
                "the argument `{name}` occurs twice, which older versions of kubeadm do not support"
            );
        }
    }
    Ok(Value::Object(map))
}

/// Before v1beta4 two of the timeouts had places of their own, and the others none. Gives back
/// the one that belongs into another document.
fn move_timeouts(document: &mut Value) -> Result<Option<Value>> {
    let timeouts = document
        .as_object_mut()
        .and_then(|fields| fields.remove("timeouts"));
    let mut control_plane = None;
    for (name, value) in timeouts
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        match name.as_str() {
            "discovery" => document["discovery"]["timeout"] = value.clone(),
            "controlPlaneComponentHealthCheck" => control_plane = Some(value.clone()),
            _ => bail!("older versions of kubeadm do not support the timeout `{name}`"),
        }
    }
    Ok(control_plane)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{down, up};
    use nkd_model::version::KubeadmApi;

    #[test]
    fn arguments_become_maps_and_timeouts_move_before_v1beta4() {
        let mut documents = [
            json!({
                "apiVersion": "kubeadm.k8s.io/v1beta4",
                "kind": "InitConfiguration",
                "nodeRegistration": {"kubeletExtraArgs": [{"name": "v", "value": "4"}]},
                "timeouts": {"controlPlaneComponentHealthCheck": "9m"},
            }),
            json!({"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration"}),
        ];
        down(&mut documents, KubeadmApi::V1Beta3).unwrap();
        assert_eq!(
            documents,
            [
                json!({
                    "apiVersion": "kubeadm.k8s.io/v1beta3",
                    "kind": "InitConfiguration",
                    "nodeRegistration": {"kubeletExtraArgs": {"v": "4"}},
                }),
                json!({
                    "apiVersion": "kubeadm.k8s.io/v1beta3",
                    "kind": "ClusterConfiguration",
                    "apiServer": {"timeoutForControlPlane": "9m"},
                }),
            ]
        );
    }

    #[test]
    fn an_overlay_of_v1beta3_becomes_one_of_v1beta4() {
        let mut document = json!({
            "apiVersion": "kubeadm.k8s.io/v1beta3",
            "kind": "ClusterConfiguration",
            "apiServer": {"extraArgs": {"v": "4"}},
        });
        up(&mut document, KubeadmApi::V1Beta4);
        assert_eq!(
            document,
            json!({
                "apiVersion": "kubeadm.k8s.io/v1beta4",
                "kind": "ClusterConfiguration",
                "apiServer": {"extraArgs": [{"name": "v", "value": "4"}]},
            })
        );
    }

    #[test]
    fn what_an_older_version_cannot_say_is_an_error() {
        let document = |field: &str, value: serde_json::Value| {
            [
                json!({"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "JoinConfiguration", field: value}),
            ]
        };
        let twice =
            json!({"extraArgs": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]});
        for mut documents in [
            document("timeouts", json!({"etcdAPICall": "9m"})),
            document("apiServer", twice),
            document("nodeRegistration", json!({"imagePullPolicy": "Always"})),
            document("patches", json!({"directory": "/etc/nkd/patches"})),
        ] {
            assert!(
                down(&mut documents, KubeadmApi::V1Beta2).is_err(),
                "{documents:?}"
            );
        }
    }
}
