//! kubeadm's documents: nkd's own templates in their newest form, converted down to what the
//! cluster's Kubernetes takes, with the user's overlay documents on top.

mod args;
mod convert;
pub mod files;
pub mod formats;
pub mod image_gc;
mod names;
pub mod overlay;
pub mod owned;
mod patches;
pub mod rules;
mod schema;
pub mod tokens;
mod unknown;
mod volumes;

use std::sync::LazyLock;

use anyhow::{Context as _, Result, anyhow, bail};
use ipnet::IpNet;
use nkd_contract::{Runtime, Timestamp, paths};
use serde_json::{Value, json};

pub use patches::{
    KUBELET_PATCH, PATCHES, STATIC_PODS, argument as patches_argument, patches_static_pods,
};

use crate::config::kept;
use crate::fragments;
use crate::pki::Secrets;
use crate::runtime::{self, docker};
use nkd_document::yaml;
use nkd_model::{Cluster, Node, NodeRole, Taint};

/// Where kubelet and the controller manager look for flexvolume plugins; their default is under
/// /usr.
const VOLUME_PLUGINS: &str = "/var/lib/kubelet/volumeplugins";

/// The argument of kubelet with the node's addresses.
pub const NODE_IP: &str = "node-ip";

/// The documents for the init node, with all tokens there are.
pub fn init(cluster: &Cluster, node: &Node, secrets: &Secrets) -> Result<Vec<Value>> {
    let mut documents = init_draft(cluster, node)?;
    let init = document(&mut documents, "InitConfiguration")?;
    let scopes = tokens::all_scopes(cluster);
    let like = &init["bootstrapTokens"][0];
    init["bootstrapTokens"] = tokens::filled(like, cluster, &scopes, secrets)?.into();
    Ok(documents)
}

/// The same with a place for a token, for those who need none.
pub fn init_draft(cluster: &Cluster, node: &Node) -> Result<Vec<Value>> {
    let mut documents = template(&INIT, cluster, node)?;
    registration(
        document(&mut documents, "InitConfiguration")?,
        cluster,
        node,
    );
    let init = document(&mut documents, "InitConfiguration")?;
    init["localAPIEndpoint"]["bindPort"] = json!(cluster.bind_port());
    take_patches(init, cluster, node);
    let configuration = document(&mut documents, "ClusterConfiguration")?;
    configuration["apiServer"] = json!({"certSANs": cert_sans(cluster)});
    if let Some(etcd) = &cluster.external_etcd {
        configuration["etcd"]["external"] = json!({
            "endpoints": etcd.endpoints,
            "caFile": format!("{}/etcd/ca.crt", paths::KUBERNETES_PKI),
            "certFile": format!("{}/apiserver-etcd-client.crt", paths::KUBERNETES_PKI),
            "keyFile": format!("{}/apiserver-etcd-client.key", paths::KUBERNETES_PKI),
        });
    } else if cluster.version.has_learner_mode_off() {
        // kubeadm adds a joining control plane's etcd to the members before it starts it. As a
        // learner it has no vote. As a full member it costs a cluster of one member its quorum, and
        // so its API, when the join is cut off in between.
        configuration["featureGates"] = json!({"EtcdLearnerMode": true});
    }
    if image_gc::is_off(&cluster.images_from, cluster.runtime, cluster.version) {
        let kubelet = document(&mut documents, "KubeletConfiguration")?;
        image_gc::turn_off(kubelet, cluster.overlays_of(node));
    }
    finish(documents, cluster, node)
}

/// The documents for any other node. They have no token: kubeadm takes it from the kubeconfig of its
/// file discovery, which the agent writes.
pub fn join(cluster: &Cluster, node: &Node) -> Result<Vec<Value>> {
    let mut documents = template(&JOIN, cluster, node)?;
    let join = document(&mut documents, "JoinConfiguration")?;
    registration(join, cluster, node);
    if node.is_open() {
        leave_to_platform(join, cluster);
    }
    if node.role == NodeRole::ControlPlane {
        // The PKI is delivered, so there is nothing to download and no `certificateKey`, whose
        // Secret kubeadm deletes after two hours.
        join["controlPlane"] = json!({"localAPIEndpoint": {
            "advertiseAddress": node.address,
            "bindPort": cluster.bind_port(),
        }});
    }
    take_patches(join, cluster, node);
    finish(documents, cluster, node)
}

/// The tokens of these scopes as Secrets, valid from `now` on for the time in the cluster file. `kubeadm init`
/// creates the same Secrets.
pub fn token_secrets(
    cluster: &Cluster,
    scopes: &[String],
    secrets: &Secrets,
    now: Timestamp,
) -> Result<String> {
    let init = cluster.init_node().context("no init node")?;
    let mut documents = template(&INIT, cluster, init)?;
    let like = &document(&mut documents, "InitConfiguration")?["bootstrapTokens"][0];
    let tokens = tokens::filled(like, cluster, scopes, secrets)?;
    let secrets = tokens.iter().zip(scopes).map(|(token, scope)| {
        let valid = cluster.token_ttl(scope).as_secs();
        tokens::secret(token, Timestamp::from_unix(now.unix() + valid))
    });
    Ok(to_yaml(&secrets.collect::<Result<Vec<_>>>()?))
}

/// Documents as one YAML file.
pub fn to_yaml(documents: &[Value]) -> String {
    documents
        .iter()
        .map(yaml::to_yaml)
        .collect::<Vec<_>>()
        .join("---\n")
}

/// Every name and address the API is reached by besides Kubernetes' own.
pub fn cert_sans(cluster: &Cluster) -> Vec<String> {
    let mut sans = vec![cluster.endpoint.host.clone()];
    let addresses = cluster.control_planes().flat_map(Node::each_address);
    sans.extend(addresses.map(|address| address.to_string()));
    sans.extend(cluster.cert_sans.iter().cloned());
    let mut seen = std::collections::HashSet::new();
    sans.retain(|san| seen.insert(san.clone()));
    sans
}

/// A fragment that is parsed once for all nodes.
type Template = LazyLock<Result<Vec<Value>>>;

static INIT: Template = LazyLock::new(|| yaml::fragment(fragments::KUBEADM_INIT));
static JOIN: Template = LazyLock::new(|| yaml::fragment(fragments::KUBEADM_JOIN));

fn template(template: &Template, cluster: &Cluster, node: &Node) -> Result<Vec<Value>> {
    let parsed = template.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    let mut documents = parsed.clone();
    let cri_socket = cluster
        .runtime
        .cri_endpoint(cluster.version.cri_socket_has_scheme());
    let address = node.address.map(|address| address.to_string());
    let values = [
        ("address", &*address.unwrap_or_default()),
        ("addresses", &node.node_ip()),
        (
            "cgroupDriver",
            runtime::cgroup_driver(cluster.runtime, cluster.version),
        ),
        ("cluster", &cluster.name),
        ("criSocket", &cri_socket),
        ("discovery", paths::DISCOVERY),
        ("dnsDomain", &cluster.dns_domain),
        ("endpoint", &cluster.endpoint.to_string()),
        ("imageRepository", &cluster.image_repository),
        ("node", &node.name),
        ("podSubnet", &joined(&cluster.pod_subnets)),
        ("serviceSubnet", &joined(&cluster.service_subnets)),
        ("scope", "${scope}"),
        ("token", "${token}"),
        ("tokenTtl", "${tokenTtl}"),
        ("version", &cluster.version.to_string()),
        ("volumePlugins", VOLUME_PLUGINS),
    ];
    for document in &mut documents {
        fragments::fill_document(document, &values)?;
    }
    Ok(documents)
}

fn joined(networks: &[IpNet]) -> String {
    let texts: Vec<_> = networks.iter().map(IpNet::to_string).collect();
    texts.join(",")
}

fn finish(mut documents: Vec<Value>, cluster: &Cluster, node: &Node) -> Result<Vec<Value>> {
    let api = cluster.version.kubeadm_api();
    convert::down(&mut documents, api)?;
    overlay::apply(&mut documents, cluster.overlays_of(node), api);
    for document in &mut documents {
        ignore_preflight(document, &ignored_checks(cluster, node));
    }
    Ok(documents)
}

/// The checks of kubeadm's that would fail for what nkd does on purpose.
fn ignored_checks(cluster: &Cluster, node: &Node) -> Vec<&'static str> {
    let mut checks = Vec::new();
    let is_control_plane = node.role == NodeRole::ControlPlane;
    let mut own = cluster.own_of(node).flat_map(|own| &own.configs);
    let has_static_pods =
        is_control_plane && cluster.kube_vip.is_some() || own.any(kept::has_static_pods);
    if has_static_pods && !cluster.is_init(node) {
        // A join requires that this directory is empty.
        checks.push("DirAvailable--etc-kubernetes-manifests");
    }
    if is_control_plane && runtime::only_kubelet_authenticates(cluster) {
        // kubeadm pulls without credentials; kubelet pulls the same images later, with them.
        checks.push("ImagePull");
    }
    checks
}

/// The preflight checks that kubeadm ignores, in lower case.
pub fn ignored_preflight(documents: &[Value]) -> Vec<String> {
    let registrations = documents
        .iter()
        .map(|document| &document["nodeRegistration"]);
    let checks = registrations
        .filter_map(|registration| registration["ignorePreflightErrors"].as_array())
        .flatten();
    checks
        .filter_map(|check| Some(check.as_str()?.to_ascii_lowercase()))
        .collect()
}

/// Adds to the checks the user ignores.
fn ignore_preflight(document: &mut Value, checks: &[&str]) {
    let Some(registration) = document.get_mut("nodeRegistration") else {
        return;
    };
    for check in checks {
        let ignored = &mut registration["ignorePreflightErrors"];
        if ignored.is_null() {
            *ignored = json!([]);
        }
        let Some(ignored) = ignored.as_array_mut() else {
            continue;
        };
        if !ignored.iter().any(|name| text_is(name, check)) {
            ignored.push(json!(check));
        }
    }
}

fn text_is(value: &Value, name: &str) -> bool {
    let text = value.as_str();
    text.is_some_and(|text| text.eq_ignore_ascii_case(name))
}

/// Has kubeadm take the patches in [`PATCHES`], where the node has any.
fn take_patches(document: &mut Value, cluster: &Cluster, node: &Node) {
    if patches::has_patches(cluster, node) && cluster.version.configures_patches() {
        document["patches"] = json!({"directory": PATCHES});
    }
}

/// The patch of a node's copy of the kubelet configuration that all nodes share (RFC 7396). A key without a
/// value would remove the cluster's.
pub fn kubelet_patch(cluster: &Cluster, node: &Node) -> Option<Value> {
    let mut patch = overlay::merged(cluster.kubelet_overlays_of(node))?;
    remove_nulls(&mut patch);
    Some(patch)
}

fn remove_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(remove_nulls);
    }
}

/// The directory from which kubeadm is told to take patches.
pub fn patches(documents: &[Value]) -> Option<String> {
    let mut directories = documents
        .iter()
        .map(|document| &document["patches"]["directory"]);
    directories.find_map(|directory| directory.as_str().map(str::to_owned))
}

/// A node's own labels, taints and kubelet settings. The last are arguments, because kubeadm keeps one
/// `KubeletConfiguration` for all nodes, and before 1.25 patches it on none. Kubernetes reads no taints and an empty list of them
/// differently: without the key a control plane gets its usual taint.
fn registration(document: &mut Value, cluster: &Cluster, node: &Node) {
    let registration = &mut document["nodeRegistration"];
    if let Some(args) = registration["kubeletExtraArgs"].as_array_mut() {
        if cluster.runtime == Runtime::Docker {
            // dockershim is a part of kubelet.
            let image = &cluster.sandbox_image;
            args.push(json!({"name": docker::SANDBOX_ARGUMENT, "value": image}));
        }
        if !node.labels.is_empty() {
            let labels: Vec<_> = node
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            args.push(json!({"name": "node-labels", "value": labels.join(",")}));
        }
        let further = node.kubelet_args.iter();
        args.extend(further.map(|(name, value)| json!({"name": name, "value": value.value})));
    }
    // kubeadm knows it from v1beta3 on; before that it pulls what isn't there.
    if cluster.images_from.is_closed() && cluster.version.minor >= 22 {
        registration["imagePullPolicy"] = json!("Never");
    }
    if let Some(taints) = &node.taints {
        registration["taints"] = taints.iter().map(taint).collect();
    }
}

/// Removes the name and the addresses of the node, which differ on each machine of an open pool. kubelet then
/// finds its address itself. It prefers IPv4, unless `node-ip` is the unspecified address of IPv6.
fn leave_to_platform(join: &mut Value, cluster: &Cluster) {
    let registration = &mut join["nodeRegistration"];
    if let Some(registration) = registration.as_object_mut() {
        registration.remove("name");
    }
    let mut services = cluster.service_subnets.iter();
    let prefers_ipv6 = services
        .next()
        .is_some_and(|network| network.addr().is_ipv6());
    let Some(args) = registration["kubeletExtraArgs"].as_array_mut() else {
        return;
    };
    args.retain(|arg| arg["name"] != NODE_IP);
    if prefers_ipv6 {
        args.push(json!({"name": NODE_IP, "value": "::"}));
    }
}

fn taint(taint: &Taint) -> Value {
    let mut json = json!({"key": taint.key, "effect": taint.effect});
    if !taint.value.is_empty() {
        json["value"] = json!(taint.value);
    }
    json
}

/// The document of a kind.
fn document<'a>(documents: &'a mut [Value], kind: &str) -> Result<&'a mut Value> {
    match documents
        .iter_mut()
        .find(|document| document["kind"] == kind)
    {
        Some(document) => Ok(document),
        None => bail!("a kubeadm template has no {kind}"),
    }
}
