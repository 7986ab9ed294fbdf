//! The container runtime's configuration.

mod containerd;
mod crio;
mod docker;
mod isulad;
mod registries;

use anyhow::Result;
use nkd_contract::Runtime;

use crate::cluster_file::domain::Cluster;
use crate::ignition::Config;

pub(super) fn files(config: &mut Config, cluster: &Cluster) -> Result<()> {
    match cluster.runtime {
        Runtime::Containerd => containerd::files(config, cluster),
        Runtime::Crio => crio::files(config, cluster),
        Runtime::Isulad => isulad::files(config, cluster),
        Runtime::Docker | Runtime::CriDockerd => docker::files(config, cluster),
    }
}
