//! Rules about control planes among themselves.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use nkd_contract::{Role, paths};
use serde_json::Value;

use super::{Cluster, Node};
use crate::version::Version;

fn pki(node: &Node) -> BTreeMap<&str, &str> {
    let files = node.files.iter();
    let pki = files.filter(|(path, _)| path.starts_with(paths::PKI));
    pki.map(|(path, text)| (path.as_str(), text.as_str()))
        .collect()
}

/// What one control plane signs, any other accepts.
pub(super) fn share_pki(cluster: &Cluster) -> Result<()> {
    let expected = pki(cluster.init()?);
    for node in cluster.control_planes() {
        let same = pki(node) == expected;
        ensure!(same, "{} has another PKI", node.plan.node);
    }
    Ok(())
}

/// etcd takes one new member at a time, so each waits for all that come before it.
pub(super) fn in_order(cluster: &Cluster) -> Result<()> {
    let mut before = Vec::new();
    for node in cluster.control_planes() {
        let kind = if node.is_init() {
            "/localAPIEndpoint"
        } else {
            "/controlPlane/localAPIEndpoint"
        };
        let name = &node.plan.node;
        ensure!(
            node.plan.control_planes_before == before,
            "{name} doesn't wait for the control planes before it"
        );
        ensure!(
            node.plan.role
                == if before.is_empty() {
                    Role::Init
                } else {
                    Role::JoinControlPlane
                },
            "{name} is not the first, and makes the cluster"
        );
        let local = node
            .kubeadm
            .iter()
            .find_map(|document| document.pointer(kind))
            .with_context(|| format!("{name} has no API of its own"))?;
        before.push(api(local)?);
    }
    let worker = |node: &&Node| node.plan.role == Role::JoinWorker;
    for node in cluster.nodes.iter().filter(worker) {
        let waits = !node.plan.control_planes_before.is_empty();
        ensure!(!waits, "{} waits for control planes", node.plan.node);
    }
    Ok(())
}

fn api(local: &Value) -> Result<String> {
    let address = local["advertiseAddress"].as_str().context("no address")?;
    let port = local["bindPort"].as_u64().context("no port")?;
    Ok(if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    })
}

/// Where kube-vip carries the endpoint's address, every control plane has it, and the init node's
/// has rights from the start.
pub(super) fn virtual_address(cluster: &Cluster) -> Result<()> {
    let init = cluster.init()?;
    let version = Version::parse(&init.plan.kubernetes_version);
    let version = version.map_err(|problem| anyhow!(problem))?;
    let expected = init.manifests()?.len();
    for node in cluster.control_planes() {
        let name = &node.plan.node;
        let pods = node.manifests()?;
        ensure!(pods.len() == expected, "{name} has other static pods");
        for pod in pods {
            let env = pod["spec"]["containers"][0]["env"].as_array();
            let value = |name: &str| {
                let found = env?.iter().find(|it| it["name"] == name)?;
                found["value"].as_str()
            };
            let (address, port) = (value("address"), value("port"));
            let endpoint = node.plan.endpoint.replace(['[', ']'], "");
            ensure!(
                address.zip(port).map(|(a, p)| format!("{a}:{p}")) == Some(endpoint),
                "{name} carries another address than the endpoint's"
            );
            let kubeconfig = if node.is_init() {
                version.init_kubeconfig()
            } else {
                "/etc/kubernetes/admin.conf"
            };
            let mounted = &pod["spec"]["volumes"][0]["hostPath"]["path"];
            ensure!(*mounted == kubeconfig, "{name}'s kube-vip has no rights");
        }
    }
    Ok(())
}
