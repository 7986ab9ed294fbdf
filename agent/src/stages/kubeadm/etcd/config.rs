//! The configuration for phases of kubeadm that run without a cluster.

use nkd_contract::{Plan, paths};
use serde_json::{Value, json};

use super::gateway::Member;
use super::peer_url;
use crate::runtimes;

/// The oldest API version of kubeadm in which `extraArgs` is a list of names and values.
const LISTED_ARGUMENTS: &str = "kubeadm.k8s.io/v1beta4";

/// The configuration with which kubeadm signs a certificate. It contains the version, the address and the
/// CRI socket. Otherwise kubeadm would look up the newest version on the internet, choose an address, and
/// search for a single CRI socket, although nodes with Docker have two.
pub(super) fn of_client(plan: &Plan) -> String {
    yaml(&[init(plan), cluster(plan)])
}

/// The configuration with which kubeadm runs this node's etcd as its existing member, with a kubelet for
/// it.
pub(super) fn of_member(plan: &Plan, members: &[Member]) -> String {
    let mut cluster = cluster(plan);
    let mut etcd = json!({"extraArgs": arguments(plan, members)});
    if let Some(kubeadm) = &plan.kubeadm {
        cluster["imageRepository"] = json!(kubeadm.image_repository);
        if let Some((repository, tag)) = kubeadm.etcd_image.split_once("/etcd:") {
            etcd["imageRepository"] = json!(repository);
            etcd["imageTag"] = json!(tag);
        }
    }
    cluster["etcd"] = json!({ "local": etcd });
    yaml(&[init(plan), cluster, kubelet(plan)])
}

fn api_version(plan: &Plan) -> Option<&str> {
    plan.kubeadm
        .as_ref()
        .map(|kubeadm| kubeadm.api_version.as_str())
}

fn yaml(documents: &[Value]) -> String {
    // JSON is YAML.
    let documents: Vec<_> = documents.iter().map(Value::to_string).collect();
    documents.join("\n---\n") + "\n"
}

fn init(plan: &Plan) -> Value {
    let mut init = json!({
        "apiVersion": api_version(plan),
        "kind": "InitConfiguration",
        "localAPIEndpoint": {
            "advertiseAddress": plan.machine.addresses.first(),
            "bindPort": plan.machine.api_port(),
        },
        "nodeRegistration": {"name": plan.node, "criSocket": runtimes::of(plan.runtime).cri_socket()},
    });
    let patches = plan
        .kubeadm
        .as_ref()
        .and_then(|kubeadm| kubeadm.patches.as_ref());
    if let Some(directory) = patches {
        init["patches"] = json!({ "directory": directory });
    }
    init
}

/// The configuration of a kubelet that only runs etcd. It has no endpoint, because kubelet would
/// otherwise make this machine a node of the cluster.
fn cluster(plan: &Plan) -> Value {
    json!({
        "apiVersion": api_version(plan),
        "kind": "ClusterConfiguration",
        "certificatesDir": paths::KUBERNETES_PKI,
        "kubernetesVersion": plan.kubernetes_version,
    })
}

/// The settings that kubelet needs on this machine. The cluster's own configuration cannot be read
/// without its API.
fn kubelet(plan: &Plan) -> Value {
    let minor = plan.kubernetes_minor();
    let driver = runtimes::of(plan.runtime).cgroup_driver(minor);
    let mut kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": driver,
        "failSwapOn": !plan.machine.keep_swap,
    });
    // From 1.35 on, kubelet refuses version 1 of cgroups, unless its configuration allows it. A plan without
    // required versions stands for such a configuration.
    if minor >= 35 && plan.machine.cgroups.is_empty() {
        kubelet["failCgroupV1"] = json!(false);
    }
    kubelet
}

/// The arguments that make etcd join the existing cluster instead of creating one.
fn arguments(plan: &Plan, members: &[Member]) -> Value {
    let addresses = plan.machine.addresses.iter();
    let own_url = addresses.map(|address| peer_url(*address)).next();
    let name = |member: &Member| {
        if own_url
            .as_ref()
            .is_some_and(|url| member.peers.contains(url))
        {
            plan.node.clone()
        } else if member.name.is_empty() {
            // It needs any name, and only its address counts.
            member.id.clone()
        } else {
            member.name.clone()
        }
    };
    let urls = members.iter().flat_map(|member| {
        let name = name(member);
        let named = move |url: &String| format!("{name}={url}");
        member.peers.iter().map(named)
    });
    let urls: Vec<_> = urls.collect();
    let arguments = [
        ("initial-cluster", urls.join(",")),
        ("initial-cluster-state", "existing".to_owned()),
    ];
    let api = api_version(plan);
    if api.is_some_and(|api| api >= LISTED_ARGUMENTS) {
        arguments
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect()
    } else {
        arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use nkd_contract::{Image, Plan, SCHEMA};

    use super::*;

    fn plan(api: &str, address: &str) -> Plan {
        let plan = json!({
            "schema": SCHEMA,
            "cluster": "demo",
            "node": "cp2",
            "role": "join-control-plane",
            "clockFloor": "2026-01-01T00:00:00Z",
            "kubernetesVersion": "v1.31.2",
            "runtime": "isulad",
            "endpoint": "10.0.0.1:6443",
            "runsEtcd": true,
            "kubeadm": {
                "apiVersion": api,
                "imageRepository": "r.example.org:5000/k8s",
                "etcdImage": "r.example.org:5000/own/etcd:3.5.15-0",
                "patches": "/etc/nkd/patches",
            },
            "certificateAuthority": "",
            "machine": {"addresses": [address], "keepSwap": true},
            "images": {"source": "registry", "required": []},
        });
        let mut plan = Plan::parse(plan.to_string().as_bytes()).unwrap();
        // An add-on of the user's brings an etcd of its own.
        plan.images.required.push(Image {
            name: "add-on.example.org/etcd:3.5.16".to_owned(),
            digest: None,
        });
        plan
    }

    fn members(peer_url: &str) -> Vec<Member> {
        let members = json!([
            {"ID": "1", "name": "cp1", "peerURLs": ["https://10.0.0.1:2380"]},
            {"ID": "2", "peerURLs": [peer_url]},
        ]);
        serde_json::from_value(members).unwrap()
    }

    fn documents(text: &str) -> Vec<Value> {
        let documents = text.split("---\n");
        documents
            .map(|json| serde_json::from_str(json).unwrap())
            .collect()
    }

    #[test]
    fn etcd_comes_up_as_the_member_that_is_listed() {
        let plan = plan("kubeadm.k8s.io/v1beta3", "10.0.0.2");
        let members = members("https://10.0.0.2:2380");
        let documents = documents(&of_member(&plan, &members));
        assert_eq!(documents[0]["nodeRegistration"]["name"], "cp2");
        // They are what lets etcd's pod run where the others are patched.
        assert_eq!(documents[0]["patches"]["directory"], "/etc/nkd/patches");
        let cluster = &documents[1];
        assert_eq!(cluster["imageRepository"], "r.example.org:5000/k8s");
        assert_eq!(
            cluster["etcd"]["local"],
            json!({
                "imageRepository": "r.example.org:5000/own",
                "imageTag": "3.5.15-0",
                "extraArgs": {
                    "initial-cluster": "cp1=https://10.0.0.1:2380,cp2=https://10.0.0.2:2380",
                    "initial-cluster-state": "existing",
                },
            })
        );
        assert_eq!(documents[2]["cgroupDriver"], "systemd");
        assert_eq!(documents[2]["failSwapOn"], false);
    }

    #[test]
    fn from_v1beta4_on_arguments_are_a_list() {
        let plan = plan("kubeadm.k8s.io/v1beta4", "fd00::2");
        let members = members("https://[fd00::2]:2380");
        let documents = documents(&of_member(&plan, &members));
        assert_eq!(
            documents[1]["etcd"]["local"]["extraArgs"],
            json!([
                {
                    "name": "initial-cluster",
                    "value": "cp1=https://10.0.0.1:2380,cp2=https://[fd00::2]:2380",
                },
                {"name": "initial-cluster-state", "value": "existing"},
            ])
        );
    }
}
