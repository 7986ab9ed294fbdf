//! Everything that a cluster runs.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Configured, control_plane, worker};
use crate::kubeadm;
use nkd_model::{Cluster, NodeRole};

/// The images of a cluster's nodes, by what they are.
#[derive(Debug, Clone)]
pub struct Closure {
    /// What kubeadm is told about images.
    pub configured: Configured,
    control_plane: Vec<String>,
    worker: Vec<String>,
    /// The pause image of kubeadm, where pod sandboxes have another.
    pub other_pause: Option<String>,
}

impl Closure {
    /// What a cluster's nodes run: the images of its Kubernetes version as its kubeadm is
    /// configured, the one of pod sandboxes, kube-vip's, and those of the manifests, which may
    /// land on any node.
    pub fn of(cluster: &Cluster) -> Result<Self> {
        let init = cluster
            .init_node()
            .context("the cluster has no control plane")?;
        let documents = kubeadm::init_draft(cluster, init)?;
        let configured = documents
            .iter()
            .find(|it| it["kind"] == "ClusterConfiguration");
        let configured = Configured::of(configured.unwrap_or(&Value::Null), cluster.version);
        let everywhere: BTreeSet<_> = cluster.manifests.iter().flat_map(|it| &it.images).collect();
        let everywhere: Vec<_> = [&cluster.sandbox_image]
            .into_iter()
            .chain(everywhere)
            .collect();
        let kube_vip = cluster.kube_vip.iter().map(|it| &it.image);
        let worker = worker(&configured);
        let pause = super::sandbox(Some(cluster.version), &cluster.image_repository);
        Ok(Self {
            control_plane: with(
                control_plane(&configured),
                kube_vip.chain(everywhere.iter().copied()),
            ),
            worker: with(worker, everywhere.iter().copied()),
            configured,
            other_pause: (pause != cluster.sandbox_image).then_some(pause),
        })
    }

    /// What a node of a role runs.
    pub fn of_role(&self, role: NodeRole) -> &[String] {
        match role {
            NodeRole::ControlPlane => &self.control_plane,
            NodeRole::Worker => &self.worker,
        }
    }

    /// What any node runs, sorted.
    pub fn all(&self) -> BTreeSet<&str> {
        let all = self.control_plane.iter().chain(&self.worker);
        all.map(String::as_str).collect()
    }
}

fn with<'a>(mut images: Vec<String>, more: impl Iterator<Item = &'a String>) -> Vec<String> {
    for image in more {
        if !images.contains(image) {
            images.push(image.clone());
        }
    }
    images
}
