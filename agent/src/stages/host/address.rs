//! The node's addresses. kubelet registers with them, and the cluster was compiled for them.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use nix::ifaddrs::getifaddrs;
use nkd_contract::Cause;

use super::super::{Fault, Node, OrFault as _};

/// How long one attempt waits.
const WINDOW: Duration = Duration::from_secs(60);

/// Waits for the addresses, because a DHCP server may be slower than `network-online.target`.
pub(super) fn wait(node: &mut Node<'_>) -> Result<(), Fault> {
    node.poll(WINDOW, |node| {
        let has = all()
            .context("reading the addresses of this machine")
            .or_fault(Cause::HostAddress)?;
        let wanted = node.plan.machine.addresses.iter();
        let missing: Vec<_> = wanted
            .filter(|wanted| has.iter().all(|(_, address)| address != *wanted))
            .map(IpAddr::to_string)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!(
            "this machine does not have the address {}; it has {}",
            missing.join(", "),
            listed(&has)
        );
        Err(Fault::new(Cause::HostAddress, message))
    })
}

/// The interface that has an address.
pub(super) fn interface_of(address: IpAddr) -> Option<String> {
    let mut all = all().ok()?.into_iter();
    all.find_map(|(interface, other)| (other == address).then_some(interface))
}

/// Every address with its interface.
fn all() -> nix::Result<Vec<(String, IpAddr)>> {
    let of = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address
            .as_sockaddr_in()
            .map(|socket| IpAddr::V4(socket.ip()));
        let v6 = || {
            address
                .as_sockaddr_in6()
                .map(|socket| IpAddr::V6(socket.ip()))
        };
        Some((interface.interface_name, v4.or_else(v6)?))
    };
    Ok(getifaddrs()?.filter_map(of).collect())
}

/// The addresses for a message, without loopback and link-local ones.
fn listed(all: &[(String, IpAddr)]) -> String {
    let plain = all.iter().filter(|(_, address)| match address {
        IpAddr::V4(address) => !address.is_loopback(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    });
    let listed: Vec<_> = plain
        .map(|(interface, address)| format!("{address} ({interface})"))
        .collect();
    if listed.is_empty() {
        return "none".to_owned();
    }
    listed.join(", ")
}
