//! The requirements for a node's machine, which the agent checks before kubeadm and kubelet do.

use ipnet::IpNet;
use nkd_contract::Machine;
use serde_json::Value;

use nkd_model::{Cluster, Node, NodeRole, Overlay};

/// The number of processors that kubeadm requires for control planes (kubeadm,
/// `constants.ControlPlaneNumCPU`), with the name of its check.
const CPUS: (&str, u64) = ("NumCPU", 2);
/// The memory that kubeadm requires, in MiB (`constants.ControlPlaneMem`), with the name of its check.
const MEMORY: (&str, u64) = ("Mem", 1700);
/// The disk space for the unpacked images and the first days of etcd, in MiB.
const CONTROL_PLANE_DISK: u64 = 2048;

/// The requirements for the machine of a node with these kubeadm documents.
pub(super) fn machine(cluster: &Cluster, node: &Node, kubeadm: &[Value]) -> Machine {
    let is_control_plane = node.role == NodeRole::ControlPlane;
    let at_least = |(check, minimum)| {
        let asked = is_control_plane && !ignores(kubeadm, check);
        if asked { minimum } else { 0 }
    };
    let refuses_v1 = cluster.version.refuses_cgroups_v1()
        && kubelet_setting(cluster, node, kubeadm, "failCgroupV1", "fail-cgroupv1") != Some(false);
    let with_swap = kubelet_setting(cluster, node, kubeadm, "failSwapOn", "fail-swap-on");
    let mut machine = Machine {
        addresses: node.each_address().collect(),
        api_port: is_control_plane.then(|| cluster.bind_port()),
        min_cpus: at_least(CPUS),
        min_memory: at_least(MEMORY),
        cgroups: if refuses_v1 { vec![2] } else { Vec::new() },
        keep_swap: with_swap == Some(false),
        pod_subnets: cluster.pod_subnets.iter().map(IpNet::to_string).collect(),
        firewall_ports: cluster.network_ports.clone(),
        ..Machine::default()
    };
    if is_control_plane {
        machine.min_disk = CONTROL_PLANE_DISK;
    }
    machine
}

/// Whether kubeadm is configured to ignore a preflight check.
fn ignores(kubeadm: &[Value], check: &str) -> bool {
    let lists = kubeadm
        .iter()
        .filter_map(|document| document["nodeRegistration"]["ignorePreflightErrors"].as_array());
    let mut names = lists.flatten().filter_map(Value::as_str);
    names.any(|name| name.eq_ignore_ascii_case(check))
}

/// A boolean setting of kubelet, as the user set it. An argument on this node takes precedence over a
/// patch for this node, and over the configuration that all nodes share.
fn kubelet_setting(
    cluster: &Cluster,
    node: &Node,
    kubeadm: &[Value],
    field: &str,
    argument: &str,
) -> Option<bool> {
    let arguments = kubeadm
        .iter()
        .map(|document| &document["nodeRegistration"]["kubeletExtraArgs"]);
    let mut from_arguments = arguments.filter_map(|arguments| {
        let in_list = || {
            arguments
                .as_array()?
                .iter()
                .find(|entry| entry["name"] == argument)
        };
        let value = in_list().map_or(&arguments[argument], |entry| &entry["value"]);
        value.as_str()?.parse().ok()
    });
    let overlays = cluster.overlays.iter();
    let overlays = overlays.chain(cluster.kubelet_overlays_of(node));
    let documents = overlays.map(Overlay::to_json);
    let from_fields = documents
        .filter(|document| document["kind"] == "KubeletConfiguration")
        .filter_map(|document| document[field].as_bool());
    from_arguments.next_back().or(from_fields.last())
}
