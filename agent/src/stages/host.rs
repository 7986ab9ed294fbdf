//! `host`: programs, hostname, swap, kernel modules and sysctls are as kubelet needs them.

use std::fs;

use nkd_contract::{Cause, Role};

use super::{Fault, Node, runtime};
use crate::system::files::write_atomic;

/// Kernel modules by a file that is there when they are.
const MODULES: [(&str, &str); 2] = [
    (
        "br_netfilter",
        "/proc/sys/net/bridge/bridge-nf-call-iptables",
    ),
    ("overlay", "/sys/module/overlay"),
];

/// Settings without which no pod is reached (Kubernetes, "Container runtimes", "Network
/// configuration").
const SYSCTLS: [(&str, &str); 3] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/bridge/bridge-nf-call-iptables", "1"),
    ("net/bridge/bridge-nf-call-ip6tables", "1"),
];

const HOSTNAME: &str = "/proc/sys/kernel/hostname";

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    programs(node)?;
    hostname(node)?;
    swap(node)?;
    modules(node)?;
    sysctls(node)
}

fn programs(node: &Node<'_>) -> Result<(), Fault> {
    let client = runtime::client_program(node.plan.runtime);
    let mut wanted = vec!["systemctl", "kubelet", "kubeadm", client];
    if node.plan.role == Role::Init && !node.plan.addons.is_empty() {
        wanted.push("kubectl");
    }
    let missing: Vec<_> = wanted
        .into_iter()
        .filter(|program| node.root.program(program).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("not in this OS image: {}", missing.join(", "));
    Err(Fault::new(Cause::HostProgram, message))
}

/// kubelet takes its Node's name and certificate from the hostname.
fn hostname(node: &Node<'_>) -> Result<(), Fault> {
    let name = node.plan.node.as_str();
    let fault = |error| {
        Fault::new(
            Cause::HostHostname,
            format!("setting the hostname to {name}: {error}"),
        )
    };
    let current = fs::read_to_string(node.root.path(HOSTNAME)).map_err(fault)?;
    if current.trim() != name {
        nix::unistd::sethostname(name).map_err(|error| fault(error.into()))?;
    }
    let file = node.root.path("/etc/hostname");
    if fs::read_to_string(&file).is_ok_and(|text| text.trim() == name) {
        return Ok(());
    }
    write_atomic(&file, format!("{name}\n").as_bytes(), 0o644).map_err(fault)
}

/// kubelet refuses to run with swap, unless told otherwise.
fn swap(node: &Node<'_>) -> Result<(), Fault> {
    // The first line is the heading.
    let is_on = fs::read_to_string(node.root.path("/proc/swaps"))
        .is_ok_and(|text| text.lines().count() > 1);
    if !is_on {
        return Ok(());
    }
    node.root
        .command("swapoff")
        .args(["--all"])
        .run()
        .map_err(|error| Fault::of_command(Cause::HostSwap, &error))
}

fn modules(node: &Node<'_>) -> Result<(), Fault> {
    for (module, sign) in MODULES {
        if node.root.path(sign).exists() || is_file_system(node, module) {
            continue;
        }
        node.root
            .command("modprobe")
            .args([module])
            .run()
            .map_err(|error| Fault::new(Cause::HostKernel, format!("module {module}: {error}")))?;
    }
    Ok(())
}

/// A file system that is built in has no directory below `/sys/module`.
fn is_file_system(node: &Node<'_>, name: &str) -> bool {
    fs::read_to_string(node.root.path("/proc/filesystems")).is_ok_and(|text| {
        text.lines()
            .any(|line| line.split_whitespace().last() == Some(name))
    })
}

fn sysctls(node: &Node<'_>) -> Result<(), Fault> {
    for (name, value) in SYSCTLS {
        let path = node.root.path("/proc/sys").join(name);
        if fs::read_to_string(&path).is_ok_and(|text| text.trim() == value) {
            continue;
        }
        fs::write(&path, value).map_err(|error| {
            let name = name.replace('/', ".");
            Fault::new(Cause::HostKernel, format!("sysctl {name}={value}: {error}"))
        })?;
    }
    Ok(())
}
