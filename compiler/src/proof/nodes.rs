//! What the compiled configs say, read again.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use nkd_contract::{Plan, Role, paths};
use serde_json::Value;

use crate::compiled::CompiledNode;
use crate::kubeadm::NODE_IP;
use nkd_document::yaml;
use nkd_model::KubernetesImages;

/// A node as its Ignition config says it is, or an open pool.
pub(super) struct DecodedNode {
    /// The name of the node, or of the open pool.
    pub name: String,
    pub plan: Plan,
    pub files: BTreeMap<String, String>,
    /// The hashes by which Ignition verifies what it fetches, by path.
    pub hashes: BTreeMap<String, String>,
    /// Files that others than root may read.
    pub readable: HashSet<String>,
    /// What the user has a part in.
    pub of_user: HashSet<String>,
    pub kubeadm: Vec<Value>,
}

impl DecodedNode {
    /// What nkd alone has written; keys the user brings for something else are not the cluster's.
    pub fn own_files(&self) -> impl Iterator<Item = (&String, &String)> {
        let files = self.files.iter();
        files.filter(|(path, _)| !self.of_user.contains(*path))
    }
}

/// What distinguishes a node from all other nodes.
pub(super) struct Identity {
    pub name: String,
    pub addresses: Vec<IpAddr>,
}

/// The cluster as the configs of its control planes say it is.
pub(super) struct DecodedCluster {
    pub control_planes: Vec<DecodedNode>,
    /// The images in the manifests that the init node applies.
    pub addon_images: HashSet<String>,
    pub kubeconfig: Value,
    /// What the cluster file or the release determines; no config has it.
    pub kubernetes_images: KubernetesImages,
}

pub(super) fn read(node: &CompiledNode) -> Result<DecodedNode> {
    let (_, warnings) = ignition_config::Config::parse_str(&node.ignition)?;
    ensure!(warnings.is_empty(), "Ignition would warn: {warnings:?}");
    let config: Value = serde_json::from_str(&node.ignition)?;
    let mut files = BTreeMap::new();
    let (mut hashes, mut readable) = (BTreeMap::new(), HashSet::new());
    for file in config["storage"]["files"].as_array().into_iter().flatten() {
        let path = file["path"].as_str().context("a file without path")?;
        let contents = &file["contents"];
        let source = contents["source"].as_str().unwrap_or_default();
        let compression = contents["compression"].as_str().unwrap_or_default();
        let bytes = nkd_ignition::decode(source, compression).unwrap_or_default();
        if let Some(hash) = contents["verification"]["hash"].as_str() {
            hashes.insert(path.to_owned(), hash.to_owned());
        }
        // No rule is about the content of what is fetched or isn't text.
        let text = String::from_utf8(bytes).unwrap_or_default();
        // Without a mode Ignition makes it 0644.
        if file["mode"].as_u64().unwrap_or(0o644) & 0o077 != 0 {
            readable.insert(path.to_owned());
        }
        let earlier = files.insert(path.to_owned(), text);
        ensure!(earlier.is_none(), "duplicate path {path}");
    }
    let file = |path: &str| files.get(path).with_context(|| format!("no {path}"));
    let plan = Plan::parse(file(paths::PLAN)?.as_bytes())?;
    let kubeadm = yaml::fragment(file(paths::KUBEADM)?)?;
    let name = plan.pool.as_ref().unwrap_or(&plan.node).clone();
    Ok(DecodedNode {
        name,
        plan,
        files,
        hashes,
        readable,
        of_user: node.places.keys().cloned().collect(),
        kubeadm,
    })
}

pub(super) fn first_document(text: &str) -> Result<Value> {
    yaml::fragment(text)?
        .into_iter()
        .next()
        .context("an empty document")
}

impl DecodedNode {
    pub fn document(&self, kind: &str) -> Result<&Value> {
        let mut documents = self.kubeadm.iter();
        let document = documents.find(|document| document["kind"] == kind);
        document.with_context(|| format!("{} has no {kind}", self.name))
    }

    pub fn is_init(&self) -> bool {
        self.plan.role == Role::Init
    }

    /// Whether this is an open pool.
    pub fn is_open(&self) -> bool {
        self.plan.pool.is_some()
    }

    /// The cluster's endpoint without its port.
    pub fn endpoint_host(&self) -> Result<&str> {
        let host = self.plan.endpoint.rsplit_once(':');
        let (host, _) = host.context("endpoint without port")?;
        Ok(host.trim_matches(['[', ']']))
    }

    /// The static pods of nkd that are delivered. Others are copies of the user's.
    pub fn manifests(&self) -> Result<Vec<Value>> {
        self.own_files()
            .filter(|(path, _)| path.starts_with(paths::MANIFESTS))
            .map(|(_, text)| first_document(text))
            .collect()
    }

    /// What this node's own kubeadm is told to do.
    pub fn configuration(&self) -> Result<&Value> {
        self.document(if self.is_init() {
            "InitConfiguration"
        } else {
            "JoinConfiguration"
        })
    }

    pub fn registration(&self) -> Result<&Value> {
        Ok(&self.configuration()?["nodeRegistration"])
    }

    /// An argument of kubelet, in both of the forms arguments have.
    pub fn kubelet_arg(&self, name: &str) -> Result<Option<&str>> {
        let args = &self.registration()?["kubeletExtraArgs"];
        let mut listed = args.as_array().into_iter().flatten();
        let arg = listed.find(|arg| arg["name"] == name);
        let value = arg.map_or(&args[name], |arg| &arg["value"]);
        Ok(value.as_str())
    }

    /// The addresses kubelet is told to use. On the machines of an open pool it finds them itself.
    pub fn addresses(&self) -> Result<Vec<IpAddr>> {
        if self.is_open() {
            return Ok(Vec::new());
        }
        let node_ip = self.kubelet_arg(NODE_IP)?;
        let node_ip = node_ip.with_context(|| format!("{} has no {NODE_IP}", self.name))?;
        let parsed = node_ip.split(',').map(str::parse);
        Ok(parsed.collect::<Result<_, _>>()?)
    }
}

impl DecodedCluster {
    pub fn init(&self) -> Result<&DecodedNode> {
        let mut nodes = self.control_planes.iter();
        nodes.find(|node| node.is_init()).context("no init node")
    }

    /// The authority that signs on the init node.
    pub fn authority(&self) -> Result<&str> {
        let authority = self.init()?.files.get(&format!("{}/ca.crt", paths::PKI));
        Ok(authority.context("no ca.crt")?)
    }
}
