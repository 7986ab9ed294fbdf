//! Settings in overlays that nkd sets itself. Another value would break what nkd proves. The same value is no conflict.

use serde_json::{Value, json};

use super::args::{self, Arg};
use crate::runtime;
use nkd_contract::{Runtime, paths};
use nkd_document::yaml::Node;
use nkd_document::{Code, Diagnostics, Span};
use nkd_model::Endpoint;
use nkd_model::version::Version;

/// Where kubeadm's etcd has its data by default, in kubeadm's `v1beta4.DefaultEtcdDataDir`. The agent
/// expects them there.
pub const ETCD_DATA: &str = "/var/lib/etcd";

/// Fields that nkd fills: changing them would break what it proves. With what to use instead.
const OWNED: [(&str, &str); 26] = [
    ("InitConfiguration.bootstrapTokens", ""),
    ("InitConfiguration.certificateKey", ""),
    (
        "InitConfiguration.localAPIEndpoint",
        "the node's `address` and `spec.kubernetes.endpoint`",
    ),
    (
        "InitConfiguration.nodeRegistration.name",
        "the node's `name`",
    ),
    (
        "InitConfiguration.nodeRegistration.criSocket",
        "`spec.runtime`",
    ),
    ("ClusterConfiguration.certificatesDir", ""),
    ("ClusterConfiguration.clusterName", "`metadata.name`"),
    (
        "ClusterConfiguration.etcd.external",
        "`spec.kubernetes.etcd.external`",
    ),
    (
        "ClusterConfiguration.controlPlaneEndpoint",
        "`spec.kubernetes.endpoint`",
    ),
    (
        "ClusterConfiguration.imageRepository",
        "`spec.kubernetes.imageRepository`",
    ),
    (
        "ClusterConfiguration.kubernetesVersion",
        "`spec.kubernetes.version`",
    ),
    (
        "ClusterConfiguration.networking",
        "`spec.kubernetes.networking`",
    ),
    (
        "ClusterConfiguration.apiServer.certSANs",
        "`spec.kubernetes.apiServer.certSANs`",
    ),
    ("InitConfiguration.dryRun", ""),
    ("JoinConfiguration.caCertPath", ""),
    (
        "JoinConfiguration.controlPlane",
        "the node's `role` and `address`",
    ),
    ("JoinConfiguration.dryRun", ""),
    ("KubeletConfiguration.cgroupDriver", "`spec.runtime`"),
    (
        "KubeletConfiguration.clusterDomain",
        "`spec.kubernetes.networking.dnsDomain`",
    ),
    ("KubeletConfiguration.rotateCertificates", ""),
    ("KubeletConfiguration.staticPodPath", ""),
    (
        "KubeProxyConfiguration.clusterCIDR",
        "`spec.kubernetes.networking.podSubnet`",
    ),
    (
        "KubeletConfiguration.containerRuntimeEndpoint",
        "`spec.runtime`",
    ),
    ("JoinConfiguration.discovery", ""),
    (
        "JoinConfiguration.nodeRegistration.name",
        "the node's `name`",
    ),
    (
        "JoinConfiguration.nodeRegistration.criSocket",
        "`spec.runtime`",
    ),
];

/// Arguments of the control plane that nkd sets from the cluster file, and the one for the directory of etcd's data.
/// With what to use instead.
const COMPONENT_ARGS: [(&str, &str, &str); 8] = [
    ("apiServer", "advertise-address", "the node's `address`"),
    (
        "apiServer",
        "etcd-servers",
        "`spec.kubernetes.etcd.external`",
    ),
    ("apiServer", ANONYMOUS, ""),
    ("apiServer", "secure-port", "`spec.kubernetes.endpoint`"),
    (
        "apiServer",
        "service-cluster-ip-range",
        "`spec.kubernetes.networking.serviceSubnet`",
    ),
    (
        "controllerManager",
        "cluster-cidr",
        "`spec.kubernetes.networking.podSubnet`",
    ),
    (
        "controllerManager",
        "service-cluster-ip-range",
        "`spec.kubernetes.networking.serviceSubnet`",
    ),
    ("etcd.local", "data-dir", ""),
];

/// The argument with which the API server refuses requests without credentials.
const ANONYMOUS: &str = "anonymous-auth";
/// The probes of the API server's static pod are sent by kubelet, without credentials (kubeadm,
/// `staticpod.LivenessProbe`).
const NEEDS_ANONYMOUS: &str = "remove it: kubelet probes the API server without credentials, and would restart an API server that refuses \
     this; from Kubernetes 1.32 on, an AuthenticationConfiguration can limit anonymous requests to /livez, /readyz \
     and /healthz";

/// Arguments of kubelet that hold nodes and cluster together, and what to use instead.
pub const OWNED_ARGS: [(&str, &str); 13] = [
    ("bootstrap-kubeconfig", ""),
    // Where the agent finds kubelet's credentials.
    ("cert-dir", ""),
    ("cgroup-driver", ""),
    (
        "config",
        "a KubeletConfiguration in `spec.kubernetes.kubeadm`",
    ),
    ("container-runtime", "`spec.runtime`"),
    ("container-runtime-endpoint", "`spec.runtime`"),
    ("hostname-override", "the node's `name`"),
    ("kubeconfig", ""),
    ("node-ip", "the node's `address`"),
    ("node-labels", "the node's `labels`"),
    ("pod-infra-container-image", "`spec.runtime.sandboxImage`"),
    ("rotate-certificates", ""),
    ("volume-plugin-dir", ""),
];

/// What nkd sets, as far as the cluster file is valid.
pub struct Settings<'a> {
    /// The cluster's name.
    pub name: Option<&'a str>,
    /// The Kubernetes version.
    pub version: Version,
    /// The endpoint.
    pub endpoint: Option<&'a Endpoint>,
    /// The repository of Kubernetes' images.
    pub image_repository: Option<&'a str>,
    /// The networks of pods, separated by a comma.
    pub pod_subnet: &'a str,
    /// The networks of services, separated by a comma.
    pub service_subnet: &'a str,
    /// The DNS domain of services.
    pub dns_domain: &'a str,
    /// The container runtime.
    pub runtime: Runtime,
    /// Whether kubelet's garbage collection of images is off.
    pub keeps_images: bool,
}

impl Settings<'_> {
    /// The values in kubeadm's, kubelet's and kube-proxy's configuration that an overlay may repeat, by the kind of
    /// the document. Arguments are mappings.
    fn values(&self) -> Value {
        let (pods, services) = (self.pod_subnet, self.service_subnet);
        let socket = self
            .runtime
            .cri_endpoint(self.version.cri_socket_has_scheme());
        let joins = json!({"nodeRegistration": {"criSocket": socket}, "dryRun": false});
        json!({
            "InitConfiguration": joins,
            "JoinConfiguration": joins,
            "ClusterConfiguration": {
                "clusterName": self.name,
                "kubernetesVersion": self.version.to_string(),
                "controlPlaneEndpoint": self.endpoint.map(Endpoint::to_string),
                "imageRepository": self.image_repository,
                "certificatesDir": paths::KUBERNETES_PKI,
                "networking": {
                    "podSubnet": pods,
                    "serviceSubnet": services,
                    "dnsDomain": self.dns_domain,
                },
                "apiServer": {"extraArgs": {
                    ANONYMOUS: "true",
                    "service-cluster-ip-range": services,
                }},
                "controllerManager": {"extraArgs": {
                    "cluster-cidr": pods,
                    "service-cluster-ip-range": services,
                }},
                "etcd": {"local": {"extraArgs": {"data-dir": ETCD_DATA}}},
            },
            "KubeletConfiguration": {
                "cgroupDriver": runtime::cgroup_driver(self.runtime, self.version),
                "clusterDomain": self.dns_domain,
                "rotateCertificates": true,
                "staticPodPath": paths::KUBERNETES_MANIFESTS,
                "containerRuntimeEndpoint": socket,
            },
            "KubeProxyConfiguration": {"clusterCIDR": pods},
        })
    }
}

/// Whether a value of an overlay changes nothing in a value of nkd. `null` never does.
fn is_repeated(overlay: &Value, own: &Value) -> bool {
    match (overlay, own) {
        (Value::Null, _) => true,
        (Value::Object(overlay), Value::Object(own)) => overlay.iter().all(|(key, value)| {
            let own = own.get(key).unwrap_or(&Value::Null);
            is_repeated(value, own)
        }),
        (overlay, own) => overlay == own,
    }
}

/// Reports the fields and arguments of a document that nkd sets to other values.
pub(super) fn check(kind: &str, document: &Node, settings: &Settings<'_>, to: &mut Diagnostics) {
    let values = settings.values();
    let values = &values[kind];
    for (path, instead) in OWNED {
        let Some(field) = path
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix('.'))
        else {
            continue;
        };
        let names = field.split('.');
        let node = names
            .clone()
            .try_fold(document, |node, name| node.get(name));
        let own = names.fold(values, |value, name| &value[name]);
        if let Some(node) = node.filter(|node| !is_repeated(&node.to_json(), own)) {
            owned(&format!("`{field}`"), instead, node.span, to);
        }
    }
    for (component, name, instead) in COMPONENT_ARGS {
        let path = component.split('.').chain(["extraArgs"]);
        let written = path.clone().try_fold(document, |node, key| node.get(key));
        let own = path.fold(values, |value, key| &value[key])[name].as_str();
        let written = written.map(args::all).into_iter().flatten();
        for arg in written.filter(|arg| arg.name == name && (own.is_none() || arg.text() != own)) {
            let what = format!("the argument `{name}` of {component}");
            if name == ANONYMOUS {
                let message = format!("{what} must be true");
                to.report_with_help(Code::OverlayOwned, arg.span, message, NEEDS_ANONYMOUS);
            } else {
                owned(&what, instead, arg.span, to);
            }
        }
    }
    let registration = document.get("nodeRegistration");
    let args = registration.and_then(|registration| registration.get("kubeletExtraArgs"));
    for Arg { name, span, .. } in args.map(args::all).into_iter().flatten() {
        if let Some((_, instead)) = OWNED_ARGS.iter().find(|(owned, _)| *owned == name) {
            owned(&format!("kubelet's argument `{name}`"), instead, span, to);
        }
    }
}

fn owned(what: &str, instead: &str, span: Span, to: &mut Diagnostics) {
    let message = format!("nkd sets {what}");
    if instead.is_empty() {
        to.report(Code::OverlayOwned, span, message);
    } else {
        let help = format!("remove it and use {instead} in the cluster file");
        to.report_with_help(Code::OverlayOwned, span, message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::OWNED;
    use crate::releases::{self, Type};

    #[test]
    fn every_field_that_nkd_sets_exists() {
        for (path, _) in OWNED {
            let mut names = path.split('.');
            let mut fields = names.next().and_then(releases::fields);
            for name in names {
                let field = fields.and_then(|fields| fields.get(name));
                fields = match &field.unwrap_or_else(|| panic!("{path}")).kind {
                    Type::Object(kind) => releases::fields(kind),
                    _ => None,
                };
            }
        }
    }
}
