//! The config of one node.

mod extensions;
mod host;
mod machine;
mod network;

use anyhow::Result;
use nkd_contract::{OPEN_POOL, PATCHES_ARGUMENT, Plan, ReportTarget, Role, SCHEMA, paths};
use serde_json::Value;

use crate::config::{Config, Directory, PRIVATE, PUBLIC, Unit};
use crate::fragments;
use crate::images::Planned;
use crate::kubeadm;
use crate::pki::Secrets;
use crate::runtime;
use nkd_document::yaml;
use nkd_model::{Cluster, Endpoint, Manifest, Node, NodeRole};

pub use extensions::LIST as EXTENSIONS;
pub use host::PROXY_DROPIN;

/// nkd's part of a node's config.
pub fn config(
    cluster: &Cluster,
    images: &Planned,
    node: &Node,
    secrets: &Secrets,
) -> Result<Config> {
    let mut config = Config::default();
    let role = role(cluster, node);
    let documents = if role == Role::Init {
        kubeadm::init(cluster, node, secrets)?
    } else {
        kubeadm::join(cluster, node)?
    };
    let plan = plan(cluster, images, node, secrets, &documents);
    config
        .file(
            paths::PLAN,
            PRIVATE,
            serde_json::to_string_pretty(&plan)? + "\n",
        )
        .from("");
    config
        .file(paths::KUBEADM, PRIVATE, kubeadm::to_yaml(&documents))
        .from("kubernetes");
    if role != Role::Init {
        let token = secrets.token(&cluster.token_scope(node))?;
        config
            .file(paths::TOKEN, PRIVATE, token.expose())
            .from("kubernetes.bootstrapTokens");
    }
    if role != Role::JoinWorker {
        pki(&mut config, cluster, secrets);
        kube_vip(&mut config, cluster, node, role)?;
    }
    patches(&mut config, cluster, node);
    if role == Role::Init {
        for (manifest, path) in cluster.manifests.iter().zip(&plan.addons) {
            // It may hold Secrets.
            config
                .file(path, PRIVATE, &manifest.text)
                .from("network.manifests");
        }
    }
    if let Some(report) = &cluster.report {
        let target = ReportTarget {
            url: report.url.clone(),
            certificate_authority: report.certificate_authority.clone(),
            signing_key: secrets.callback_key(&node.name)?.expose().to_owned(),
        };
        config
            .file(
                paths::REPORT,
                PRIVATE,
                serde_json::to_string_pretty(&target)? + "\n",
            )
            .from("report");
    }
    host(&mut config, cluster, &plan, node)?;
    config.disk.clone_from(&node.install_disk);
    config.ignored_checks = kubeadm::ignored_preflight(&documents);
    config.keep_swap = plan.machine.keep_swap;
    // On workers as well: what is for all nodes needs no pool of its own.
    let has_patches = node.os.container_separation.is_some()
        || cluster.kubelet_overlays_of(node).next().is_some();
    config.shared = has_patches.then_some(kubeadm::PATCHES);
    Ok(config)
}

/// Adds the unit of kubelet, and the configuration of the runtime and of the operating system.
fn host(config: &mut Config, cluster: &Cluster, plan: &Plan, node: &Node) -> Result<()> {
    host::files(config, cluster, node)?;
    extensions::add(config, &node.os.extensions);
    network::connections(config, &node.interfaces);
    runtime::files(config, cluster, node, &plan.images)?;
    if let Some(proxy) = &node.os.proxy {
        host::proxy(config, cluster, node, proxy);
    }
    let after = cluster.runtime.units().join(" ");
    let dropin = fragments::fill(fragments::KUBELET_DROPIN, &[("runtimeUnits", &*after)])?;
    config.units.push(Unit {
        name: "kubelet.service",
        content: Some(fragments::KUBELET_UNIT),
        dropins: vec![("10-kubeadm.conf", dropin)],
        key: "kubernetes.version",
    });
    Ok(())
}

/// Adds the PKI that all control planes share. kubeadm signs the other certificates on the node.
fn pki(config: &mut Config, cluster: &Cluster, secrets: &Secrets) {
    let authorities = &secrets.authorities;
    let mut pairs = vec![
        ("ca.crt", "ca.key", &authorities.kubernetes),
        (
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            &authorities.front_proxy,
        ),
        ("sa.pub", "sa.key", &secrets.service_account),
    ];
    if let Some(etcd) = &cluster.external_etcd {
        for (name, mode, text) in [
            ("etcd/ca.crt", PUBLIC, &*etcd.authority),
            ("apiserver-etcd-client.crt", PUBLIC, &etcd.certificate),
            ("apiserver-etcd-client.key", PRIVATE, etcd.key.expose()),
        ] {
            config
                .file(format!("{}/{name}", paths::PKI), mode, text)
                .from("kubernetes.etcd.external");
        }
    } else {
        pairs.insert(1, ("etcd/ca.crt", "etcd/ca.key", &authorities.etcd));
    }
    config.directories.push(Directory {
        path: paths::PKI,
        mode: 0o700,
        key: "pki",
    });
    for (public, key, pair) in pairs {
        config
            .file(format!("{}/{public}", paths::PKI), PUBLIC, &pair.public)
            .from("pki");
        config
            .file(format!("{}/{key}", paths::PKI), PRIVATE, pair.key.expose())
            .from("pki");
    }
}

/// Adds the static pod of kube-vip.
fn kube_vip(config: &mut Config, cluster: &Cluster, node: &Node, role: Role) -> Result<()> {
    let Some(kube_vip) = &cluster.kube_vip else {
        return Ok(());
    };
    let kubeconfig = match role {
        Role::Init => cluster.version.init_kubeconfig(),
        Role::JoinControlPlane | Role::JoinWorker => "/etc/kubernetes/admin.conf",
    };
    let Endpoint { host, port } = &cluster.endpoint;
    let values = [
        ("address", host.as_str()),
        ("image", &kube_vip.image),
        ("interface", &kube_vip.interface),
        ("kubeconfig", kubeconfig),
        ("port", &port.to_string()),
        (
            "prefixLength",
            if host.contains(':') { "128" } else { "32" },
        ),
    ];
    let mut pod = fragments::fill(fragments::KUBE_VIP, &values)?;
    if node.os.container_separation.is_some() {
        pod = host_files_allowed(&pod)?;
    }
    config
        .file(format!("{}/kube-vip.yaml", paths::MANIFESTS), PRIVATE, pod)
        .from("kubernetes.kubeVip");
    Ok(())
}

/// A static pod of nkd, with the same change that kubeadm's static pods get by a patch.
fn host_files_allowed(pod: &str) -> Result<String> {
    let mut documents = yaml::fragment(pod)?;
    let patches = yaml::fragment(fragments::KUBEADM_SPC)?;
    for (document, patch) in documents.iter_mut().zip(&patches) {
        document["spec"]["securityContext"] = patch["spec"]["securityContext"].clone();
    }
    Ok(kubeadm::to_yaml(&documents))
}

/// Adds patches for kubeadm's static pods on a control plane, and for the configuration of kubelet.
fn patches(config: &mut Config, cluster: &Cluster, node: &Node) {
    if let Some(patch) = kubeadm::kubelet_patch(cluster, node) {
        let path = format!("{}/{}", kubeadm::PATCHES, kubeadm::KUBELET_PATCH);
        config
            .file(path, PRIVATE, yaml::to_yaml(&patch))
            .from("kubeadm");
    }
    if !kubeadm::patches_static_pods(node) {
        return;
    }
    let etcd = cluster.runs_etcd(node).then_some("etcd");
    for pod in kubeadm::STATIC_PODS.into_iter().chain(etcd) {
        let path = format!("{}/{pod}+strategic.yaml", kubeadm::PATCHES);
        config
            .file(path, PUBLIC, fragments::KUBEADM_SPC)
            .from("os.selinux");
    }
}

fn role(cluster: &Cluster, node: &Node) -> Role {
    match node.role {
        NodeRole::ControlPlane if cluster.is_init(node) => Role::Init,
        NodeRole::ControlPlane => Role::JoinControlPlane,
        NodeRole::Worker => Role::JoinWorker,
    }
}

/// The APIs of the control planes before and after a node that joins as one itself.
fn other_control_planes(cluster: &Cluster, node: &Node) -> (Vec<String>, Vec<String>) {
    if role(cluster, node) != Role::JoinControlPlane {
        return (Vec::new(), Vec::new());
    }
    let api = |node: &Node| Some(node.api(cluster.bind_port())?.to_string());
    let mut all = cluster.control_planes();
    let before = all.by_ref().take_while(|earlier| earlier.name != node.name);
    let before = before.filter_map(api).collect();
    (before, all.filter_map(api).collect())
}

/// The number of nodes that join in a second when a large cluster is powered on at once. The controller
/// manager does not approve more certificates in that time (kube-controller-manager, `--kube-api-qps`,
/// default 20).
const JOINS: usize = 20;

/// The seconds over which the workers of a cluster spread their joins.
fn join_spread(cluster: &Cluster) -> u64 {
    u64::try_from(cluster.nodes.len() / JOINS).unwrap_or(u64::MAX)
}

fn plan(
    cluster: &Cluster,
    images: &Planned,
    node: &Node,
    secrets: &Secrets,
    documents: &[Value],
) -> Plan {
    let role = role(cluster, node);
    let is_init = role == Role::Init;
    let addon = |(index, manifest): (usize, &Manifest)| {
        format!("{}/{index:02}-{}", paths::ADDONS, manifest.name)
    };
    let addons = cluster.manifests.iter().enumerate().map(addon);
    let (control_planes_before, control_planes_after) = other_control_planes(cluster, node);
    let joins_etcd = role == Role::JoinControlPlane;
    let (name, pool) = if node.is_open() {
        (None, Some(node.name.clone()))
    } else {
        (Some(node.name.clone()), None)
    };
    let patches_argument = kubeadm::patches_argument(cluster, node);
    let features = [
        pool.as_ref().map(|_| OPEN_POOL),
        patches_argument.as_ref().map(|_| PATCHES_ARGUMENT),
    ];
    Plan {
        schema: SCHEMA,
        requires: features.into_iter().flatten().map(str::to_owned).collect(),
        cluster: cluster.name.clone(),
        node: name.unwrap_or_default(),
        pool,
        role,
        clock_floor: secrets.created,
        kubernetes_version: cluster.version.to_string(),
        runtime: cluster.runtime,
        endpoint: cluster.endpoint.to_string(),
        control_planes_before,
        control_planes_after,
        runs_etcd: cluster.runs_etcd(node),
        kubeadm: images
            .kubeadm
            .clone()
            .filter(|_| joins_etcd)
            .map(|planned| nkd_contract::Kubeadm {
                patches: kubeadm::patches(documents),
                ..planned
            }),
        patches_argument,
        certificate_authority: secrets.authorities.kubernetes.public.clone(),
        machine: machine::machine(cluster, node, documents),
        os_image: node.os.release_image.clone(),
        images: images.of_role(node.role).clone(),
        addons: if is_init {
            addons.collect()
        } else {
            Vec::new()
        },
        join_spread: match role {
            Role::JoinWorker => join_spread(cluster),
            Role::Init | Role::JoinControlPlane => 0,
        },
        budgets: cluster.budgets.clone(),
    }
}
