//! The user's overlay documents: checked field by field for the cluster's version, then merged
//! onto nkd's.

use serde_json::Value;

use super::owned::{self, ETCD_DATA, Settings};
use super::{convert, names, schema, volumes};
use crate::releases;
use nkd_document::yaml::Node;
use nkd_document::{Code, Diagnostics};
use nkd_model::Overlay;
use nkd_model::version::{KubeadmApi, Version};

/// Kinds that may be in an overlay, by API group.
const KUBEADM_KINDS: [&str; 3] = [
    "InitConfiguration",
    "ClusterConfiguration",
    "JoinConfiguration",
];
const KUBELET: (&str, &str) = ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration");
const KUBE_PROXY: (&str, &str) = ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration");

/// Reports everything in the overlay documents that this version's kubeadm would not accept.
pub fn check<'a>(
    overlays: impl Iterator<Item = &'a Overlay>,
    settings: &Settings<'_>,
    to: &mut Diagnostics,
) {
    for overlay in overlays {
        check_document(&overlay.document, settings, to);
    }
}

/// Which of kubeadm's documents the nodes read that an overlay is for.
#[derive(Debug, Clone, Copy)]
pub struct Readers {
    /// One of them makes the cluster.
    pub init: bool,
    /// One of them joins it.
    pub join: bool,
}

/// Reports overlay documents of a pool or a node that none of its nodes would read, and those that would
/// change more than its nodes.
pub fn check_own(overlays: &[Overlay], readers: Readers, version: Version, to: &mut Diagnostics) {
    for document in overlays.iter().map(|overlay| &overlay.document) {
        let kind = document.get("kind");
        let name = kind.and_then(Node::as_text).unwrap_or_default();
        let unread = |who: &str| {
            format!("this document only applies to a node that {who}; this node does not read it")
        };
        let of_all = |kind: &str| format!("all nodes of a cluster share one {kind}");
        let (message, help) = match name {
            "InitConfiguration" if !readers.init => (
                unread("initializes the cluster"),
                "use JoinConfiguration or KubeletConfiguration",
            ),
            "JoinConfiguration" if !readers.join => (
                unread("joins"),
                "use InitConfiguration or KubeletConfiguration",
            ),
            "ClusterConfiguration" | "KubeProxyConfiguration" => {
                (of_all(name), "list the file in `spec.kubernetes.kubeadm`")
            }
            "KubeletConfiguration" if !version.patches_kubelet() => (
                format!("before Kubernetes 1.25, {}", of_all(name)),
                "use `kubelet.extraArgs` of the pool or node, or list the file in \
                 `spec.kubernetes.kubeadm`",
            ),
            _ => continue,
        };
        let span = kind.map_or(document.span, |kind| kind.span);
        to.report_with_help(Code::OverlayKind, span, message, help);
    }
}

/// Reports settings of the control planes' own etcd in a cluster with an external etcd.
pub fn check_no_local_etcd<'a>(overlays: impl Iterator<Item = &'a Overlay>, to: &mut Diagnostics) {
    let documents = overlays.map(|overlay| &overlay.document);
    for local in documents.filter_map(|document| document.get("etcd")?.get("local")) {
        let message = "`etcd.local` cannot be used together with an external etcd";
        let help = "remove it, or remove `spec.kubernetes.etcd.external`";
        to.report_with_help(Code::OverlayOwned, local.span, message, help);
    }
}

/// Reports settings by which kubeadm would run no etcd on the control planes, or keep its data in
/// another directory than the agent expects. The agent would then remove data that do not belong to the
/// cluster, or keep those of the cluster.
pub fn check_local_etcd<'a>(overlays: impl Iterator<Item = &'a Overlay>, to: &mut Diagnostics) {
    for document in overlays.map(|overlay| &overlay.document) {
        let local = document.get("etcd").and_then(|etcd| etcd.get("local"));
        let data = local.and_then(|local| local.get("dataDir"));
        let is_other = |data: &&Node| {
            let directory = data.as_text();
            directory.is_some_and(|directory| !["", ETCD_DATA].contains(&directory))
        };
        if let Some(data) = data.filter(is_other) {
            let message = format!("`etcd.local.dataDir` must be `{ETCD_DATA}`");
            let help =
                format!("remove it; to use a separate disk for etcd, mount it at {ETCD_DATA}");
            to.report_with_help(Code::OverlayOwned, data.span, message, help);
        }
        names::check_etcd_phases(document, to);
    }
}

/// Whether the user divides the pods' network otherwise than kubeadm does by itself, or leaves it to the network add-on.
pub fn sets_node_mask(overlays: &[Overlay]) -> bool {
    overlays.iter().any(|overlay| {
        let args = overlay.document.to_json()["controllerManager"]["extraArgs"].to_string();
        args.contains("\"node-cidr-mask-size") || args.contains("\"allocate-node-cidrs\"")
    })
}

fn check_document(document: &Node, settings: &Settings<'_>, to: &mut Diagnostics) {
    let version = settings.version;
    let text = |key: &str| document.get(key).and_then(Node::as_text);
    let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
        let message = "this document has no `apiVersion` and `kind`";
        to.report(Code::OverlayKind, document.span, message);
        return;
    };
    let kubeadm = version.kubeadm_api().api_version();
    let api = version
        .kubeadm_api()
        .overlays()
        .find(|api| api.api_version() == api_version);
    let known = (api.is_some() && KUBEADM_KINDS.contains(&kind))
        || [KUBELET, KUBE_PROXY].contains(&(api_version, kind));
    if !known {
        let reader = if releases::is_newer(version) {
            "nkd".to_owned()
        } else {
            format!("kubeadm {version}")
        };
        let message = format!("{reader} does not support the document `{kind}` of `{api_version}`");
        let help = format!(
            "use {kubeadm} with {}; {} with {}; or {} with {}",
            KUBEADM_KINDS.join(", "),
            KUBELET.0,
            KUBELET.1,
            KUBE_PROXY.0,
            KUBE_PROXY.1
        );
        let at = document.get("kind").map_or(document.span, |kind| kind.span);
        to.report_with_help(Code::OverlayKind, at, message, help);
        return;
    }
    schema::check(kind, document, version, api, to);
    names::check(kind, document, version, to);
    volumes::check(document, to);
    check_patches(document, to);
    owned::check(kind, document, settings, to);
}

/// Reports a directory of patches that kubeadm would look for in its own working directory.
fn check_patches(document: &Node, to: &mut Diagnostics) {
    let directory = document
        .get("patches")
        .and_then(|patches| patches.get("directory"));
    let is_relative = |directory: &&Node| {
        let path = directory.as_text();
        path.is_some_and(|path| !path.is_empty() && !path.starts_with('/'))
    };
    if let Some(directory) = directory.filter(is_relative) {
        let message = "`patches.directory` is not an absolute path";
        let help = "write the path of a directory on the node, which begins with `/`";
        to.report_with_help(Code::OverlayValue, directory.span, message, help);
    }
}

/// Merges the overlay documents onto those of one node. One that has no counterpart is added
/// where `kubeadm` would read it: all but `JoinConfiguration` on the init node.
pub fn apply<'a>(
    documents: &mut Vec<Value>,
    overlays: impl Iterator<Item = &'a Overlay>,
    api: KubeadmApi,
) {
    let joins = documents
        .iter()
        .any(|document| document["kind"] == "JoinConfiguration");
    for overlay in overlays {
        let document = converted(overlay, api);
        if (document["kind"] == "JoinConfiguration") != joins {
            continue;
        }
        match documents
            .iter_mut()
            .find(|base| base["kind"] == document["kind"])
        {
            Some(base) => merge(base, document),
            None => documents.push(document),
        }
    }
}

/// An overlay document in the version of kubeadm's API that the nodes read.
fn converted(overlay: &Overlay, api: KubeadmApi) -> Value {
    let mut document = overlay.to_json();
    convert::up(&mut document, api);
    document
}

/// Several overlays of one kind as one document. Without any of them there is none.
pub fn merged<'a>(overlays: impl Iterator<Item = &'a Overlay>) -> Option<Value> {
    let documents = overlays.map(Overlay::to_json);
    documents.reduce(|mut merged, document| {
        merge(&mut merged, document);
        merged
    })
}

/// Mappings merge key by key, arguments by name; anything else is replaced. `null` changes nothing.
fn merge(base: &mut Value, overlay: Value) {
    match (base, overlay) {
        (_, Value::Null) => {}
        (Value::Object(base), Value::Object(overlay)) => {
            for (key, value) in overlay {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(overlay))
            if !base.is_empty() && are_args(base) && are_args(&overlay) =>
        {
            base.retain(|old| !overlay.iter().any(|new| new["name"] == old["name"]));
            base.extend(overlay);
        }
        (base, overlay) => *base = overlay,
    }
}

fn are_args(list: &[Value]) -> bool {
    let is_arg = |item: &Value| {
        item.as_object().is_some_and(|map| {
            map.len() == 2 && map.contains_key("name") && map.contains_key("value")
        })
    };
    list.iter().all(is_arg)
}
