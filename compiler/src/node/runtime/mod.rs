//! The container runtime's configuration.

mod containerd;
mod crio;
mod docker;
mod isulad;
mod registries;

use anyhow::Result;
use nkd_contract::{Images, Runtime};

use crate::cluster_file::domain::Cluster;
use crate::ignition::Config;

/// `images` are those of the node's plan.
pub(super) fn files(config: &mut Config, cluster: &Cluster, images: &Images) -> Result<()> {
    match cluster.runtime {
        Runtime::Containerd => containerd::files(config, cluster),
        Runtime::Crio => crio::files(config, cluster, images),
        Runtime::Isulad => isulad::files(config, cluster),
        Runtime::Docker | Runtime::CriDockerd => docker::files(config, cluster),
    }
}
