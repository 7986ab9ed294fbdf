//! What goes onto one node.

use anyhow::Result;
use nkd_contract::{Image, ImageSource, Images, Plan, ReportTarget, Role, SCHEMA, paths};

use crate::cluster_file::domain::{self, Cluster, Node};
use crate::fragments;
use crate::ignition::{Config, PRIVATE, PUBLIC, Unit};
use crate::images;
use crate::kubeadm;
use crate::pki::{Secrets, kubeconfig};

/// A node's configuration, without the user's own.
pub fn config(cluster: &Cluster, node: &Node, secrets: &Secrets) -> Result<Config> {
    let mut config = Config::default();
    let token = secrets.worker_token.expose();
    let role = role(node);
    let plan = plan(cluster, node, secrets);
    config.file(
        paths::PLAN,
        PRIVATE,
        serde_json::to_string_pretty(&plan)? + "\n",
    );
    let documents = if role == Role::Init {
        kubeadm::init(cluster, node, token)?
    } else {
        kubeadm::join(cluster, node, token)?
    };
    config.file(paths::KUBEADM, PRIVATE, kubeadm::to_yaml(&documents));
    if role == Role::Init {
        pki(&mut config, secrets);
        for (manifest, path) in cluster.manifests.iter().zip(&plan.addons) {
            config.file(path, PUBLIC, &manifest.text);
        }
    } else {
        let authority = &secrets.authorities.kubernetes.public;
        let discovery = kubeconfig::discovery(&cluster.endpoint, authority);
        config.file(paths::DISCOVERY, PUBLIC, discovery);
    }
    if let Some(report) = &cluster.report {
        let target = ReportTarget {
            url: report.url.clone(),
            certificate_authority: report.certificate_authority.clone(),
            signing_key: secrets.callback_key(&node.name)?.expose().to_owned(),
        };
        config.file(
            paths::REPORT,
            PRIVATE,
            serde_json::to_string_pretty(&target)? + "\n",
        );
    }
    host(&mut config, cluster)?;
    Ok(config)
}

/// What all nodes have in common: kernel settings, the runtime's and kubelet's configuration.
fn host(config: &mut Config, cluster: &Cluster) -> Result<()> {
    config.file(
        "/etc/sysctl.d/90-kubernetes.conf",
        PUBLIC,
        fragments::SYSCTL,
    );
    config.file(
        "/etc/modules-load.d/kubernetes.conf",
        PUBLIC,
        fragments::MODULES,
    );
    let runtime = fragments::fill(
        fragments::CONTAINERD,
        &[("sandboxImage", &cluster.sandbox_image)],
    )?;
    config.file("/etc/containerd/config.toml", PUBLIC, runtime);
    let dropin = fragments::fill(
        fragments::KUBELET_DROPIN,
        &[("runtimeUnit", cluster.runtime.unit())],
    )?;
    config.units.push(Unit {
        name: "kubelet.service",
        content: fragments::KUBELET_UNIT,
        dropins: vec![("10-kubeadm.conf", dropin)],
    });
    Ok(())
}

/// The PKI that all control planes share; the rest kubeadm signs on the node.
fn pki(config: &mut Config, secrets: &Secrets) {
    let authorities = &secrets.authorities;
    let pairs = [
        ("ca.crt", "ca.key", &authorities.kubernetes),
        ("etcd/ca.crt", "etcd/ca.key", &authorities.etcd),
        (
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            &authorities.front_proxy,
        ),
        ("sa.pub", "sa.key", &secrets.service_account),
    ];
    config.directories.push((paths::PKI.to_owned(), 0o700));
    for (public, key, pair) in pairs {
        config.file(format!("{}/{public}", paths::PKI), PUBLIC, &pair.public);
        config.file(format!("{}/{key}", paths::PKI), PRIVATE, pair.key.expose());
    }
}

fn role(node: &Node) -> Role {
    match node.role {
        domain::Role::ControlPlane => Role::Init,
        domain::Role::Worker => Role::JoinWorker,
    }
}

fn plan(cluster: &Cluster, node: &Node, secrets: &Secrets) -> Plan {
    let role = role(node);
    let is_init = role == Role::Init;
    let addon = |(index, manifest): (usize, &domain::Manifest)| {
        format!("{}/{index:02}-{}", paths::ADDONS, manifest.name)
    };
    let addons = cluster.manifests.iter().enumerate().map(addon);
    Plan {
        schema: SCHEMA,
        cluster: cluster.name.clone(),
        node: node.name.clone(),
        role,
        clock_floor: secrets.created,
        kubernetes_version: cluster.version.to_string(),
        runtime: cluster.runtime,
        endpoint: cluster.endpoint.to_string(),
        certificate_authority: secrets.authorities.kubernetes.public.clone(),
        images: Images {
            source: match &cluster.airgap_images {
                Some(directory) => ImageSource::Directory(directory.clone()),
                None => ImageSource::Registry,
            },
            required: required_images(cluster, role)
                .into_iter()
                .map(|name| Image { name })
                .collect(),
        },
        addons: if is_init {
            addons.collect()
        } else {
            Vec::new()
        },
        budgets: std::collections::BTreeMap::new(),
    }
}

/// A node's images: those of its Kubernetes version, and the sandbox image when it is another.
pub fn required_images(cluster: &Cluster, role: Role) -> Vec<String> {
    let repository = &cluster.image_repository;
    let mut images = match role {
        Role::JoinWorker => images::worker(cluster.version, repository),
        Role::Init | Role::JoinControlPlane => images::control_plane(cluster.version, repository),
    };
    if !images.contains(&cluster.sandbox_image) {
        images.push(cluster.sandbox_image.clone());
    }
    images
}
