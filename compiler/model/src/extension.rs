use nkd_document::Span;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::version::Version;

/// A system extension of a node (systemd-sysext(8)).
#[derive(Clone)]
pub struct Extension {
    /// The name. The image's file on the node is `NAME.raw`.
    pub name: String,
    /// The architecture of the machines that it is for.
    pub architecture: Architecture,
    /// The SHA-256 of the image, in hexadecimal.
    pub sha256: String,
    /// Whether it has Kubernetes.
    pub has_kubernetes: bool,
    /// The version of Kubernetes that it has, if that is known.
    pub kubernetes_version: Option<Version>,
    /// Where nodes get the image.
    pub source: ExtensionSource,
    /// Its place in the cluster file.
    pub span: Span,
}

impl Extension {
    /// The path of the image on the node.
    pub fn path(&self) -> String {
        format!("/var/lib/extensions/{}.raw", self.name)
    }
}

/// Where a node gets a system extension.
#[derive(Clone)]
pub enum ExtensionSource {
    /// An http or https URL, from which Ignition fetches the image.
    Url {
        /// The URL.
        url: String,
        /// The PEM certificates by which Ignition verifies the server, besides those of the OS image.
        certificate_authority: Option<String>,
    },
    /// The label of a file system on any disk, with the image in its top directory.
    Disk(String),
    /// A directory on the node.
    Directory(String),
}

/// Architectures of machines, with their names in systemd
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "x86-64")]
    X86_64,
    /// 64-bit Arm.
    #[serde(rename = "arm64")]
    Arm64,
}

impl Architecture {
    /// All architectures.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    /// The name in systemd and in the cluster file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86-64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name in Go, and so in container images.
    pub const fn in_go(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}
