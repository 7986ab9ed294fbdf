//! Warnings about a cluster that compiles, but probably does not work as intended.

use nkd_document::{Code, Diagnostics};
use nkd_model::{Cluster, UserConfig};

/// Directories in which the user's own configs can have a network add-on, or a hook that applies one.
const ADDON_DIRECTORIES: [&str; 2] = ["/etc/cni/", "/etc/nkd/hooks/"];

/// Warns about a cluster without a network add-on, and about one that does not tolerate the failure of a control plane
/// although it has two.
pub fn warn(cluster: &Cluster, to: &mut Diagnostics) {
    let mut paths = cluster
        .all_own()
        .flat_map(|own| &own.configs)
        .flat_map(UserConfig::paths);
    let is_addon = |path: &str| {
        let mut directories = ADDON_DIRECTORIES.iter();
        directories.any(|directory| path.starts_with(directory))
    };
    if cluster.manifests.is_empty() && !paths.any(|path| is_addon(path.path)) {
        let message = "no network add-on is configured, and nodes are not Ready without one: list its manifests in \
                       `spec.network.manifests`, or apply them yourself and use `--allow NKD0181`";
        to.warn(Code::NoNetwork, cluster.span, message);
    }
    if cluster.external_etcd.is_none() && cluster.control_planes().count() == 2 {
        let message = "with two control planes, the cluster fails when either of them does, because etcd needs a \
                       majority: use one or three control planes";
        to.warn(Code::TwoControlPlanes, cluster.span, message);
    }
}
