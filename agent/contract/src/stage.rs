use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One stage of a node's installation. Each stage is idempotent: it may be interrupted at any moment and
/// runs again from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Stage {
    /// The clock is not earlier than the plan's floor, and a time server has set it if there is one.
    Clock,
    /// The machine runs the plan's OS image; nothing to do if the plan has none.
    Pivot,
    /// Programs, hostname, addresses, swap, kernel, ports, memory and disk meet the requirements of
    /// kubelet.
    Host,
    /// The container runtime runs and its CRI socket answers.
    Runtime,
    /// Every image that the plan names is in the runtime.
    Images,
    /// The cluster's API is up and ready for this node to join; nothing to do for the init node.
    Gate,
    /// `kubeadm init` or `kubeadm join` has succeeded.
    Kubeadm,
    /// The plan's manifests are applied; nothing to do on joining nodes.
    Addons,
    /// The node's own Node object is Ready.
    Ready,
}

impl Stage {
    /// All stages, in the order they run.
    pub const ALL: [Self; 9] = [
        Self::Clock,
        Self::Pivot,
        Self::Host,
        Self::Runtime,
        Self::Images,
        Self::Gate,
        Self::Kubeadm,
        Self::Addons,
        Self::Ready,
    ];

    /// The stage's name, the same in JSON, D-Bus and the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Pivot => "pivot",
            Self::Host => "host",
            Self::Runtime => "runtime",
            Self::Images => "images",
            Self::Gate => "gate",
            Self::Kubeadm => "kubeadm",
            Self::Addons => "addons",
            Self::Ready => "ready",
        }
    }

    /// The stage after this one; `None` after the last.
    pub fn next(self) -> Option<Self> {
        let position = Self::ALL.iter().position(|stage| *stage == self)?;
        Self::ALL.get(position + 1).copied()
    }

    /// How long the stage may fail with transient causes before the node is reported as failed, unless
    /// the plan sets another budget. For `clock`, it is the time to wait for a time server, after which the
    /// installation continues without one. For `host`, it allows for a rack that is switched on as a whole
    /// and needs minutes for addresses and name servers. For `gate`, it is long because the other machines
    /// may still run their firmware.
    pub const fn default_budget(self) -> Duration {
        Duration::from_secs(match self {
            Self::Clock => 60,
            Self::Runtime | Self::Addons => 5 * 60,
            Self::Host => 10 * 60,
            Self::Ready => 15 * 60,
            Self::Pivot | Self::Images | Self::Kubeadm => 30 * 60,
            Self::Gate => 60 * 60,
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
