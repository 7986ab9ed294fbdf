//! The cluster file with its defaults filled in. A value that is needed and absent stays absent,
//! so that the checks after this still see all the rest.

use super::domain::Role;
use super::written;
use crate::diagnostics::{Code, Diagnostics, Span, Spanned};
use crate::images;
use crate::version::Version;

type Text = Spanned<String>;

/// Where the API is found on a control plane, unless the endpoint says otherwise (kubeadm's
/// default `bindPort`).
pub const DEFAULT_API_PORT: u16 = 6443;

/// The document.
pub struct Cluster {
    /// The document's place.
    pub span: Span,
    /// `metadata.name`
    pub name: Option<Text>,
    /// `spec.kubernetes.version`
    pub version: Option<Text>,
    /// `spec.kubernetes.endpoint`
    pub endpoint: Option<Text>,
    /// `spec.kubernetes.imageRepository`
    pub image_repository: Text,
    /// `spec.kubernetes.networking.podSubnet`
    pub pod_subnet: Text,
    /// `spec.kubernetes.networking.serviceSubnet`
    pub service_subnet: Text,
    /// `spec.kubernetes.networking.dnsDomain`
    pub dns_domain: Text,
    /// `spec.kubernetes.apiServer.certSANs`
    pub cert_sans: Vec<Text>,
    /// `spec.kubernetes.kubeVip`
    pub kube_vip: Option<written::KubeVip>,
    /// `spec.kubernetes.kubeadm`
    pub overlays: Vec<Text>,
    /// `spec.runtime.name`
    pub runtime: Text,
    /// `spec.runtime.sandboxImage`
    pub sandbox_image: Text,
    /// `spec.network.manifests`
    pub manifests: Vec<Text>,
    /// `spec.airgap.images`
    pub airgap_images: Option<Text>,
    /// `spec.report`
    pub report: Option<written::Report>,
    /// `spec.os.ignition`
    pub ignition: Vec<Text>,
    /// `spec.pki.algorithm`
    pub pki_algorithm: Text,
    /// `spec.pki.validity`
    pub pki_validity: Text,
    /// `spec.nodes`
    pub nodes: Vec<Node>,
}

/// An item of `spec.nodes`
pub struct Node {
    /// `name`
    pub name: Option<Text>,
    /// `role`
    pub role: Option<Text>,
    /// `address`
    pub address: Option<Text>,
    /// `labels`
    pub labels: Vec<(Text, Text)>,
    /// `taints`: absent and empty differ.
    pub taints: Option<Vec<written::Taint>>,
    /// `os.ignition`
    pub ignition: Vec<Text>,
}

impl Node {
    /// Whether it says so; it may be wrong otherwise.
    pub fn is_control_plane(&self) -> bool {
        let role = self.role.as_ref();
        role.is_some_and(|role| role.value == Role::ControlPlane.name())
    }
}

/// Fills in the defaults.
pub fn resolve(file: written::Cluster, to: &mut Diagnostics) -> Cluster {
    let span = file.span;
    let or = |text: Option<Text>, default: &str| {
        text.unwrap_or_else(|| Spanned::new(default.to_owned(), span))
    };
    header(&file, to);
    let written::Spec {
        kubernetes, nodes, ..
    } = file.spec;
    let nodes: Vec<_> = nodes.unwrap_or_default().into_iter().map(node).collect();
    let version = kubernetes.version;
    // A version that is wrong is reported later; until then anything does.
    let parsed = version
        .as_ref()
        .and_then(|it| Version::parse(&it.value).ok());
    let repository = or(
        kubernetes.image_repository,
        images::default_repository(parsed),
    );
    let sandbox_image = images::sandbox(parsed, &repository.value);
    Cluster {
        span,
        name: file.name,
        endpoint: kubernetes.endpoint.or_else(|| default_endpoint(&nodes)),
        version,
        image_repository: repository,
        pod_subnet: or(kubernetes.pod_subnet, "10.244.0.0/16"),
        service_subnet: or(kubernetes.service_subnet, "10.96.0.0/12"),
        dns_domain: or(kubernetes.dns_domain, "cluster.local"),
        cert_sans: kubernetes.cert_sans.unwrap_or_default(),
        kube_vip: kubernetes.kube_vip,
        overlays: kubernetes.overlays.unwrap_or_default(),
        runtime: or(file.spec.runtime, "containerd"),
        sandbox_image: or(file.spec.sandbox_image, &sandbox_image),
        manifests: file.spec.manifests.unwrap_or_default(),
        airgap_images: file.spec.airgap_images,
        report: file.spec.report,
        ignition: file.spec.ignition.unwrap_or_default(),
        pki_algorithm: or(file.spec.pki_algorithm, "ecdsa-p256"),
        pki_validity: or(file.spec.pki_validity, "10y"),
        nodes,
    }
}

fn header(file: &written::Cluster, to: &mut Diagnostics) {
    let wanted = [
        (
            "apiVersion",
            &file.api_version,
            "nkd.openeuler.org/v1alpha1",
        ),
        ("kind", &file.kind, "Cluster"),
    ];
    for (key, text, expected) in wanted {
        let message = match text {
            Some(text) if text.value == expected => continue,
            Some(_) => format!("`{key}` is not `{expected}`"),
            None => format!("`{key}` is missing"),
        };
        to.report(
            Code::ApiVersion,
            text.as_ref().map_or(file.span, |it| it.span),
            message,
        );
    }
}

/// The endpoint of a cluster with one control plane is that control plane; of several, none is
/// the others' way in.
fn default_endpoint(nodes: &[Node]) -> Option<Text> {
    let mut control_planes = nodes.iter().filter(|node| node.is_control_plane());
    let (Some(only), None) = (control_planes.next(), control_planes.next()) else {
        return None;
    };
    let address = only.address.as_ref()?;
    let host = if address.value.contains(':') {
        format!("[{}]", address.value)
    } else {
        address.value.clone()
    };
    Some(Spanned::new(
        format!("{host}:{DEFAULT_API_PORT}"),
        address.span,
    ))
}

fn node(file: written::Node) -> Node {
    Node {
        name: file.name,
        role: file.role,
        address: file.address,
        labels: file.labels.unwrap_or_default(),
        taints: file.taints,
        ignition: file.ignition.unwrap_or_default(),
    }
}
