//! Network interfaces, as keyfiles of `NetworkManager`.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::config::{Config, PRIVATE};
use nkd_model::{Interface, Link, Route};

/// The directory from which `NetworkManager` reads connections. It ignores files that others can read
/// (`nm-settings-keyfile(5)`).
const CONNECTIONS: &str = "/etc/NetworkManager/system-connections";

/// Adds one connection for each interface.
pub(super) fn connections(config: &mut Config, interfaces: &[Interface]) {
    for interface in interfaces {
        let path = format!("{CONNECTIONS}/{}.nmconnection", interface.name);
        config
            .file(path, PRIVATE, keyfile(interface, interfaces))
            .from("interfaces");
    }
}

fn keyfile(interface: &Interface, all: &[Interface]) -> String {
    let name = &interface.name;
    let mut text = format!("[connection]\nid={name}\n");
    let mut bond_of = None;
    match &interface.link {
        // The name and the MAC address together would both have to match.
        Link::Ethernet { mac, bond } => {
            bond_of = bond.as_ref();
            text.push_str("type=ethernet\n");
            if mac.is_none() {
                let _ = writeln!(text, "interface-name={name}");
            }
        }
        Link::Bond { .. } => {
            let _ = writeln!(text, "type=bond\ninterface-name={name}");
        }
        Link::Vlan { .. } => {
            let _ = writeln!(text, "type=vlan\ninterface-name={name}");
        }
    }
    text.push_str("autoconnect=true\n");
    if let Some(bond) = bond_of {
        let _ = writeln!(text, "master={bond}\nslave-type=bond");
    }
    text.push_str(&link_settings(interface, all));
    // A member of a bond has no addresses, not even a link-local one.
    if bond_of.is_some() {
        return text;
    }
    for (section, of_version) in [
        ("ipv4", IpAddr::is_ipv4 as fn(&IpAddr) -> bool),
        ("ipv6", IpAddr::is_ipv6),
    ] {
        let _ = write!(
            text,
            "\n[{section}]\n{}",
            ip_settings(interface, of_version)
        );
    }
    text
}

/// The sections of what the interface is.
fn link_settings(interface: &Interface, all: &[Interface]) -> String {
    let mut text = String::new();
    let mut ethernet = String::new();
    let by_mac = |mac: &str| format!("mac-address={}\n", mac.to_uppercase());
    match &interface.link {
        Link::Ethernet { mac, .. } => {
            ethernet.extend(mac.as_deref().map(by_mac));
        }
        Link::Bond { options } => {
            text.push_str("\n[bond]\n");
            for (name, value) in options {
                let _ = writeln!(text, "{name}={value}");
            }
        }
        Link::Vlan { id, parent } => {
            let _ = writeln!(text, "\n[vlan]\nid={id}");
            match mac_of(parent, all) {
                Some(mac) => ethernet.push_str(&by_mac(mac)),
                None => {
                    let _ = writeln!(text, "parent={parent}");
                }
            }
        }
    }
    if let Some(mtu) = interface.mtu {
        let _ = writeln!(ethernet, "mtu={mtu}");
    }
    if !ethernet.is_empty() || matches!(interface.link, Link::Ethernet { .. }) {
        let _ = write!(text, "\n[ethernet]\n{ethernet}");
    }
    text
}

/// The MAC address by which a VLAN finds its parent, if nothing determines the parent's name.
fn mac_of<'a>(parent: &str, all: &'a [Interface]) -> Option<&'a str> {
    let parent = all.iter().find(|interface| interface.name == parent)?;
    match &parent.link {
        Link::Ethernet { mac, .. } => mac.as_deref(),
        Link::Bond { .. } | Link::Vlan { .. } => None,
    }
}

/// The section of one IP version.
fn ip_settings(interface: &Interface, of_version: fn(&IpAddr) -> bool) -> String {
    let addresses = interface.addresses.iter();
    let addresses: Vec<_> = addresses
        .filter(|address| of_version(&address.addr()))
        .collect();
    let method = match (interface.dhcp, addresses.is_empty()) {
        (true, _) => "auto",
        (false, false) => "manual",
        (false, true) => "disabled",
    };
    let mut text = format!("method={method}\n");
    if method == "disabled" {
        return text;
    }
    for (index, address) in addresses.iter().enumerate() {
        let _ = writeln!(text, "address{}={address}", index + 1);
    }
    let mut gateways = interface.gateways.iter();
    if let Some(gateway) = gateways.find(|gateway| of_version(gateway)) {
        let _ = writeln!(text, "gateway={gateway}");
    }
    let routes = interface.routes.iter();
    let routes = routes.filter(|route| of_version(&route.destination.addr()));
    for (index, route) in routes.enumerate() {
        let _ = writeln!(text, "route{}={}", index + 1, self::route(route));
    }
    let servers = interface.dns.iter().filter(|server| of_version(server));
    let dns = servers.fold(String::new(), |list, server| {
        list + &server.to_string() + ";"
    });
    if !dns.is_empty() {
        let _ = writeln!(text, "dns={dns}");
    }
    if !interface.search_domains.is_empty() {
        let _ = writeln!(text, "dns-search={};", interface.search_domains.join(";"));
    }
    text
}

/// `NETWORK,GATEWAY,METRIC`. The unspecified address stands for no gateway.
fn route(route: &Route) -> String {
    let none = match route.destination {
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let (destination, gateway) = (route.destination, route.gateway.unwrap_or(none));
    match route.metric {
        Some(metric) => format!("{destination},{gateway},{metric}"),
        None if gateway == none => destination.to_string(),
        None => format!("{destination},{gateway}"),
    }
}
