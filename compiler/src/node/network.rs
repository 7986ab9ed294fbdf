//! Network interfaces, as keyfiles of `NetworkManager`.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::config::{Config, PRIVATE};
use nkd_model::Interface;

/// The directory from which `NetworkManager` reads connections. It ignores files that others can read
/// (`nm-settings-keyfile(5)`).
const CONNECTIONS: &str = "/etc/NetworkManager/system-connections";

/// Adds one connection for each interface.
pub(super) fn connections(config: &mut Config, interfaces: &[Interface]) {
    for interface in interfaces {
        let path = format!("{CONNECTIONS}/{}.nmconnection", interface.name);
        config
            .file(path, PRIVATE, keyfile(interface))
            .from("interfaces");
    }
}

fn keyfile(interface: &Interface) -> String {
    let name = &interface.name;
    // Both together would have to match.
    let (by_name, by_mac) = match &interface.mac {
        Some(mac) => (
            String::new(),
            format!("mac-address={}\n", mac.to_uppercase()),
        ),
        None => (format!("interface-name={name}\n"), String::new()),
    };
    let mut text = format!(
        "[connection]\nid={name}\ntype=ethernet\n{by_name}autoconnect=true\n\n[ethernet]\n{by_mac}"
    );
    if let Some(mtu) = interface.mtu {
        let _ = writeln!(text, "mtu={mtu}");
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

/// The section of one IP version. If the interface has no addresses, both versions are configured
/// automatically.
fn ip_settings(interface: &Interface, of_version: fn(&IpAddr) -> bool) -> String {
    let addresses = interface.addresses.iter();
    let addresses: Vec<_> = addresses
        .filter(|address| of_version(&address.addr()))
        .collect();
    let method = match (addresses.is_empty(), interface.addresses.is_empty()) {
        (false, _) => "manual",
        (true, true) => "auto",
        (true, false) => "disabled",
    };
    let mut text = format!("method={method}\n");
    for (index, address) in addresses.iter().enumerate() {
        let _ = writeln!(text, "address{}={address}", index + 1);
    }
    let mut gateways = interface.gateways.iter();
    if let Some(gateway) = gateways.find(|gateway| of_version(gateway)) {
        let _ = writeln!(text, "gateway={gateway}");
    }
    let servers = interface.dns.iter().filter(|server| of_version(server));
    let dns = servers.fold(String::new(), |list, server| {
        list + &server.to_string() + ";"
    });
    if !dns.is_empty() && method != "disabled" {
        let _ = writeln!(text, "dns={dns}");
    }
    if !interface.search_domains.is_empty() && method != "disabled" {
        let _ = writeln!(text, "dns-search={};", interface.search_domains.join(";"));
    }
    text
}
