//! The differences between the container runtimes: their files and contents, the features of their
//! versions, and how they identify images. Each runtime has one file. Units and sockets are in
//! [`Runtime`], because the agent needs them too.

pub mod containerd;
pub mod crio;
pub mod docker;
pub mod isulad;
mod registries;

use anyhow::Result;
use nkd_bundle::{Digest, Image};
use nkd_contract::{Images, Runtime};

use crate::config::Config;
use nkd_model::version::Version;
use nkd_model::{Cluster, Node};

/// Adds the files of a node's runtime to its config; `images` are those of the node's plan.
///
/// # Errors
/// A fragment cannot be filled.
pub fn files(config: &mut Config, cluster: &Cluster, node: &Node, images: &Images) -> Result<()> {
    let separate = node.os.container_separation.is_some();
    match cluster.runtime {
        Runtime::Containerd => containerd::files(config, cluster, separate),
        Runtime::Crio => {
            let pinned =
                pins_images(cluster.runtime, cluster.version) && cluster.images_from.is_closed();
            crio::files(config, cluster, pinned.then_some(images), separate)
        }
        Runtime::Isulad => isulad::files(config, cluster, separate),
        Runtime::Docker | Runtime::CriDockerd => docker::files(config, cluster, separate),
    }
}

/// The path of the configuration file that nkd writes for a runtime.
pub const fn config_file(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Containerd => containerd::CONFIG,
        Runtime::Crio => crio::CONFIG,
        Runtime::Isulad => isulad::CONFIG,
        Runtime::Docker | Runtime::CriDockerd => docker::CONFIG,
    }
}

/// The path of the file in which nkd sets the sandbox image of a runtime. dockershim has no such file: it
/// is a part of kubelet, whose argument is [`docker::SANDBOX_ARGUMENT`].
pub const fn sandbox_file(runtime: Runtime) -> Option<&'static str> {
    match runtime {
        Runtime::Docker => None,
        Runtime::CriDockerd => Some(docker::CRI_DOCKERD),
        Runtime::Containerd | Runtime::Crio | Runtime::Isulad => Some(config_file(runtime)),
    }
}

/// The cgroup driver of kubelet and the container runtime.
pub const fn cgroup_driver(runtime: Runtime, version: Version) -> &'static str {
    match runtime {
        Runtime::Isulad => isulad::cgroup_driver(version),
        Runtime::Containerd | Runtime::Crio | Runtime::Docker | Runtime::CriDockerd => "systemd",
    }
}

/// Whether the images of the plan are pinned. containerd reads the label that the agent sets, CRI-O reads
/// its configuration. No other runtime can pin images.
pub const fn pins_images(runtime: Runtime, version: Version) -> bool {
    version.keeps_pinned_images()
        && match runtime {
            Runtime::Containerd => true,
            Runtime::Crio => crio::pins_images(version),
            Runtime::Isulad | Runtime::Docker | Runtime::CriDockerd => false,
        }
}

/// Whether only kubelet has credentials for registries, and not kubeadm and the runtime.
pub fn only_kubelet_authenticates(cluster: &Cluster) -> bool {
    let by_kubelet = match cluster.runtime {
        Runtime::Containerd | Runtime::Crio => false,
        Runtime::Isulad | Runtime::Docker | Runtime::CriDockerd => true,
    };
    let mut registries = cluster.registries.iter();
    by_kubelet && registries.any(|registry| registry.access.credentials.is_some())
}

/// Whether a runtime pulls the sandbox image itself, without the credentials that kubelet has.
pub const fn pulls_sandbox_itself(runtime: Runtime) -> bool {
    match runtime {
        Runtime::Isulad | Runtime::CriDockerd => true,
        Runtime::Containerd | Runtime::Crio | Runtime::Docker => false,
    }
}

/// Whether a runtime has mirrors only for Docker Hub, and there neither paths nor credentials.
pub const fn mirrors_only_docker_hub(runtime: Runtime) -> bool {
    match runtime {
        Runtime::Isulad | Runtime::Docker | Runtime::CriDockerd => true,
        Runtime::Containerd | Runtime::Crio => false,
    }
}

/// The digest by which a runtime identifies an image.
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
