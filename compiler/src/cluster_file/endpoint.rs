//! The endpoint: with several control planes it must outlive any one of them.

use std::net::IpAddr;

use super::checks;
use super::resolved::{Cluster, Node};
use crate::image_name::full;
use crate::model::{Endpoint, KubeVip};
use nkd_document::{Code, Diagnostics, Spanned};

type Text = Spanned<String>;

/// The image of kube-vip, unless the cluster file names another.
pub const KUBE_VIP_IMAGE: &str = "ghcr.io/kube-vip/kube-vip:v0.8.9";

/// Checks the endpoint and what carries its address.
pub fn endpoint(file: &Cluster, to: &mut Diagnostics) -> (Option<Endpoint>, Option<KubeVip>) {
    let endpoint = file
        .endpoint
        .as_ref()
        .and_then(|it| checks::endpoint(it, to));
    let address = endpoint
        .as_ref()
        .and_then(|it| it.host.parse::<IpAddr>().ok());
    let control_planes = file.nodes.iter().filter(|node| node.is_control_plane());
    if control_planes.count() > 1 {
        outlives_nodes(file, address, to);
    }
    if let (Some(text), Some(endpoint)) = (&file.endpoint, &endpoint) {
        is_served(file, endpoint, text, to);
    }
    let kube_vip = file.kube_vip.as_ref().and_then(|kube_vip| {
        if let (Some(text), Some(_)) = (&file.endpoint, &endpoint)
            && address.is_none_or(|address| is_a_nodes(&file.nodes, address))
        {
            let message = format!("kube-vip can't carry the endpoint `{}`", text.value);
            to.report(Code::VirtualAddress, text.span, message);
        }
        carried_by_nodes(file, address, to);
        if let Some(image) = &kube_vip.image {
            checks::image(image, to);
        }
        let interface = checks::interface(kube_vip.interface.as_ref()?, to)?;
        let image = kube_vip.image.as_ref();
        Some(KubeVip {
            interface,
            image: image.map_or_else(|| KUBE_VIP_IMAGE.to_owned(), |it| full(&it.value)),
        })
    });
    (endpoint, kube_vip)
}

fn outlives_nodes(file: &Cluster, address: Option<IpAddr>, to: &mut Diagnostics) {
    let Some(text) = &file.endpoint else {
        let message = "a cluster with several control planes needs `spec.kubernetes.endpoint`";
        to.report(Code::SharedEndpoint, file.span, message);
        return;
    };
    let host = text.value.rsplit_once(':').map(|(host, _)| host);
    let mut names = file.nodes.iter().filter_map(|node| node.name.as_ref());
    let is_name = names.any(|name| Some(name.value.as_str()) == host);
    if is_name || address.is_some_and(|address| is_a_nodes(&file.nodes, address)) {
        let message = format!(
            "the endpoint `{}` is one node's own, and the control planes are several",
            text.value
        );
        to.report(Code::SharedEndpoint, text.span, message);
    }
}

/// Ports of a control plane that others have: etcd, kubelet, kube-proxy, the controller manager,
/// the scheduler (Kubernetes, "Ports and Protocols"; etcd's metrics; health checks), and sshd.
const TAKEN: [u16; 10] = [
    22, 2379, 2380, 2381, 10248, 10249, 10250, 10256, 10257, 10259,
];

/// Somebody serves the API there: not a worker, and not on a port of another's.
fn is_served(file: &Cluster, endpoint: &Endpoint, text: &Text, to: &mut Diagnostics) {
    let is_at = |node: &&Node| {
        let mut addresses = node.address.iter().flat_map(checks::parsed_addresses);
        addresses.any(|it| it.to_string() == endpoint.host)
            || node
                .name
                .as_ref()
                .is_some_and(|it| it.value == endpoint.host)
    };
    let at = file.nodes.iter().find(is_at);
    if file.kube_vip.is_none() && at.is_some_and(|node| !node.is_control_plane()) {
        let message = format!("the endpoint `{}` is a worker's", text.value);
        to.report(Code::Endpoint, text.span, message);
    } else if (at.is_some() || file.kube_vip.is_some()) && TAKEN.contains(&endpoint.port) {
        let message = format!("port {} of a control plane is another's", endpoint.port);
        let help = "the API server listens there itself: use another port, such as 6443";
        to.report_with_help(Code::Endpoint, text.span, message, help);
    }
}

/// The control planes have the interface and the IP version, as far as the file says what they
/// have.
fn carried_by_nodes(file: &Cluster, address: Option<IpAddr>, to: &mut Diagnostics) {
    let (Some(text), Some(kube_vip)) = (&file.endpoint, &file.kube_vip) else {
        return;
    };
    for node in file.nodes.iter().filter(|node| node.is_control_plane()) {
        let mut own = node.address.iter().flat_map(checks::parsed_addresses);
        if address.is_some_and(|it| own.all(|own| own.is_ipv4() != it.is_ipv4())) {
            let message = "the control planes have no address of the endpoint's IP version";
            to.report(Code::VirtualAddress, text.span, message);
            return;
        }
        let mut names = node.interfaces.iter().filter_map(|it| it.name.as_ref());
        if let Some(interface) = &kube_vip.interface
            && !node.interfaces.is_empty()
            && names.all(|it| it.value != interface.value)
        {
            let message = format!("a control plane has no interface `{}`", interface.value);
            to.report(Code::VirtualAddress, interface.span, message);
            return;
        }
    }
}

fn is_a_nodes(nodes: &[Node], address: IpAddr) -> bool {
    let addresses = nodes.iter().filter_map(|node| node.address.as_ref());
    addresses
        .flat_map(checks::parsed_addresses)
        .any(|it| it == address)
}
