//! If firewalld runs, opens Kubernetes' ports in the running firewalld, and in its configuration for
//! later boots. It does not set the ports once and reload firewalld, because a reload would remove the
//! rules that the runtime and kube-proxy have added.

use nkd_contract::Cause;

use super::super::{Fault, Node, kubeadm};
use super::address;
use crate::system::CommandError;

const PROGRAM: &str = "firewall-cmd";
/// The zone for traffic from pods (firewalld.zones(5)).
const TRUSTED: &str = "--zone=trusted";

pub(super) fn open(node: &mut Node<'_>) -> Result<(), Fault> {
    let is_there = node.root.program(PROGRAM).is_some();
    if !is_there || firewall(node, &["--state"]).is_err() {
        return Ok(());
    }
    let zone = zone(node);
    let machine = &node.plan.machine;
    let mut opened = kubeadm::ports::reached(node.plan);
    opened.extend(machine.firewall_ports.iter().cloned());
    let open = opened.iter().map(|port| format!("--add-port={port}"));
    let open: Vec<_> = zone.iter().cloned().chain(open).collect();
    let sources = machine.pod_subnets.iter();
    let trust: Vec<_> = sources
        .map(|subnet| format!("--add-source={subnet}"))
        .collect();

    let failed = |error| Fault::of_command(Cause::HostFirewall, error);
    for lasting in [&[][..], &["--permanent"]] {
        let words = |more: &[String]| {
            let lasting = lasting.iter().map(|word| (*word).to_owned());
            lasting.chain(more.iter().cloned()).collect::<Vec<_>>()
        };
        firewall(node, &words(&open)).map_err(failed)?;
        if !trust.is_empty() {
            let mut words = words(&trust);
            words.push(TRUSTED.to_owned());
            firewall(node, &words).map_err(failed)?;
        }
    }
    node.progress(format!("opened in firewalld: {}", opened.join(" ")), None);
    Ok(())
}

fn firewall<S: AsRef<std::ffi::OsStr>>(node: &Node<'_>, words: &[S]) -> Result<(), CommandError> {
    let command = node.root.command(PROGRAM).args(["--quiet"]).args(words);
    command.run()
}

/// The zone of the interface with the node's address. Without one, firewalld uses its default zone.
fn zone(node: &Node<'_>) -> Option<String> {
    let interface = address::interface_of(*node.plan.machine.addresses.first()?)?;
    let asked = format!("--get-zone-of-interface={interface}");
    let answer = node.root.command(PROGRAM).args([asked]).read().ok()?;
    Some(format!("--zone={}", answer.trim()))
}
