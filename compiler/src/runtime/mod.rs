//! What is particular to each container runtime: its files and how nkd fills them, what it can do in
//! which version, and how it knows images. One file for each. Units and sockets are what the agent needs
//! too, so they are [`Runtime`]'s.

pub mod containerd;
pub mod crio;
pub mod docker;
pub mod isulad;
mod registries;

use anyhow::Result;
use nkd_bundle::{Digest, Image};
use nkd_contract::{Images, Runtime};

use crate::config::Config;
use nkd_model::{Cluster, Node};

/// Adds the files of a node's runtime to its config; `images` are those of the node's plan.
///
/// # Errors
/// When a fragment can't be filled.
pub fn files(config: &mut Config, cluster: &Cluster, node: &Node, images: &Images) -> Result<()> {
    let separate = node.os.container_separation.is_some();
    match cluster.runtime {
        Runtime::Containerd => containerd::files(config, cluster, separate),
        Runtime::Crio => {
            let pinned = pins_images(cluster) && cluster.images_from.is_closed();
            crio::files(config, cluster, pinned.then_some(images), separate)
        }
        Runtime::Isulad => isulad::files(config, cluster, separate),
        Runtime::Docker | Runtime::CriDockerd => docker::files(config, cluster, separate),
    }
}

/// The path of the file in which nkd configures a runtime.
pub const fn config_file(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Containerd => containerd::CONFIG,
        Runtime::Crio => crio::CONFIG,
        Runtime::Isulad => isulad::CONFIG,
        Runtime::Docker | Runtime::CriDockerd => docker::CONFIG,
    }
}

/// The path of the file in which nkd names the sandbox image to a runtime. dockershim has none: it is a
/// part of kubelet, which takes [`docker::SANDBOX_ARGUMENT`].
pub const fn sandbox_file(runtime: Runtime) -> Option<&'static str> {
    match runtime {
        Runtime::Docker => None,
        Runtime::CriDockerd => Some(docker::CRI_DOCKERD),
        Runtime::Containerd | Runtime::Crio | Runtime::Isulad => Some(config_file(runtime)),
    }
}

/// The cgroup driver of kubelet and the container runtime.
pub const fn cgroup_driver(cluster: &Cluster) -> &'static str {
    match cluster.runtime {
        Runtime::Isulad => isulad::cgroup_driver(cluster.version),
        Runtime::Containerd | Runtime::Crio | Runtime::Docker | Runtime::CriDockerd => "systemd",
    }
}

/// Whether images of the nodes' plans are kept by being pinned. containerd reads the agent's label,
/// CRI-O its own configuration. No other runtime can pin an image.
pub const fn pins_images(cluster: &Cluster) -> bool {
    let version = cluster.version;
    version.keeps_pinned_images()
        && match cluster.runtime {
            Runtime::Containerd => true,
            Runtime::Crio => crio::pins_images(version),
            Runtime::Isulad | Runtime::Docker | Runtime::CriDockerd => false,
        }
}

/// Whether kubelet alone has credentials for registries, and neither kubeadm nor the runtime.
pub fn only_kubelet_authenticates(cluster: &Cluster) -> bool {
    let by_kubelet = match cluster.runtime {
        Runtime::Containerd | Runtime::Crio => false,
        Runtime::Isulad | Runtime::Docker | Runtime::CriDockerd => true,
    };
    let mut registries = cluster.registries.iter();
    by_kubelet && registries.any(|registry| registry.access.credentials.is_some())
}

/// The digest by which a runtime knows an image.
pub const fn known_by(image: &Image, runtime: Runtime) -> &Digest {
    match runtime {
        Runtime::Containerd => &image.manifest.digest,
        Runtime::Crio | Runtime::Isulad | Runtime::Docker | Runtime::CriDockerd => {
            &image.config.digest
        }
    }
}

/// Whether a runtime can load an image from an archive under a name with a digest.
pub const fn loads_by_digest(runtime: Runtime) -> bool {
    matches!(runtime, Runtime::Containerd)
}
