//! Rules about the control planes of a cluster.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use nkd_contract::{Kubeadm, Role, paths};
use serde_json::Value;

use super::nodes::{DecodedCluster, DecodedNode};
use crate::images::Configured;
use crate::kubeadm::owned;
use nkd_model::version::Version;

fn pki(node: &DecodedNode) -> BTreeMap<&str, &str> {
    let files = node.own_files();
    let pki = files.filter(|(path, _)| path.starts_with(paths::PKI));
    pki.map(|(path, text)| (path.as_str(), text.as_str()))
        .collect()
}

/// All control planes have the same PKI, so that each accepts what another one has signed.
pub(super) fn share_pki(cluster: &DecodedCluster) -> Result<()> {
    let expected = pki(cluster.init()?);
    for node in &cluster.control_planes {
        let same = pki(node) == expected;
        ensure!(same, "{} has a different PKI", node.name);
    }
    Ok(())
}

/// etcd accepts one new member at a time, so each control plane waits for all earlier ones. Each can also
/// ask all others for the list of members.
pub(super) fn in_order(cluster: &DecodedCluster) -> Result<()> {
    let apis = cluster.control_planes.iter().map(own_api);
    let apis = apis.collect::<Result<Vec<_>>>()?;
    for (index, node) in cluster.control_planes.iter().enumerate() {
        let name = &node.name;
        let (role, before, after) = if index == 0 {
            (Role::Init, &[][..], &[][..])
        } else {
            (Role::JoinControlPlane, &apis[..index], &apis[index + 1..])
        };
        ensure!(
            node.plan.role == role,
            "{name} is control plane {}, but its plan has {}",
            index + 1,
            node.plan.role.name()
        );
        ensure!(
            node.plan.control_planes_before == before,
            "the plan of {name} does not wait for the control planes before it"
        );
        ensure!(
            node.plan.control_planes_after == after,
            "the plan of {name} does not contain the control planes after it"
        );
    }
    Ok(())
}

pub(super) fn worker_waits_for_none(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let plan = &node.plan;
    let waits = !plan.control_planes_before.is_empty() || !plan.control_planes_after.is_empty();
    ensure!(
        plan.role != Role::JoinWorker || !waits,
        "{} waits for control planes, but is not one",
        node.name
    );
    Ok(())
}

/// The plan, by which the agent decides whether to remove etcd's data, agrees with kubeadm's
/// configuration.
pub(super) fn etcd_as_planned(cluster: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let configuration = cluster.init()?.document("ClusterConfiguration")?;
    let etcd = &configuration["etcd"];
    let data = etcd["local"]["dataDir"].as_str().unwrap_or_default();
    ensure!(
        ["", owned::ETCD_DATA].contains(&data),
        "the data directory of etcd is {data}"
    );
    let plan = &node.plan;
    let runs = plan.role != Role::JoinWorker && !etcd["external"].is_object();
    ensure!(
        plan.runs_etcd == runs,
        "the kubeadm configuration and the plan of {} differ in whether it runs etcd",
        node.name
    );
    let expected = if runs && !node.is_init() {
        let version = Version::parse(&plan.kubernetes_version);
        let version = version.map_err(|problem| anyhow!(problem))?;
        let configured = Configured::of(
            &cluster.init()?.kubeadm,
            version,
            &cluster.kubernetes_images,
        );
        let join = node.document("JoinConfiguration")?;
        let api = join["apiVersion"].as_str();
        Some(Kubeadm {
            api_version: api.unwrap_or_default().to_owned(),
            image_repository: configured.repository().to_owned(),
            etcd_image: configured.etcd().unwrap_or_default(),
            patches: join["patches"]["directory"].as_str().map(str::to_owned),
        })
    } else {
        None
    };
    ensure!(
        plan.kubeadm == expected,
        "the plan of {} does not match the cluster's kubeadm configuration",
        node.name
    );
    Ok(())
}

fn own_api(node: &DecodedNode) -> Result<String> {
    let kind = if node.is_init() {
        "/localAPIEndpoint"
    } else {
        "/controlPlane/localAPIEndpoint"
    };
    let mut documents = node.kubeadm.iter();
    let local = documents.find_map(|document| document.pointer(kind));
    api(local.with_context(|| format!("{} has no API server address", node.name))?)
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

/// If the cluster uses kube-vip, every control plane has its static pod, and the one on the init node has
/// a kubeconfig with rights from the start.
pub(super) fn virtual_address(cluster: &DecodedCluster) -> Result<()> {
    let init = cluster.init()?;
    let version = Version::parse(&init.plan.kubernetes_version);
    let version = version.map_err(|problem| anyhow!(problem))?;
    let expected = init.manifests()?.len();
    for node in &cluster.control_planes {
        let name = &node.name;
        let pods = node.manifests()?;
        ensure!(pods.len() == expected, "{name} has different static pods");
        for pod in pods {
            let env = pod["spec"]["containers"][0]["env"].as_array();
            let value = |name: &str| {
                let variable = env?.iter().find(|variable| variable["name"] == name)?;
                variable["value"].as_str()
            };
            let (address, port) = (value("address"), value("port"));
            let endpoint = node.plan.endpoint.replace(['[', ']'], "");
            ensure!(
                address.zip(port).map(|(a, p)| format!("{a}:{p}")) == Some(endpoint),
                "kube-vip on {name} has a different address than the endpoint"
            );
            let kubeconfig = if node.is_init() {
                version.init_kubeconfig()
            } else {
                "/etc/kubernetes/admin.conf"
            };
            let mounted = &pod["spec"]["volumes"][0]["hostPath"]["path"];
            ensure!(
                *mounted == kubeconfig,
                "kube-vip on {name} has no kubeconfig"
            );
        }
    }
    Ok(())
}
