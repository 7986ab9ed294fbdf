//! Resolves the endpoint's name, which kubelet and kubeadm use from now on.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::anyhow;
use nkd_contract::Cause;

use super::super::{Fault, Node};

/// How long one attempt waits.
const WINDOW: Duration = Duration::from_secs(60);

/// Waits until the name can be resolved. Does nothing if the endpoint is an address.
pub(super) fn wait(node: &mut Node<'_>) -> Result<(), Fault> {
    let endpoint = node.plan.endpoint.as_str();
    let (host, _) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    if is_address {
        return Ok(());
    }
    node.poll(WINDOW, |_| {
        let resolved = (host, 0).to_socket_addrs();
        let mut addresses = resolved.map_err(|error| unresolved(host, error))?;
        let first = addresses.next();
        first
            .map(drop)
            .ok_or_else(|| unresolved(host, anyhow!("the name has no address")))
    })
}

fn unresolved(host: &str, error: impl Into<anyhow::Error>) -> Fault {
    let context = format!("cannot resolve the endpoint's name {host}");
    Fault::of(Cause::HostResolution, error).context(context)
}
