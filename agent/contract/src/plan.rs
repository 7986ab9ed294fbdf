use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::{Runtime, Stage, Timestamp, Vocabulary};

/// The version of the plan that this build reads and writes. It changes only with a plan that no earlier
/// agent can read at all.
pub const SCHEMA: u32 = 1;

/// What a plan may require of this build, by name ([`Plan::requires`]).
pub const FEATURES: &[&str] = &[];

/// `/etc/nkd/plan.json`: everything the agent's worker needs to know about its node.
///
/// Secrets stay out of it: they are in `/etc/nkd/kubeadm.yaml`, `/etc/nkd/token`, `/etc/nkd/pki` and
/// `/etc/nkd/report.json`.
///
/// A plan may be older or newer than its agent. Keys are added and never change their meaning; an agent
/// ignores those it doesn't know. Where that would be wrong, [`requires`](Self::requires) names what has to be
/// known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// Version of this document, see [`SCHEMA`].
    pub schema: u32,
    /// Names of what an agent must know to carry out this plan, besides what every agent knows; one that lacks
    /// any of them refuses the plan. This build knows [`FEATURES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the node; becomes its hostname and the name of its Node object.
    pub node: String,
    /// What the node is to do.
    pub role: Role,
    /// The clock's floor: certificates and tokens were made then, so no clock may be before it.
    pub clock_floor: Timestamp,
    /// Kubernetes version with its `v`, such as `v1.31.2`.
    pub kubernetes_version: String,
    /// The container runtime.
    pub runtime: Runtime,
    /// The cluster's API, `host:port`.
    pub endpoint: String,
    /// The APIs, `host:port`, of the control planes that come before this one and must be ready
    /// first, because etcd takes one new member at a time (further control planes only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_planes_before: Vec<String>,
    /// The APIs, `host:port`, of the control planes that come after this one (further control
    /// planes only). After this machine was provisioned anew, they may be the only ones that know
    /// which etcd members there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_planes_after: Vec<String>,
    /// Whether kubeadm runs etcd on this node. Where it doesn't, whatever is under `/var/lib/etcd`
    /// belongs to somebody else and is never touched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runs_etcd: bool,
    /// What the documents contain that the agent writes for kubeadm (further control planes that run
    /// etcd only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeadm: Option<Kubeadm>,
    /// PEM certificates of the authority that signs the API's certificate.
    pub certificate_authority: String,
    /// What the node's machine must be like.
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
    /// Seconds over which workers that have waited for the cluster spread their joins, each by a random
    /// delay; absent in a cluster so small that they can join at once (workers only).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub join_spread: u64,
    /// Seconds a stage may go on failing transiently, where not the stage's own default.
    #[serde(
        default,
        deserialize_with = "known_stages",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub budgets: BTreeMap<Stage, u64>,
}

/// The part of the cluster's kubeadm configuration that a further control plane needs to run its etcd
/// before it can ask the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Kubeadm {
    /// The `apiVersion` of its documents, such as `kubeadm.k8s.io/v1beta3`.
    pub api_version: String,
    /// The repository of Kubernetes' own images, such as `registry.k8s.io`.
    pub image_repository: String,
    /// The image of etcd, `REPOSITORY/etcd:TAG`.
    pub etcd_image: String,
    /// The directory from which kubeadm takes patches for its static pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patches: Option<String>,
}

/// What a node's machine must be like, as far as that differs from node to node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Machine {
    /// Addresses it must have: kubelet registers the node with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// The port of its API server (control planes only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_port: Option<u16>,
    /// Processors it has at least.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_cpus: u64,
    /// Memory it has at least, in MiB.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_memory: u64,
    /// Free disk space below `/var/lib` before anything is installed, in MiB; room for a worker's
    /// images, unpacked, unless the plan says otherwise.
    #[serde(skip_serializing_if = "is_worker_disk")]
    pub min_disk: u64,
    /// The versions of cgroups that this kubelet was made for; any when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cgroups: Vec<u8>,
    /// Whether swap stays as it is, because kubelet is told to live with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_swap: bool,
    /// The pods' networks, whose packets a firewall on the machine must let in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pod_subnets: Vec<String>,
    /// What a firewall must let in besides Kubernetes' own ports, as `8472/udp`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub firewall_ports: Vec<String>,
}

const WORKER_DISK: u64 = 1024;

/// Where API servers listen by default (Kubernetes, "Ports and Protocols").
const API_PORT: u16 = 6443;

impl Machine {
    /// The port of a control plane's API server; others may reach it by another.
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

/// Budgets without those of stages that this agent doesn't have.
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
    /// Make the cluster: the first control plane.
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

impl Vocabulary for Role {
    fn word(self) -> &'static str {
        self.name()
    }
}

/// The images a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Images {
    /// Where they come from.
    pub source: ImageSource,
    /// All that must be in the runtime before kubeadm runs.
    pub required: Vec<Image>,
}

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ImageSource {
    /// The registries in the images' names, through their mirrors.
    Registry,
    /// A directory on the node with OCI or Docker archives (`*.tar`); nothing is ever pulled.
    Directory(String),
    /// Bundles, which were proved complete; nothing is pulled unless they say so.
    Bundles(Bundles),
}

/// Image bundles, and where a node looks for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bundles {
    /// The bundles that hold the node's images.
    pub bundles: Vec<Bundle>,
    /// Where each of them may be, in the order in which they are looked for.
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
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of the tar, which is what the file is unless it is compressed.
    pub unpacked: u64,
    /// The digest of its `index.json`, `sha256:` and 64 hexadecimal digits. It pins every byte.
    pub index: String,
}

/// A place for bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BundleSource {
    /// A directory on the node.
    Directory(String),
    /// The top directory of a file system with this label, on whatever disk it is.
    Disk(String),
    /// Servers.
    Urls(Urls),
}

/// Servers that all have the same files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Urls {
    /// `http` or `https` URLs without a slash at the end; the file's name goes after one. Where
    /// one fails, the next goes on.
    pub urls: Vec<String>,
    /// PEM certificates to trust there.
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
    /// The digest by which the runtime has to know it, where it comes from a bundle: for
    /// containerd that of its manifest, for all others that of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Why a plan can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The document is of a schema this agent doesn't know.
    #[error("the plan is of schema {found}, this agent reads schema {SCHEMA}")]
    Schema {
        /// The schema the document names.
        found: u32,
    },
    /// The plan requires what this agent doesn't know.
    #[error("the plan requires `{feature}`, which this agent doesn't know")]
    Requires {
        /// The first of what it doesn't know.
        feature: String,
    },
    /// The document is not a plan.
    #[error("the plan can't be read: {0}")]
    Invalid(#[from] serde_json::Error),
}

impl Plan {
    /// Reads a plan. Its schema and what it requires are looked at first, so that a newer plan is called newer
    /// and not malformed.
    ///
    /// # Errors
    /// The plan is for another agent, or it is none.
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
        Ok(serde_json::from_slice(json)?)
    }

    /// The SHA-256 of a plan's file, in hexadecimal: names a plan in events and logs.
    pub fn digest(json: &[u8]) -> String {
        base16ct::lower::encode_string(&Sha256::digest(json))
    }

    /// The minor version of Kubernetes; the newest there could be where the version can't be read.
    pub fn kubernetes_minor(&self) -> u32 {
        let minor = self.kubernetes_version.split('.').nth(1);
        minor
            .and_then(|minor| minor.parse().ok())
            .unwrap_or(u32::MAX)
    }

    /// How long a stage may go on failing transiently before that is final.
    pub fn budget(&self, stage: Stage) -> Duration {
        self.budgets.get(&stage).map_or_else(
            || stage.default_budget(),
            |seconds| Duration::from_secs(*seconds),
        )
    }
}
