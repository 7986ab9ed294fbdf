use std::fmt;

use serde::{Deserialize, Serialize};

/// A container runtime, with what its package fixes: unit and CRI socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Runtime {
    /// containerd, with its CRI plugin.
    Containerd,
}

impl Runtime {
    /// The runtime's name, as in the cluster file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
        }
    }

    /// The systemd unit that runs it.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Containerd => "containerd.service",
        }
    }

    /// Path of its CRI socket.
    pub const fn socket(self) -> &'static str {
        match self {
            Self::Containerd => "/run/containerd/containerd.sock",
        }
    }

    /// Its CRI endpoint, as kubeadm's `nodeRegistration.criSocket` takes it. Before 1.24 kubeadm
    /// wants a bare path (Kubernetes changelog 1.24, "criSocket without a scheme is deprecated").
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
