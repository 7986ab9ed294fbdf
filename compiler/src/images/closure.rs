//! Everything that a cluster runs.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::configured::{self, Configured};
use crate::kubeadm;
use nkd_model::{Cluster, NodeRole};

/// The images of a cluster's nodes, by what they are.
#[derive(Debug, Clone)]
pub struct Closure {
    /// The image settings of kubeadm.
    pub configured: Configured,
    control_plane: Vec<String>,
    worker: Vec<String>,
    /// The pause image of kubeadm, where pod sandboxes have another.
    pub other_pause: Option<String>,
}

impl Closure {
    /// What a cluster's nodes run: the images of its Kubernetes version as its kubeadm is
    /// configured, the one of pod sandboxes, kube-vip's, and those of the manifests and the
    /// extra images, which may land on any node.
    pub fn of(cluster: &Cluster) -> Result<Self> {
        let init = cluster
            .init_node()
            .context("the cluster has no control plane")?;
        let documents = kubeadm::init_draft(cluster, init)?;
        let configured = Configured::of(&documents, cluster.version, &cluster.kubernetes_images);
        let manifests = cluster.manifests.iter();
        let of_manifests: BTreeSet<_> = manifests.flat_map(|manifest| &manifest.images).collect();
        let everywhere: Vec<_> = [&cluster.sandbox_image]
            .into_iter()
            .chain(of_manifests)
            .chain(&cluster.extra_images)
            .collect();
        let kube_vip = cluster.kube_vip.iter().map(|kube_vip| &kube_vip.image);
        let pause = configured::pause(&cluster.kubernetes_images, &cluster.image_repository);
        Ok(Self {
            control_plane: with(
                configured.control_plane(),
                kube_vip.chain(everywhere.iter().copied()),
            ),
            worker: with(configured.worker(), everywhere.iter().copied()),
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
