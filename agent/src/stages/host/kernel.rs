//! Kernel modules and sysctls. Files of the OS configuration load and set them on later boots.

use std::fs;
use std::net::IpAddr;

use anyhow::Context as _;
use nkd_contract::Cause;

use super::super::{Fault, Node, OrFault as _};
use crate::requirements::MODULES;

/// Settings without which pods are not reachable (Kubernetes, "Container runtimes", "Network
/// configuration").
const SYSCTLS: [(&str, &str); 3] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/bridge/bridge-nf-call-iptables", "1"),
    ("net/bridge/bridge-nf-call-ip6tables", "1"),
];
/// Further settings for nodes with an IPv6 address. kubeadm's preflight checks the second one.
const IPV6_SYSCTLS: [(&str, &str); 2] = [
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/default/forwarding", "1"),
];

pub(super) fn check(node: &Node<'_>) -> Result<(), Fault> {
    for module in &MODULES {
        load(node, module.name, module.sign)?;
    }
    for (name, value) in SYSCTLS {
        set(node, name, value)?;
    }
    if node.plan.machine.addresses.iter().any(IpAddr::is_ipv6) {
        for (name, value) in IPV6_SYSCTLS {
            set(node, name, value)?;
        }
    }
    Ok(())
}

fn load(node: &Node<'_>, module: &str, sign: &str) -> Result<(), Fault> {
    if node.root.path(sign).exists() || is_file_system(node, module) {
        return Ok(());
    }
    let load = node.root.command("modprobe").args([module]);
    load.run()
        .with_context(|| format!("module {module}"))
        .or_fault(Cause::HostKernel)
}

/// A file system that is built into the kernel has no directory below `/sys/module`.
fn is_file_system(node: &Node<'_>, name: &str) -> bool {
    fs::read_to_string(node.root.path("/proc/filesystems")).is_ok_and(|text| {
        text.lines()
            .any(|line| line.split_whitespace().last() == Some(name))
    })
}

fn set(node: &Node<'_>, name: &str, value: &str) -> Result<(), Fault> {
    let path = node.root.path("/proc/sys").join(name);
    let current = fs::read_to_string(&path).unwrap_or_default();
    if current.trim() == value {
        return Ok(());
    }
    fs::write(&path, value).map_err(|error| {
        let (name, current) = (name.replace('/', "."), current.trim());
        let context = format!("sysctl {name} is {current:?}, setting it to {value}");
        Fault::of(Cause::HostKernel, error).context(context)
    })
}
