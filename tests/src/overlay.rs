//! The settings that a node needs only in the testbed, as a user's own Ignition file, so that nkd
//! contains nothing for the testbed: the network interface, the pod network, and replacements for what
//! nspawn does not allow.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::lab::Lab;

/// A node, as far as the testbed cares.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// Its address in the lab's network, `10.200.0.0/24`.
    pub address: &'a str,
    /// The addresses of all the cluster's nodes, for routes between pods; may be empty.
    pub nodes: &'a [&'a str],
}

/// The range of all pods' addresses: a cluster's `podSubnet`.
pub const POD_SUBNET: &str = "10.244.0.0/16";

/// The Ignition file that makes a node fit for the testbed.
pub fn user_ignition(node: &Node) -> Value {
    json!({
        "ignition": { "version": "3.3.0" },
        "storage": {
            "files": [
                file("/etc/nkd-testbed/prepare", 0o755, include_str!("../overlay/prepare")),
                file("/etc/nkd-testbed/bin/runc", 0o755, include_str!("../overlay/runc")),
                file("/etc/systemd/network/10-host0.network", 0o644, &network(node)),
                file("/etc/cni/net.d/10-testbed.conflist", 0o644, &pod_network(node)),
            ],
            // Debian's directory of CNI plugins is not everybody's.
            "links": [{ "path": "/opt/cni/bin", "target": "/usr/lib/cni" }],
        },
        "systemd": { "units": [
            {
                "name": "nkd-testbed.service",
                "enabled": true,
                "contents": include_str!("../overlay/nkd-testbed.service"),
            },
            {
                "name": "containerd.service",
                "dropins": [{
                    "name": "nkd-testbed.conf",
                    "contents": include_str!("../overlay/containerd.conf"),
                }],
            },
        ]},
    })
}

/// kubeadm's documents for a node that shares a machine: a kube-proxy that leaves alone the
/// connection table's size, which is the whole kernel's, and a kubelet that doesn't take the
/// machine's full disk for its own images' fault.
pub fn kubeadm() -> String {
    let kube_proxy = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "conntrack": { "maxPerCore": 0 },
    });
    let kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    });
    format!("{kube_proxy}\n---\n{kubelet}\n")
}

/// An entry of Ignition's `storage.files`.
pub fn file(path: &str, mode: u32, contents: &str) -> Value {
    json!({
        "path": path,
        "mode": mode,
        "contents": { "source": format!("data:;base64,{}", STANDARD.encode(contents)) },
    })
}

fn network(node: &Node) -> String {
    let Node { address, nodes } = node;
    let interface = format!(
        // Nobody advertises routes in a lab, and waiting for that takes twelve seconds.
        "[Match]\nName=host0\n\n[Network]\nIPv6AcceptRA=no\nAddress={address}/24\nGateway={}\n",
        Lab::GATEWAY
    );
    let peers = nodes.iter().filter(|peer| *peer != address);
    let routes =
        peers.map(|peer| format!("\n[Route]\nDestination={}\nGateway={peer}\n", pods_of(peer)));
    std::iter::once(interface).chain(routes).collect()
}

fn pod_network(node: &Node) -> String {
    let bridge = json!({
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": true,
        "hairpinMode": true,
        "ipMasq": false,
        "ipam": {
            "type": "host-local",
            "ranges": [[{ "subnet": pods_of(node.address) }]],
            "routes": [{ "dst": "0.0.0.0/0" }],
        },
    });
    let ports = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
    json!({ "cniVersion": "0.4.0", "name": "testbed", "plugins": [bridge, ports] }).to_string()
}

/// A node's part of [`POD_SUBNET`], by its address's last number.
fn pods_of(address: &str) -> String {
    let number = address.rsplit('.').next().unwrap_or_default();
    format!("10.244.{number}.0/24")
}
