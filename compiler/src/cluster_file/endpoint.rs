//! Checks of the endpoint. With several control planes, the endpoint must work when one of them is down.

use std::net::IpAddr;

use super::checks;
use super::checks::Text;
use super::keys::Spec;
use super::nodes::{Node, is_control_plane};
use crate::image_name::full;
use nkd_document::{Code, Diagnostics, Span};
use nkd_model::{self as model, Endpoint};

/// Checks the endpoint and kube-vip.
pub fn endpoint(
    spec: &Spec,
    span: Span,
    to: &mut Diagnostics,
) -> (Option<Endpoint>, Option<model::KubeVip>) {
    let written = spec.kubernetes.endpoint.as_ref();
    let endpoint = written.and_then(|text| checks::endpoint(text, to));
    let address = endpoint
        .as_ref()
        .and_then(|endpoint| endpoint.host.parse::<IpAddr>().ok());
    let control_planes = spec.nodes.iter().filter(|node| is_control_plane(node));
    if control_planes.count() > 1 {
        outlives_nodes(spec, span, address, to);
    }
    if let (Some(text), Some(endpoint)) = (&spec.kubernetes.endpoint, &endpoint) {
        is_served(spec, endpoint, text, to);
    }
    let kube_vip = spec.kubernetes.kube_vip.as_ref().and_then(|kube_vip| {
        if let (Some(text), Some(_)) = (&spec.kubernetes.endpoint, &endpoint)
            && address.is_none_or(|address| is_a_nodes(&spec.nodes, address))
        {
            let message = format!("kube-vip cannot use the endpoint `{}`", text.value);
            to.report(Code::VirtualAddress, text.span, message);
        }
        carried_by_nodes(spec, address, to);
        checks::image_or_digest(&kube_vip.image, to);
        let interface = checks::interface(kube_vip.interface.as_ref()?, to)?;
        Some(model::KubeVip {
            interface,
            image: full(&kube_vip.image.value),
        })
    });
    (endpoint, kube_vip)
}

fn outlives_nodes(spec: &Spec, span: Span, address: Option<IpAddr>, to: &mut Diagnostics) {
    let Some(text) = &spec.kubernetes.endpoint else {
        let message = "`spec.kubernetes.endpoint` is missing; a cluster with several control planes requires it";
        to.report(Code::SharedEndpoint, span, message);
        return;
    };
    let host = text.value.rsplit_once(':').map(|(host, _)| host);
    let mut names = spec.nodes.iter().filter_map(|node| node.own.name.as_ref());
    let is_name = names.any(|name| Some(name.value.as_str()) == host);
    if is_name || address.is_some_and(|address| is_a_nodes(&spec.nodes, address)) {
        let message = format!(
            "the endpoint `{}` is the address of one node, but the cluster has several control planes",
            text.value
        );
        to.report(Code::SharedEndpoint, text.span, message);
    }
}

/// Ports of a control plane that other programs use: etcd, kubelet, kube-proxy, the controller manager,
/// the scheduler (Kubernetes, "Ports and Protocols"; etcd's metrics; health checks), and sshd.
const TAKEN: [u16; 10] = [
    22, 2379, 2380, 2381, 10248, 10249, 10250, 10256, 10257, 10259,
];

/// Checks that the API can be served at the endpoint: its address is not that of a worker, and its port
/// is not that of another program.
fn is_served(spec: &Spec, endpoint: &Endpoint, text: &Text, to: &mut Diagnostics) {
    let is_at = |node: &&Node| {
        let mut addresses = node.own.address.iter().flat_map(checks::parsed_addresses);
        addresses.any(|address| address.to_string() == endpoint.host)
            || node
                .own
                .name
                .as_ref()
                .is_some_and(|name| name.value == endpoint.host)
    };
    let at = spec.nodes.iter().find(is_at);
    if spec.kubernetes.kube_vip.is_none() && at.is_some_and(|node| !is_control_plane(node)) {
        let message = format!("the endpoint `{}` is the address of a worker", text.value);
        to.report(Code::Endpoint, text.span, message);
    } else if (at.is_some() || spec.kubernetes.kube_vip.is_some()) && TAKEN.contains(&endpoint.port)
    {
        let message = format!(
            "another component of control planes already uses port {}",
            endpoint.port
        );
        let help = "use another port, such as 6443";
        to.report_with_help(Code::Endpoint, text.span, message, help);
    }
}

/// Checks that the control planes have the interface and the IP version of kube-vip, as far as the
/// cluster file lists their interfaces.
fn carried_by_nodes(spec: &Spec, address: Option<IpAddr>, to: &mut Diagnostics) {
    let (Some(text), Some(kube_vip)) = (&spec.kubernetes.endpoint, &spec.kubernetes.kube_vip)
    else {
        return;
    };
    for node in spec.nodes.iter().filter(|node| is_control_plane(node)) {
        let mut own = node.own.address.iter().flat_map(checks::parsed_addresses);
        if address.is_some_and(|address| own.all(|own| own.is_ipv4() != address.is_ipv4())) {
            let message = "the control planes have no address with the IP version of the endpoint";
            to.report(Code::VirtualAddress, text.span, message);
            return;
        }
        let interfaces = node.own.interfaces.iter();
        let mut names = interfaces.filter_map(|interface| interface.name.as_ref());
        if let Some(interface) = &kube_vip.interface
            && !node.own.interfaces.is_empty()
            && names.all(|name| name.value != interface.value)
        {
            let message = format!(
                "a control plane has no network interface `{}`",
                interface.value
            );
            to.report(Code::VirtualAddress, interface.span, message);
            return;
        }
    }
}

fn is_a_nodes(nodes: &[Node], address: IpAddr) -> bool {
    let addresses = nodes.iter().filter_map(|node| node.own.address.as_ref());
    addresses
        .flat_map(checks::parsed_addresses)
        .any(|taken| taken == address)
}
