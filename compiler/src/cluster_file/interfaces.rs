//! A node's network interfaces.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::bonding::Mode;
use super::checks;
use super::checks::Text;
use super::patterns;
use nkd_document::yaml::Pairs;
use nkd_document::{Code, Diagnostics, Spanned};
use nkd_model as model;

/// An item of a node's `interfaces`
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// The interface's name, such as eth0.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::INTERFACE))]
    pub name: Option<Text>,
    /// The interface's MAC address. With this key, the node finds the interface by its MAC address instead
    /// of its name.
    #[schemars(regex(pattern = patterns::MAC))]
    pub mac: Option<Text>,
    /// Makes the interface a bond of Ethernet interfaces.
    pub bond: Option<Bond>,
    /// Makes the interface a VLAN.
    pub vlan: Option<Vlan>,
    /// The interface's addresses with the prefix length, such as 10.200.0.12/24. Without this key, the
    /// interface uses DHCP. With an empty list, it has no addresses, as the parent of VLANs often does.
    /// Members of bonds never have addresses. In an item for a range of nodes, each address has a range, such as
    /// `10.200.0.[11-30]/24`.
    #[schemars(inner(regex(pattern = patterns::INTERFACE_ADDRESS)))]
    pub addresses: Option<Vec<Text>>,
    /// The default gateways, at most one of each IP version.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::ADDRESS)))]
    pub gateways: Vec<Text>,
    /// Static routes.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// DNS servers.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::ADDRESS)))]
    pub dns: Vec<Text>,
    /// The domains in which the node looks up names without a dot. Pods also use them.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::DNS_NAME)))]
    pub search_domains: Vec<Text>,
    /// The size of the largest packet, in bytes. A VLAN cannot have a larger one than its parent.
    // From the kernel's smallest for IPv6 to the largest there is.
    #[schemars(range(min = 1280, max = 65_535))]
    pub mtu: Option<Spanned<u64>>,
}

/// `bond` of an interface
#[derive(Clone, Deserialize, JsonSchema)]
pub struct Bond {
    /// How the bond distributes packets among its members.
    #[schemars(required)]
    pub mode: Option<Spanned<Mode>>,
    /// The Ethernet interfaces that form the bond, at least one, each by its name or its MAC address. They
    /// need no items of their own in `interfaces`.
    #[serde(default)]
    #[schemars(inner(regex(pattern = patterns::MEMBER)))]
    pub members: Vec<Text>,
    /// Further options of the kernel's bonding driver, such as `lacp_rate` and `xmit_hash_policy`. If
    /// neither `miimon` nor `arp_interval` is set, `miimon` is 100.
    #[serde(default)]
    pub options: Pairs,
}

/// `vlan` of an interface
#[derive(Clone, Deserialize, JsonSchema)]
pub struct Vlan {
    /// The VLAN's number.
    #[schemars(required, range(min = 1, max = 4094))]
    pub id: Option<Spanned<u64>>,
    /// The name of the interface that carries the VLAN, which has an item of its own in `interfaces`. It can
    /// be an Ethernet interface, a bond or another VLAN.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::INTERFACE))]
    pub parent: Option<Text>,
}

/// An item of an interface's `routes`
#[derive(Clone, Deserialize, JsonSchema)]
pub struct Route {
    /// The network that the route leads to, such as 10.1.0.0/16.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::CIDR))]
    pub destination: Option<Text>,
    /// The address of the router. Without this key, the network is directly at the interface.
    #[schemars(regex(pattern = patterns::ADDRESS))]
    pub gateway: Option<Text>,
    /// The route's metric. Of several routes to a network, the one with the smallest metric is used.
    #[schemars(range(min = 0, max = 4_294_967_295_u64))]
    pub metric: Option<Spanned<u64>>,
}

/// Checks the interfaces. `links` has the checked link of each of them, and `node` is the node's
/// `address`.
pub fn interfaces(
    file: Vec<Interface>,
    links: Vec<Option<model::Link>>,
    node: Option<&Text>,
    to: &mut Diagnostics,
) -> Vec<model::Interface> {
    let before = to.len();
    let mut names = std::collections::HashSet::new();
    for name in file.iter().filter_map(|interface| interface.name.as_ref()) {
        if !names.insert(name.value.clone()) {
            let message = format!("duplicate interface name `{}`", name.value);
            to.report(Code::Interface, name.span, message);
        }
    }
    let are_valid = links.iter().all(Option::is_some);
    let interfaces = file.into_iter().zip(links);
    let interfaces: Vec<_> = interfaces
        .filter_map(|(written, link)| interface(written, link, to))
        .collect();
    // With DHCP on an interface nobody knows yet what it gets.
    let all_static = interfaces.iter().all(|interface| !interface.dhcp);
    if let Some(node) = node
        && are_valid
        && to.len() == before
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

fn interface(
    file: Interface,
    link: Option<model::Link>,
    to: &mut Diagnostics,
) -> Option<model::Interface> {
    let is_member = matches!(link, Some(model::Link::Ethernet { bond: Some(_), .. }));
    let dhcp = file.addresses.is_none() && !is_member;
    let texts = file.addresses.iter().flatten();
    let addresses: Vec<_> = texts.filter_map(|text| with_prefix(text, to)).collect();
    // Those of a member were reported already.
    let texts = file.gateways.iter().filter(|_| !is_member);
    let gateways: Vec<_> = texts
        .filter_map(|text| gateway(text, &addresses, to))
        .collect();
    let routes = file.routes.into_iter().filter(|_| !is_member);
    let routes: Vec<_> = routes
        .filter_map(|written| route(written, &addresses, dhcp, to))
        .collect();
    let texts = file.dns.iter();
    let dns = texts.filter_map(|text| name_server(text, &addresses, to));
    let dns = dns.collect();
    for domain in &file.search_domains {
        checks::dns_name(domain, "the search domain", to);
    }
    Some(model::Interface {
        name: checks::interface(&file.name?, to)?,
        link: link?,
        dhcp,
        addresses,
        gateways,
        routes,
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
    if !is_direct(&address, addresses) {
        let message = format!("the gateway {address} is not in any network of the interface");
        to.report(Code::Addressing, text.span, message);
    }
    Some(address)
}

/// Whether an interface with these addresses reaches an address without a router. Each interface with an
/// IPv6 address also has a link-local one. `NetworkManager` rejects a connection with a gateway whose IP
/// version none of the addresses has.
fn is_direct(address: &IpAddr, addresses: &[IpNet]) -> bool {
    match address {
        IpAddr::V6(link_local) if link_local.is_unicast_link_local() => {
            addresses.iter().any(|net| net.addr().is_ipv6())
        }
        _ => addresses.iter().any(|net| net.contains(address)),
    }
}

fn route(
    file: Route,
    addresses: &[IpNet],
    dhcp: bool,
    to: &mut Diagnostics,
) -> Option<model::Route> {
    let text = file.destination?;
    let destination = checks::cidr(&text, to)?;
    let is_ipv4 = destination.addr().is_ipv4();
    let mut own = addresses.iter();
    if !dhcp && !own.any(|address| address.addr().is_ipv4() == is_ipv4) {
        let version = if is_ipv4 { "IPv4" } else { "IPv6" };
        let message =
            format!("the interface has no {version} address for a route to {destination}");
        let help = format!("add an {version} address to `addresses`, or remove the route");
        to.report_with_help(Code::Route, text.span, message, help);
        return None;
    }
    let gateway = match &file.gateway {
        Some(written) => Some((checks::address(written, to)?, written.span)),
        None => None,
    };
    if let Some((gateway, span)) = gateway {
        let problem = if gateway.is_ipv4() != is_ipv4 {
            Some("has another IP version than the destination")
        } else if !dhcp && !is_direct(&gateway, addresses) {
            Some("is not in any network of the interface")
        } else {
            None
        };
        if let Some(problem) = problem {
            to.report(
                Code::Route,
                span,
                format!("the gateway {gateway} {problem}"),
            );
        }
    }
    Some(model::Route {
        destination,
        gateway: gateway.map(|(gateway, _)| gateway),
        metric: file.metric.map(|metric| metric.value),
    })
}
