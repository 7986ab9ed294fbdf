use std::fmt;

use serde::{Deserialize, Serialize};

/// A container runtime, with the units and sockets that its package defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Runtime {
    /// containerd, with its CRI plugin.
    Containerd,
    /// CRI-O.
    Crio,
    /// iSulad.
    Isulad,
    /// Docker, through kubelet's own dockershim (Kubernetes before 1.24).
    Docker,
    /// Docker, through cri-dockerd (Kubernetes from 1.24).
    CriDockerd,
}

impl Runtime {
    /// All container runtimes.
    pub const ALL: [Self; 5] = [
        Self::Containerd,
        Self::Crio,
        Self::Isulad,
        Self::Docker,
        Self::CriDockerd,
    ];

    /// Its name, the same in the plan and in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Isulad => "isulad",
            Self::Docker => "docker",
            Self::CriDockerd => "cri-dockerd",
        }
    }

    /// The systemd units that run it, in the order in which they are started. The first one
    /// fetches the images. kubelet is started after the last one.
    pub const fn units(self) -> &'static [&'static str] {
        match self {
            Self::Containerd => &["containerd.service"],
            Self::Crio => &["crio.service"],
            Self::Isulad => &["isulad.service"],
            Self::Docker => &["docker.service"],
            Self::CriDockerd => &["docker.service", "cri-docker.service"],
        }
    }

    /// The directory in which it keeps images and containers, unless it is configured otherwise.
    pub const fn store(self) -> &'static str {
        match self {
            Self::Containerd => "/var/lib/containerd",
            Self::Crio => "/var/lib/containers",
            Self::Isulad => "/var/lib/isulad",
            Self::Docker | Self::CriDockerd => "/var/lib/docker",
        }
    }

    /// Path of its CRI socket, where possible the one that its package and kubeadm use. That of dockershim
    /// is fixed: kubeadm before 1.24 recognizes dockershim by this path.
    pub const fn socket(self) -> &'static str {
        match self {
            Self::Containerd => "/run/containerd/containerd.sock",
            Self::Crio => "/run/crio/crio.sock",
            Self::Isulad => "/run/isulad.sock",
            Self::Docker => "/var/run/dockershim.sock",
            Self::CriDockerd => "/run/cri-dockerd.sock",
        }
    }

    /// Path of the socket that answers when its units are running. dockershim is part of kubelet; before
    /// kubelet runs, only Docker answers.
    pub const fn answers_at(self) -> &'static str {
        match self {
            Self::Docker => "/run/docker.sock",
            _ => self.socket(),
        }
    }

    /// Its CRI endpoint for kubeadm's `nodeRegistration.criSocket`. Before 1.24, kubeadm
    /// expects a path without a scheme (Kubernetes changelog 1.24, "criSocket without a scheme is deprecated").
    pub fn cri_endpoint(self, scheme: bool) -> String {
        let scheme = if scheme { "unix://" } else { "" };
        format!("{scheme}{}", self.socket())
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
