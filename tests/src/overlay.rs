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
    /// Its address in the cluster file: in one of the lab's networks, or in both with a comma between them.
    pub address: &'a str,
    /// The addresses of all the cluster's nodes, for routes between pods; may be empty.
    pub nodes: &'a [&'a str],
}

/// The range of all pods' addresses: a cluster's `podSubnet`.
pub const POD_SUBNET: &str = "10.244.0.0/16";

/// The same with IPv6.
pub const POD_SUBNET_IPV6: &str = "fd00:10:244::/56";

/// The Ignition file that makes a node fit for the testbed.
pub fn user_ignition(node: &Node) -> Value {
    ignition(&own_files(node))
}

/// The Ignition file that a computer needs in the testbed: the network interface and the pod network.
pub fn computer_ignition(node: &Node) -> Value {
    let files = own_files(node);
    let files = files.iter().map(|(path, text)| file(path, 0o644, text));
    json!({
        "ignition": { "version": "3.3.0" },
        "storage": {
            "files": files.collect::<Vec<_>>(),
            // Debian's directory of CNI plugins is not everybody's.
            "links": [{ "path": "/opt/cni/bin", "target": "/usr/lib/cni" }],
        },
    })
}

/// The Ignition file that makes the machines of an open pool fit for the testbed. [`own_files`] are still
/// missing.
pub fn pool_ignition() -> Value {
    ignition(&[])
}

/// The files that differ from machine to machine: path and text.
pub fn own_files(node: &Node) -> [(&'static str, String); 2] {
    [
        ("/etc/systemd/network/10-host0.network", network(node)),
        ("/etc/cni/net.d/10-testbed.conflist", pod_network(node)),
    ]
}

fn ignition(own_files: &[(&str, String)]) -> Value {
    let mut files = vec![
        file(
            "/etc/nkd-testbed/prepare",
            0o755,
            include_str!("../overlay/prepare"),
        ),
        file(
            "/etc/nkd-testbed/bin/runc",
            0o755,
            include_str!("../overlay/runc"),
        ),
    ];
    let own_files = own_files.iter();
    files.extend(own_files.map(|(path, text)| file(path, 0o644, text)));
    json!({
        "ignition": { "version": "3.3.0" },
        "storage": { "files": files },
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

/// Both addresses if the cluster has IPv6, also where the cluster itself uses only one of them.
fn network(node: &Node) -> String {
    let Node { address, nodes } = node;
    let number = number_of(address);
    let interface = format!(
        // Nobody advertises routes in a lab, and waiting for that takes twelve seconds.
        "[Match]\nName=host0 en*\n\n[Network]\nIPv6AcceptRA=no\nAddress=10.200.0.{number}/24\nGateway={}\n",
        Lab::GATEWAY
    );
    let gateway = Lab::GATEWAY_IPV6;
    let ipv6 = format!("Address=fd00:200::{number}/64\nGateway={gateway}\n");
    let peers = nodes.iter().filter(|peer| *peer != address);
    let routes = peers.flat_map(|peer| pods_of(peer).into_iter().map(|pods| route(&pods, peer)));
    std::iter::once(interface)
        .chain(has_ipv6(address).then_some(ipv6))
        .chain(routes)
        .collect()
}

/// The route to a peer's pods, by the peer's address of the same IP version.
fn route(pods: &str, peer: &str) -> String {
    let network = if has_ipv6(pods) {
        "fd00:200::"
    } else {
        "10.200.0."
    };
    let number = number_of(peer);
    format!("\n[Route]\nDestination={pods}\nGateway={network}{number}\n")
}

fn pod_network(node: &Node) -> String {
    let pods = pods_of(node.address);
    let ranges: Vec<_> = pods
        .iter()
        .map(|pods| json!([{ "subnet": pods }]))
        .collect();
    let default = |pods: &String| if has_ipv6(pods) { "::/0" } else { "0.0.0.0/0" };
    let routes = pods.iter().map(|pods| json!({ "dst": default(pods) }));
    let routes: Vec<_> = routes.collect();
    let bridge = json!({
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": true,
        "hairpinMode": true,
        "ipMasq": false,
        "ipam": { "type": "host-local", "ranges": ranges, "routes": routes },
    });
    let ports = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
    json!({ "cniVersion": "0.4.0", "name": "testbed", "plugins": [bridge, ports] }).to_string()
}

/// A node's part of [`POD_SUBNET`], of [`POD_SUBNET_IPV6`] or of both, as its addresses are.
fn pods_of(address: &str) -> Vec<String> {
    let number = number_of(address);
    let pods = |address: &str| {
        if has_ipv6(address) {
            format!("fd00:10:244:{number}::/64")
        } else {
            format!("10.244.{number}.0/24")
        }
    };
    address.split(',').map(pods).collect()
}

/// The last number of a node's addresses, which is the same in both.
fn number_of(address: &str) -> &str {
    address.rsplit(['.', ':']).next().unwrap_or_default()
}

fn has_ipv6(address: &str) -> bool {
    address.contains(':')
}
