//! Checks the nodes' network interfaces against each other and against the cluster's networks.

use std::collections::HashMap;

use ipnet::IpNet;

use super::checks::{self, Text};
use super::interfaces::Interface;
use super::keys::Spec;
use super::nodes::Node;
use nkd_document::{Code, Diagnostics};

/// Checks the interfaces of all nodes together.
pub fn interfaces(spec: &Spec, to: &mut Diagnostics) {
    let networking = &spec.kubernetes.networking;
    let subnets = [&networking.pod_subnet, &networking.service_subnet];
    let subnets = subnets.into_iter().flat_map(|text| text.value.split(','));
    let networks: Vec<IpNet> = subnets.filter_map(|subnet| subnet.parse().ok()).collect();
    let mut addresses = HashMap::new();
    let mut macs = HashMap::new();
    for (index, node) in spec.nodes.iter().enumerate() {
        for interface in &node.own.interfaces {
            gateways(interface, to);
            for (text, address) in parsed(interface) {
                let overlapped = networks.iter().find(|network| overlap(network, &address));
                if let Some(network) = overlapped {
                    let message = format!("`{}` overlaps the network {network}", text.value);
                    to.report(Code::CidrOverlap, text.span, message);
                }
                if addresses.insert(address.addr(), index).is_some() {
                    let message = format!(
                        "the address `{}` is already set on another interface",
                        address.addr()
                    );
                    to.report(Code::DuplicateAddress, text.span, message);
                }
            }
        }
        for mac in own_macs(node) {
            let same = macs.insert(checks::plain_mac(&mac.value), index);
            if same.is_some() {
                let message = format!(
                    "another interface already has the MAC address `{}`",
                    mac.value
                );
                to.report(Code::DuplicateMac, mac.span, message);
            }
        }
    }
    others_addresses(spec, &addresses, to);
}

/// Checks that no interface of another node has a node's address.
fn others_addresses(
    spec: &Spec,
    addresses: &HashMap<std::net::IpAddr, usize>,
    to: &mut Diagnostics,
) {
    for (index, node) in spec.nodes.iter().enumerate() {
        let Some(text) = &node.own.address else {
            continue;
        };
        for address in super::checks::parsed_addresses(text) {
            if addresses.get(&address).is_some_and(|of| *of != index) {
                let message =
                    format!("an interface of another node already has the address `{address}`");
                to.report(Code::DuplicateAddress, text.span, message);
            }
        }
    }
}

/// The MAC addresses of a node's interfaces, and of the members of its bonds that have no items of their
/// own. No two interfaces may have the same one, but `mac` of the node and an interface of it may. Another
/// check compares the `mac` keys of all nodes.
fn own_macs(node: &Node) -> impl Iterator<Item = &Text> {
    let interfaces = &node.own.interfaces;
    let of_items = interfaces
        .iter()
        .filter_map(|interface| interface.mac.as_ref());
    let bonds = interfaces
        .iter()
        .filter_map(|interface| interface.bond.as_ref());
    let members = bonds.flat_map(|bond| &bond.members);
    let is_further = move |member: &&Text| {
        let mut macs = interfaces
            .iter()
            .filter_map(|interface| interface.mac.as_ref());
        let mac = checks::plain_mac(&member.value);
        checks::is_mac(&mac) && macs.all(|other| checks::plain_mac(&other.value) != mac)
    };
    of_items.chain(members.filter(is_further))
}

fn parsed(interface: &Interface) -> impl Iterator<Item = (&Text, IpNet)> {
    let texts = interface.addresses.iter().flatten();
    texts.filter_map(|text| Some((text, text.value.parse().ok()?)))
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// Checks that a gateway is not an address of the interface itself, and that there is at most one gateway
/// of each IP version.
fn gateways(interface: &Interface, to: &mut Diagnostics) {
    let mut seen = Vec::new();
    for text in &interface.gateways {
        let Ok(gateway) = text.value.parse::<std::net::IpAddr>() else {
            continue;
        };
        if parsed(interface).any(|(_, own)| own.addr() == gateway) {
            let message = format!("the gateway {gateway} is an address of the interface itself");
            to.report(Code::Addressing, text.span, message);
        }
        if seen.contains(&gateway.is_ipv4()) {
            let message = "an interface can have at most one gateway for each IP version";
            to.report(Code::Addressing, text.span, message);
        }
        seen.push(gateway.is_ipv4());
    }
}
