//! A node's network interfaces.

use std::net::IpAddr;

use ipnet::IpNet;

use super::checks;
use super::keys::{self, Text};
use crate::model::Interface;
use nkd_document::{Code, Diagnostics};

/// Checks the interfaces; `node` is the address by which the node is known.
pub fn interfaces(
    file: Vec<keys::Interface>,
    node: Option<&Text>,
    to: &mut Diagnostics,
) -> Vec<Interface> {
    let mut names = std::collections::HashSet::new();
    for name in file.iter().filter_map(|it| it.name.as_ref()) {
        if !names.insert(name.value.clone()) {
            let message = format!("duplicate interface name `{}`", name.value);
            to.report(Code::Interface, name.span, message);
        }
    }
    let interfaces: Vec<_> = file
        .into_iter()
        .filter_map(|it| interface(it, to))
        .collect();
    // With DHCP on an interface nobody knows yet what it gets.
    let all_static = interfaces.iter().all(|it| !it.addresses.is_empty());
    if let Some(node) = node
        && !interfaces.is_empty()
        && all_static
        && let Some(address) = checks::parsed_addresses(node)
            .find(|own| !addresses(&interfaces).any(|it| it.addr() == *own))
    {
        let message = format!("no interface has the node's `address` {address}");
        to.report(Code::Addressing, node.span, message);
    }
    interfaces
}

fn addresses(interfaces: &[Interface]) -> impl Iterator<Item = &IpNet> {
    interfaces.iter().flat_map(|it| &it.addresses)
}

fn interface(file: keys::Interface, to: &mut Diagnostics) -> Option<Interface> {
    let texts = file.addresses;
    let addresses: Vec<_> = texts.iter().filter_map(|it| with_prefix(it, to)).collect();
    let gateways = file.gateways;
    let gateways: Vec<_> = gateways
        .iter()
        .filter_map(|it| gateway(it, &addresses, to))
        .collect();
    let dns = file.dns;
    let dns = dns
        .iter()
        .filter_map(|it| checks::address(it, to))
        .collect();
    let mac = file.mac.and_then(|it| checks::mac(&it, to));
    Some(Interface {
        name: checks::interface(&file.name?, to)?,
        mac,
        addresses,
        gateways,
        dns,
        mtu: file.mtu.map(|it| it.value),
    })
}

fn with_prefix(text: &Text, to: &mut Diagnostics) -> Option<IpNet> {
    let parsed = text.value.parse::<IpNet>().ok();
    // All bits are the network's where two machines share a line.
    let good = parsed.filter(|it| {
        let room = it.max_prefix_len() - it.prefix_len();
        room < 2
            || (it.addr() != it.network() && (!it.addr().is_ipv4() || it.addr() != it.broadcast()))
    });
    if good.is_none() {
        let message = format!(
            "`{}` is not a host address with a prefix length",
            text.value
        );
        to.report(Code::Addressing, text.span, message);
    }
    good
}

fn gateway(text: &Text, addresses: &[IpNet], to: &mut Diagnostics) -> Option<IpAddr> {
    let address = checks::address(text, to)?;
    let link_local = matches!(address, IpAddr::V6(it) if it.is_unicast_link_local());
    if !link_local && !addresses.iter().any(|it| it.contains(&address)) {
        let message = format!("the gateway {address} is not in any network of the interface");
        to.report(Code::Addressing, text.span, message);
    }
    Some(address)
}
