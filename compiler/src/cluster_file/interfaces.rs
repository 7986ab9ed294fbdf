//! A node's network interfaces.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::checks;
use super::checks::Text;
use nkd_document::{Code, Diagnostics, Spanned};
use nkd_model as model;

/// An item of a node's `interfaces`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// The interface's name, such as eth0.
    #[schemars(required)]
    pub name: Option<Text>,
    /// The interface's MAC address. With this key, the node finds the interface by its MAC address instead
    /// of its name.
    pub mac: Option<Text>,
    /// The interface's addresses with the prefix length, such as 10.200.0.12/24. Without this key, the
    /// interface uses DHCP.
    #[serde(default)]
    pub addresses: Vec<Text>,
    /// The default gateways, at most one of each IP version.
    #[serde(default)]
    pub gateways: Vec<Text>,
    /// DNS servers.
    #[serde(default)]
    pub dns: Vec<Text>,
    /// The domains in which the node looks up names without a dot. Pods also use them.
    #[serde(default)]
    pub search_domains: Vec<Text>,
    /// The size of the largest packet, in bytes.
    // From the kernel's smallest for IPv6 to the largest there is.
    #[schemars(range(min = 1280, max = 65_535))]
    pub mtu: Option<Spanned<u64>>,
}

/// Checks the interfaces. `node` is the node's `address`.
pub fn interfaces(
    file: Vec<Interface>,
    node: Option<&Text>,
    to: &mut Diagnostics,
) -> Vec<model::Interface> {
    let mut names = std::collections::HashSet::new();
    for name in file.iter().filter_map(|interface| interface.name.as_ref()) {
        if !names.insert(name.value.clone()) {
            let message = format!("duplicate interface name `{}`", name.value);
            to.report(Code::Interface, name.span, message);
        }
    }
    let interfaces: Vec<_> = file
        .into_iter()
        .filter_map(|written| interface(written, to))
        .collect();
    // With DHCP on an interface nobody knows yet what it gets.
    let mut all = interfaces.iter();
    let all_static = all.all(|interface| !interface.addresses.is_empty());
    if let Some(node) = node
        && !interfaces.is_empty()
        && all_static
        && let Some(address) = checks::parsed_addresses(node)
            .find(|own| !addresses(&interfaces).any(|address| address.addr() == *own))
    {
        let message = format!("no interface has the node's `address` {address}");
        to.report(Code::Addressing, node.span, message);
    }
    interfaces
}

fn addresses(interfaces: &[model::Interface]) -> impl Iterator<Item = &IpNet> {
    interfaces.iter().flat_map(|interface| &interface.addresses)
}

fn interface(file: Interface, to: &mut Diagnostics) -> Option<model::Interface> {
    let texts = file.addresses.iter();
    let addresses: Vec<_> = texts.filter_map(|text| with_prefix(text, to)).collect();
    let texts = file.gateways.iter();
    let gateways: Vec<_> = texts
        .filter_map(|text| gateway(text, &addresses, to))
        .collect();
    let texts = file.dns.iter();
    let dns = texts.filter_map(|text| name_server(text, &addresses, to));
    let dns = dns.collect();
    for domain in &file.search_domains {
        checks::dns_name(domain, "the search domain", to);
    }
    let mac = file.mac.and_then(|text| checks::mac(&text, to));
    Some(model::Interface {
        name: checks::interface(&file.name?, to)?,
        mac,
        addresses,
        gateways,
        dns,
        search_domains: file
            .search_domains
            .into_iter()
            .map(|domain| domain.value)
            .collect(),
        mtu: file.mtu.map(|mtu| mtu.value),
    })
}

fn with_prefix(text: &Text, to: &mut Diagnostics) -> Option<IpNet> {
    let parsed = text.value.parse::<IpNet>().ok();
    // All bits are the network's where two machines share a line.
    let good = parsed.filter(|net| {
        let (address, host_bits) = (net.addr(), net.max_prefix_len() - net.prefix_len());
        let is_broadcast = address.is_ipv4() && address == net.broadcast();
        host_bits < 2 || (address != net.network() && !is_broadcast)
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

/// The node does not use a name server of an IP version that the interface has no address of.
fn name_server(text: &Text, addresses: &[IpNet], to: &mut Diagnostics) -> Option<IpAddr> {
    let server = checks::address(text, to)?;
    let is_reached = |address: &IpNet| address.addr().is_ipv4() == server.is_ipv4();
    if !addresses.is_empty() && !addresses.iter().any(is_reached) {
        let message =
            format!("the interface has no address with the IP version of the name server {server}");
        let help = "add an address of this IP version to the interface, or move the name server to another interface";
        to.report_with_help(Code::Addressing, text.span, message, help);
    }
    Some(server)
}

fn gateway(text: &Text, addresses: &[IpNet], to: &mut Diagnostics) -> Option<IpAddr> {
    let address = checks::address(text, to)?;
    let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    if !link_local && !addresses.iter().any(|net| net.contains(&address)) {
        let message = format!("the gateway {address} is not in any network of the interface");
        to.report(Code::Addressing, text.span, message);
    }
    Some(address)
}
