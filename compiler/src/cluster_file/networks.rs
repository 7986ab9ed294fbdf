//! Checks the networks of pods, services and nodes: they must not overlap, must have the same IP
//! versions, and must have sizes that Kubernetes supports.

use std::net::IpAddr;

use ipnet::IpNet;

use super::checks;
use super::checks::Text;
use super::keys::Spec;
use super::nodes::Node;
use nkd_document::{Code, Diagnostics, Spanned};
use nkd_model::version::Version;

/// The first version in which dual stack is not an alpha feature (Kubernetes changelog 1.21).
const DUAL_STACK_SINCE: u32 = 21;

/// The networks of pods and of services: one each, or one of each IP version.
pub fn networks(spec: &Spec, to: &mut Diagnostics) -> Option<(Vec<IpNet>, Vec<IpNet>)> {
    let pods = subnets(&spec.kubernetes.networking.pod_subnet, to);
    let services = subnets(&spec.kubernetes.networking.service_subnet, to);
    let (all_pods, all_services) = (pods.iter().flatten(), services.iter().flatten());
    for pods in all_pods.clone() {
        if all_services
            .clone()
            .any(|services| overlap(*pods, *services))
        {
            let message = "`podSubnet` and `serviceSubnet` overlap";
            to.report(
                Code::CidrOverlap,
                spec.kubernetes.networking.service_subnet.span,
                message,
            );
        }
    }
    for network in all_pods.chain(all_services.clone()) {
        outside(spec, *network, to);
    }
    for services in all_services {
        // kubeadm wants ten addresses at least; the API server keeps 20 bits of them at most.
        if !(4..=20).contains(&(services.max_prefix_len() - services.prefix_len())) {
            let message =
                format!("the prefix length of the service network {services} is out of range");
            to.report(
                Code::ServiceSize,
                spec.kubernetes.networking.service_subnet.span,
                message,
            );
        }
    }
    let (pods, services) = (pods?, services?);
    families(spec, &pods, &services, to);
    Some((pods, services))
}

/// One network, or two separated by a comma, as kubeadm writes them.
fn subnets(text: &Text, to: &mut Diagnostics) -> Option<Vec<IpNet>> {
    let parts = text.value.split(',').map(|part| {
        let part = Spanned::new(part.to_owned(), text.span);
        checks::cidr(&part, to)
    });
    let subnets: Vec<_> = parts.collect::<Option<_>>()?;
    let two_versions = |all: &[IpNet]| all[0].addr().is_ipv4() != all[1].addr().is_ipv4();
    if subnets.len() > 2 || (subnets.len() == 2 && !two_versions(&subnets)) {
        let message = format!(
            "`{}` has more than one network of the same IP version",
            text.value
        );
        to.report(Code::DualStack, text.span, message);
        return None;
    }
    Some(subnets)
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// Checks that no node and not the endpoint is inside a network.
fn outside(spec: &Spec, network: IpNet, to: &mut Diagnostics) {
    for (text, address) in node_addresses(&spec.nodes) {
        if network.contains(&address) {
            let message = format!("the node's address is inside the network {network}");
            to.report(Code::CidrOverlap, text.span, message);
        }
    }
    let is_a_nodes = |address: IpAddr| node_addresses(&spec.nodes).any(|(_, node)| node == address);
    let host = |text: &str| text.rsplit_once(':').map(|(host, _)| host.to_owned());
    let endpoint = spec.kubernetes.endpoint.as_ref().and_then(|text| {
        let host = host(&text.value)?;
        let address = host.trim_matches(['[', ']']).parse().ok()?;
        Some((text, address))
    });
    if let Some((text, address)) = endpoint
        && network.contains(&address)
        && !is_a_nodes(address)
    {
        let message = format!("the endpoint's address is inside the network {network}");
        to.report(Code::CidrOverlap, text.span, message);
    }
}

/// All addresses of all nodes, with their places.
fn node_addresses(nodes: &[Node]) -> impl Iterator<Item = (&Text, IpAddr)> {
    let texts = nodes.iter().filter_map(|node| node.own.address.as_ref());
    texts.flat_map(|text| checks::parsed_addresses(text).map(move |address| (text, address)))
}

/// Checks that the same IP versions are used everywhere, in the same order.
fn families(spec: &Spec, pods: &[IpNet], services: &[IpNet], to: &mut Diagnostics) {
    let of = |networks: &[IpNet]| -> Vec<bool> {
        networks
            .iter()
            .map(|network| network.addr().is_ipv4())
            .collect()
    };
    if of(pods) != of(services) {
        let message = "`podSubnet` and `serviceSubnet` have different IP versions, or list them in a different order";
        to.report(
            Code::Family,
            spec.kubernetes.networking.pod_subnet.span,
            message,
        );
    }
    let written = spec.kubernetes.version.as_ref();
    let version = written.and_then(|text| Version::parse(&text.value).ok());
    if services.len() > 1 && version.is_some_and(|version| version.minor < DUAL_STACK_SINCE) {
        let message = "IPv4 and IPv6 together require Kubernetes 1.21 or later";
        to.report(
            Code::DualStack,
            spec.kubernetes.networking.service_subnet.span,
            message,
        );
    }
    for text in spec
        .nodes
        .iter()
        .filter_map(|node| node.own.address.as_ref())
    {
        let own: Vec<_> = checks::parsed_addresses(text)
            .map(|address| address.is_ipv4())
            .collect();
        if !own.is_empty() && own != of(services) {
            let message = format!(
                "this address and the service network {} have different IP versions, or list them in a different order",
                spec.kubernetes.networking.service_subnet.value
            );
            to.report(Code::Family, text.span, message);
        }
    }
}

/// Checks the sizes of pod networks. kubeadm divides them into a /24 or /64 for each node, with at most
/// 16 bits for the nodes.
pub fn pods_fit_nodes(pods: &[IpNet], nodes: usize, text: &Text, to: &mut Diagnostics) {
    for pods in pods {
        let mask: u8 = if pods.addr().is_ipv4() { 24 } else { 64 };
        let bits = mask.checked_sub(pods.prefix_len());
        let bits = bits.filter(|bits| *bits <= 16);
        if bits.is_none_or(|bits| nodes > 1 << bits) {
            let message = format!("the pod network {pods} cannot be divided among {nodes} nodes");
            to.report(Code::PodSize, text.span, message);
        }
    }
}
