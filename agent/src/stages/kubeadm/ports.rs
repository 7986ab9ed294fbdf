//! The ports on which Kubernetes listens after kubeadm has run (Kubernetes, "Ports and Protocols").

use nkd_contract::{Plan, Role};

/// The API of kubelet, on every node.
pub(super) const KUBELET: u16 = 10250;
/// The health check of kube-proxy, for load balancers.
const KUBE_PROXY: u16 = 10256;
/// etcd, for its clients.
pub(super) const ETCD_CLIENTS: u16 = 2379;
/// etcd, for its peers.
pub(super) const ETCD_PEERS: u16 = 2380;
/// kube-controller-manager and kube-scheduler, which are only reached from the machine itself.
pub(super) const CONTROLLERS: [u16; 2] = [10257, 10259];
/// Services of type `NodePort`.
const NODE_PORTS: &str = "30000-32767";

/// The ports of a node that other machines must reach, in firewalld's notation.
pub(in crate::stages) fn reached(plan: &Plan) -> Vec<String> {
    let tcp = served(plan).into_iter().chain([KUBE_PROXY]);
    tcp.map(|port| format!("{port}/tcp"))
        .chain(["tcp", "udp"].map(|protocol| format!("{NODE_PORTS}/{protocol}")))
        .collect()
}

/// The ports that must be free before kubeadm begins.
pub(in crate::stages) fn needed(plan: &Plan) -> Vec<u16> {
    let mut ports = served(plan);
    if plan.role != Role::JoinWorker {
        ports.extend(CONTROLLERS);
    }
    ports
}

fn served(plan: &Plan) -> Vec<u16> {
    let mut ports = vec![KUBELET];
    if plan.role != Role::JoinWorker {
        ports.push(plan.machine.api_port());
        if plan.runs_etcd {
            ports.extend([ETCD_CLIENTS, ETCD_PEERS]);
        }
    }
    ports
}
