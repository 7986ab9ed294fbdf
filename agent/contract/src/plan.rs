use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::{Runtime, Stage, Timestamp};

/// The version of the plan that this build reads and writes. It changes only when no earlier
/// agent can read the plan at all.
pub const SCHEMA: u32 = 1;

/// The features that a plan may require of this build ([`Plan::requires`]).
pub const FEATURES: &[&str] = &[OPEN_POOL, PATCHES_ARGUMENT];

/// The feature of a plan with a [`pool`](Plan::pool).
pub const OPEN_POOL: &str = "open-pool";

/// The feature of a plan with [`patches_argument`](Plan::patches_argument).
pub const PATCHES_ARGUMENT: &str = "patches-argument";

/// `/etc/nkd/plan.json`: everything the agent's worker needs to know about its node.
///
/// It contains no secrets: those are in `/etc/nkd/kubeadm.yaml`, `/etc/nkd/token`, `/etc/nkd/pki` and
/// `/etc/nkd/report.json`.
///
/// A plan may be older or newer than its agent. Keys are added to it and never change their meaning, and an
/// agent ignores keys that it does not know. If ignoring one would be wrong, [`requires`](Self::requires) names
/// the feature that the agent must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// Version of this document, see [`SCHEMA`].
    pub schema: u32,
    /// The features that an agent must know to carry out this plan. An agent that lacks one of them refuses
    /// the plan. This build knows [`FEATURES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the node; becomes its hostname and the name of its Node object. Absent if the plan has a
    /// [`pool`](Self::pool).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// The open pool whose machines all have this plan. Each machine takes its node's name from its hostname,
    /// which its platform sets, and keeps it in [`paths::NAME`](crate::paths::NAME). Requires [`OPEN_POOL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// What the node is to do.
    pub role: Role,
    /// The moment at which certificates and tokens were made. A clock that is earlier is wrong.
    pub clock_floor: Timestamp,
    /// Kubernetes version with its `v`, such as `v1.31.2`.
    pub kubernetes_version: String,
    /// The container runtime.
    pub runtime: Runtime,
    /// The cluster's API, `host:port`.
    pub endpoint: String,
    /// The APIs, `host:port`, of the control planes that join before this one and must be ready
    /// first, because etcd accepts one new member at a time (further control planes only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_planes_before: Vec<String>,
    /// The APIs, `host:port`, of the control planes that join after this one (further control
    /// planes only). When this machine is provisioned again, they may be the only ones that know
    /// which members etcd has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_planes_after: Vec<String>,
    /// Whether kubeadm runs etcd on this node. If not, the agent never touches `/var/lib/etcd`, because
    /// it belongs to something else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runs_etcd: bool,
    /// The contents of the documents that the agent writes for kubeadm (only further control planes that
    /// run etcd).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeadm: Option<Kubeadm>,
    /// The directory that the agent names in kubeadm's argument `--experimental-patches`, because the
    /// configuration of kubeadm 1.20 and 1.21 cannot name one (control planes only). Requires
    /// [`PATCHES_ARGUMENT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patches_argument: Option<String>,
    /// PEM certificates of the authority that signs the API's certificate.
    pub certificate_authority: String,
    /// What the node's machine must have.
    #[serde(default, skip_serializing_if = "Machine::is_any")]
    pub machine: Machine,
    /// The OS image the machine must run, `REPOSITORY@sha256:DIGEST`; absent leaves the OS alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_image: Option<String>,
    /// The images the node runs and where they come from.
    pub images: Images,
    /// Manifest files on the node, applied in this order once the API is up (init node only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<String>,
    /// The seconds over which workers that have waited for the cluster spread their joins, each with a
    /// random delay. Absent if the cluster is so small that all can join at once (workers only).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub join_spread: u64,
    /// For how many seconds a stage may fail with transient causes, where this differs from the stage's
    /// default.
    #[serde(
        default,
        deserialize_with = "known_stages",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub budgets: BTreeMap<Stage, u64>,
}

/// The part of the cluster's kubeadm configuration that a further control plane needs to run its etcd
/// while it cannot read the configuration from the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Kubeadm {
    /// The `apiVersion` of kubeadm's documents, such as `kubeadm.k8s.io/v1beta3`.
    pub api_version: String,
    /// The repository of Kubernetes' own images, such as `registry.k8s.io`.
    pub image_repository: String,
    /// The image of etcd, `REPOSITORY/etcd:TAG`.
    pub etcd_image: String,
    /// The directory from which kubeadm takes patches for its static pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patches: Option<String>,
}

/// What a node's machine must have, as far as that differs from node to node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Machine {
    /// The addresses that the machine must have: kubelet registers the node with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// The port of its API server (control planes only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_port: Option<u16>,
    /// The least number of processors.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_cpus: u64,
    /// The least amount of memory, in MiB.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_memory: u64,
    /// The least free disk space below `/var/lib` before anything is installed, in MiB. The default is
    /// enough for the unpacked images of a worker.
    #[serde(skip_serializing_if = "is_worker_disk")]
    pub min_disk: u64,
    /// The versions of cgroups that this version of kubelet accepts; any if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cgroups: Vec<u8>,
    /// Whether swap may stay on, because kubelet is configured to accept it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_swap: bool,
    /// The pod subnets, from which a firewall on the machine must accept packets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pod_subnets: Vec<String>,
    /// The ports that a firewall must open besides those of Kubernetes, such as `8472/udp`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub firewall_ports: Vec<String>,
}

const WORKER_DISK: u64 = 1024;

/// Where API servers listen by default (Kubernetes, "Ports and Protocols").
const API_PORT: u16 = 6443;

impl Machine {
    /// The port on which a control plane's API server listens. Others may reach it by another port.
    pub fn api_port(&self) -> u16 {
        self.api_port.unwrap_or(API_PORT)
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            api_port: None,
            min_cpus: 0,
            min_memory: 0,
            min_disk: WORKER_DISK,
            cgroups: Vec::new(),
            keep_swap: false,
            pod_subnets: Vec::new(),
            firewall_ports: Vec::new(),
        }
    }
}

impl Machine {
    fn is_any(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads budgets, and ignores those of stages that this agent does not have.
fn known_stages<'de, D: Deserializer<'de>>(budgets: D) -> Result<BTreeMap<Stage, u64>, D::Error> {
    let budgets = BTreeMap::<String, u64>::deserialize(budgets)?;
    let stage = |name: &str| Stage::ALL.into_iter().find(|stage| stage.name() == name);
    let known = budgets.into_iter();
    Ok(known
        .filter_map(|(name, seconds)| Some((stage(&name)?, seconds)))
        .collect())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_worker_disk(mebibytes: &u64) -> bool {
    *mebibytes == WORKER_DISK
}

/// What a node is to do in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Role {
    /// Create the cluster, as its first control plane.
    Init,
    /// Join as a further control plane.
    JoinControlPlane,
    /// Join as a worker.
    JoinWorker,
}

impl Role {
    /// The role's name, the same in JSON, D-Bus and the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::JoinControlPlane => "join-control-plane",
            Self::JoinWorker => "join-worker",
        }
    }
}

/// The images that a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Images {
    /// Where the images come from.
    pub source: ImageSource,
    /// The images that must be in the runtime before kubeadm runs.
    pub required: Vec<Image>,
}

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ImageSource {
    /// The registries in the images' names, through their mirrors.
    Registry,
    /// A directory on the node with OCI or Docker archives (`*.tar`). Nothing is pulled.
    Directory(String),
    /// Bundles, which nkd has proved to be complete. Nothing is pulled unless [`Bundles::registry`] is set.
    Bundles(Bundles),
}

/// Image bundles, and where a node looks for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bundles {
    /// The bundles that hold the node's images.
    pub bundles: Vec<Bundle>,
    /// Where a bundle may be, in the order in which the agent looks for it.
    pub sources: Vec<BundleSource>,
    /// Whether images that no source has are pulled from the registries in their names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub registry: bool,
}

/// An image bundle: an OCI image layout in a tar, which may be compressed with zstd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bundle {
    /// The name of its file.
    pub file: String,
    /// The size of the file in bytes.
    pub size: u64,
    /// The size of the tar in bytes; equal to `size` if the file is not compressed.
    pub unpacked: u64,
    /// The digest of its `index.json`, `sha256:` and 64 hexadecimal digits. It determines every byte of the tar.
    pub index: String,
}

/// A place where bundles may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BundleSource {
    /// A directory on the node.
    Directory(String),
    /// The top directory of a file system with this label, on any disk.
    Disk(String),
    /// Servers.
    Urls(Urls),
}

/// Servers that all offer the same files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Urls {
    /// `http` or `https` URLs without a slash at the end, to which a slash and the file's name are
    /// added. If one fails, the download continues from the next.
    pub urls: Vec<String>,
    /// The PEM certificates that are trusted for these servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Image {
    /// Its full name with tag, such as `registry.k8s.io/pause:3.10`.
    pub name: String,
    /// The digest under which the runtime must have the image, if it comes from a bundle: with
    /// containerd the digest of its manifest, with all others that of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The document has a schema that this agent does not know.
    #[error("the plan is of schema {found}, this agent reads schema {SCHEMA}")]
    Schema {
        /// The schema the document names.
        found: u32,
    },
    /// The plan requires a feature that this agent does not know.
    #[error("the plan requires `{feature}`, which this agent does not support")]
    Requires {
        /// The first such feature.
        feature: String,
    },
    /// The document is not a plan.
    #[error("cannot read the plan: {0}")]
    Invalid(#[from] serde_json::Error),
}

impl Plan {
    /// Reads a plan. It checks the schema and the required features first, so that the error for a newer plan
    /// states that it is newer, not that it is malformed.
    ///
    /// # Errors
    /// The plan is for another version of the agent, or the document is not a plan.
    pub fn parse(json: &[u8]) -> Result<Self, PlanError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
            #[serde(default)]
            requires: Vec<String>,
        }
        let Head { schema, requires } = serde_json::from_slice(json)?;
        if schema != SCHEMA {
            return Err(PlanError::Schema { found: schema });
        }
        let mut requires = requires.into_iter();
        if let Some(feature) = requires.find(|feature| !FEATURES.contains(&feature.as_str())) {
            return Err(PlanError::Requires { feature });
        }
        let plan: Self = serde_json::from_slice(json)?;
        if plan.node.is_empty() && plan.pool.is_none() {
            return Err(serde_json::Error::missing_field("node").into());
        }
        Ok(plan)
    }

    /// The SHA-256 of a plan's file, in hexadecimal. It identifies a plan in events and logs.
    pub fn digest(json: &[u8]) -> String {
        base16ct::lower::encode_string(&Sha256::digest(json))
    }

    /// The minor version of Kubernetes; the largest number if the version cannot be parsed.
    pub fn kubernetes_minor(&self) -> u32 {
        let minor = self.kubernetes_version.split('.').nth(1);
        minor
            .and_then(|minor| minor.parse().ok())
            .unwrap_or(u32::MAX)
    }

    /// How long a stage may fail with transient causes before the node is reported as failed.
    pub fn budget(&self, stage: Stage) -> Duration {
        self.budgets.get(&stage).map_or_else(
            || stage.default_budget(),
            |seconds| Duration::from_secs(*seconds),
        )
    }
}
