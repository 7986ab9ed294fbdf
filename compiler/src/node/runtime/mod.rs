//! The container runtime's configuration.

mod containerd;
pub mod crio;
mod docker;
mod isulad;
mod registries;

use anyhow::Result;
use nkd_contract::{Images, Runtime};

use crate::config::Config;
use crate::model::{Cluster, Node};

/// `images` are those of the node's plan.
pub(super) fn files(
    config: &mut Config,
    cluster: &Cluster,
    node: &Node,
    images: &Images,
) -> Result<()> {
    let separate = node.host.container_separation.is_some();
    match cluster.runtime {
        Runtime::Containerd => containerd::files(config, cluster, separate),
        Runtime::Crio => crio::files(config, cluster, images, separate),
        Runtime::Isulad => isulad::files(config, cluster, separate),
        Runtime::Docker | Runtime::CriDockerd => docker::files(config, cluster, separate),
    }
}
