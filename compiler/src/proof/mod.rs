//! The proof: the compiled files are read again, and all nodes are compared with each other. If a rule
//! fails, that is an error in nkd, and nothing is written.

mod control_planes;
mod extensions;
mod nodes;
mod open_pools;
mod runtime;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use nkd_contract::{Role, paths};
use serde_json::{Value, json};

use crate::compiled::Compiled;
use crate::config::places;
use crate::images::Configured;
use crate::images::manifest::Object;
use crate::parallel;
use nkd_document::Diagnostics;
use nkd_document::yaml;
use nkd_model::NodeRole;
use nkd_model::version::Version;
use nodes::{DecodedCluster, DecodedNode, Identity, first_document, read};

/// A text in every PEM private key, and the same text in JSON.
const PRIVATE_KEY: [&str; 2] = ["PRIVATE KEY-----\n", "PRIVATE KEY-----\\n"];
/// Texts in the files with secrets that nkd writes. Each has a part that cannot be in the base64 of PEM,
/// or in a URL or name of the user.
const SECRET_SIGNS: [&str; 7] = [
    PRIVATE_KEY[0],
    PRIVATE_KEY[1],
    "\"auth\": ",
    " auth = \"",
    "authorization = ",
    "bootstrapTokens:\n",
    "\"signingKey\": ",
];

/// What a rule is about. The control planes are decoded all at once and every other node alone, so that the
/// proof of ten thousand nodes needs no more memory than that of a hundred.
#[derive(Clone, Copy)]
enum Rule {
    /// The control planes and what they have for all nodes.
    Cluster(fn(&DecodedCluster) -> Result<()>),
    /// One node, compared with the control planes.
    Node(fn(&DecodedCluster, &DecodedNode) -> Result<()>),
    /// The names and addresses of all nodes.
    Identities(fn(&[Identity]) -> Result<()>),
}

/// Every rule, with its name. A rule with two parts has two rows.
const RULES: [(&str, Rule); 28] = [
    ("one-init-node", Rule::Cluster(one_init_node)),
    ("unique-names-and-addresses", Rule::Identities(unique)),
    ("one-authority", Rule::Cluster(kubeconfig_trusts_authority)),
    ("one-authority", Rule::Node(trusts_authority)),
    ("token-known", Rule::Node(token_known)),
    ("names-cover-api", Rule::Cluster(names_cover_api)),
    ("proxy-spares-node", Rule::Node(runtime::proxy_spares_node)),
    ("networks-disjoint", Rule::Cluster(networks_disjoint)),
    ("networks-disjoint", Rule::Node(outside_networks)),
    ("no-keys-on-workers", Rule::Node(no_keys_on_workers)),
    ("secrets-private", Rule::Node(secrets_private)),
    (
        "kubernetes-pki-untouched",
        Rule::Node(kubernetes_pki_untouched),
    ),
    (
        "plan-agrees-with-kubeadm",
        Rule::Cluster(plan_agrees_with_kubeadm),
    ),
    (
        "plan-agrees-with-kubeadm",
        Rule::Node(plan_agrees_with_cluster),
    ),
    ("images-complete", Rule::Node(images_complete)),
    (
        "control-planes-share-pki",
        Rule::Cluster(control_planes::share_pki),
    ),
    (
        "control-planes-in-order",
        Rule::Cluster(control_planes::in_order),
    ),
    (
        "control-planes-in-order",
        Rule::Node(control_planes::worker_waits_for_none),
    ),
    (
        "etcd-as-planned",
        Rule::Node(control_planes::etcd_as_planned),
    ),
    (
        "virtual-address",
        Rule::Cluster(control_planes::virtual_address),
    ),
    ("runtime-agrees", Rule::Node(runtime::agrees)),
    ("sandbox-image", Rule::Node(runtime::has_sandbox_image)),
    ("images-kept", Rule::Node(runtime::keeps_images)),
    ("patches-taken", Rule::Node(runtime::takes_patches)),
    (
        "containers-separated",
        Rule::Node(runtime::separates_containers),
    ),
    ("open-pools-nameless", Rule::Node(open_pools::nameless)),
    ("extensions-verified", Rule::Node(extensions::verified)),
    ("plans-read-whole", Rule::Node(plans_read_whole)),
];

/// The names of all rules.
pub fn rules() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(name, _)| *name)
}

/// Checks all rules for the compiled cluster. The error names the first rule that fails.
pub fn prove(compiled: &Compiled) -> Result<()> {
    let control_plane = NodeRole::ControlPlane.name();
    let nodes = compiled.nodes.iter();
    let (control_planes, workers): (Vec<_>, Vec<_>) =
        nodes.partition(|node| node.role == control_plane);
    let decoded = parallel::map(&control_planes, |node| read(node));
    let decoded = decoded.into_iter().collect::<Result<Vec<_>>>()?;
    let cluster = DecodedCluster {
        addon_images: addon_images(&decoded),
        control_planes: decoded,
        kubeconfig: first_document(&compiled.kubeconfig)?,
        kubernetes_images: compiled.cluster.kubernetes_images.clone(),
    };
    let of_control_planes = cluster.control_planes.iter();
    let mut checked: Vec<_> = of_control_planes
        .map(|node| Ok(check(&cluster, node)))
        .collect();
    checked.extend(parallel::map(&workers, |worker| {
        let node = read(worker)?;
        ensure!(
            node.plan.role == Role::JoinWorker,
            "{} is a worker with the plan of a control plane",
            worker.name
        );
        Ok(check(&cluster, &node))
    }));
    let checked = checked.into_iter().collect::<Result<Vec<_>>>()?;
    first_failure(&cluster, checked)
}

/// A node that was compared with the control planes.
struct Checked {
    identity: Identity,
    /// The index of the first rule that fails, and the reason.
    failure: Option<(usize, anyhow::Error)>,
}

fn check(cluster: &DecodedCluster, node: &DecodedNode) -> Checked {
    let failure = RULES
        .iter()
        .enumerate()
        .find_map(|(index, (_, rule))| match rule {
            Rule::Node(rule) => Some((index, rule(cluster, node).err()?)),
            Rule::Cluster(_) | Rule::Identities(_) => None,
        });
    Checked {
        identity: Identity {
            name: node.name.clone(),
            // A node without addresses breaks other rules.
            addresses: node.addresses().unwrap_or_default(),
        },
        failure,
    }
}

/// Checks the rules that are not about one node. Returns the failure of the first rule that fails.
fn first_failure(cluster: &DecodedCluster, checked: Vec<Checked>) -> Result<()> {
    let (mut identities, mut failures) = (Vec::new(), Vec::new());
    for node in checked {
        identities.push(node.identity);
        failures.extend(node.failure);
    }
    for (index, (_, rule)) in RULES.iter().enumerate() {
        let done = match rule {
            Rule::Cluster(rule) => rule(cluster),
            Rule::Identities(rule) => rule(&identities),
            Rule::Node(_) => Ok(()),
        };
        failures.extend(done.err().map(|error| (index, error)));
    }
    match failures.into_iter().min_by_key(|(index, _)| *index) {
        Some((index, error)) => Err(error.context(format!("rule {}", RULES[index].0))),
        None => Ok(()),
    }
}

/// No plan has a key that no agent reads, because every agent would ignore it.
fn plans_read_whole(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let name = &node.name;
    let written = node.files.get(paths::PLAN);
    let written = written.with_context(|| format!("{name} has no plan"))?;
    let written: Value = serde_json::from_str(written)?;
    let read = serde_json::to_value(&node.plan)?;
    ensure!(
        read == written,
        "the plan of {name} contains something that no agent reads"
    );
    Ok(())
}

fn one_init_node(cluster: &DecodedCluster) -> Result<()> {
    let nodes = cluster.control_planes.iter();
    let count = nodes.filter(|node| node.is_init()).count();
    ensure!(count == 1, "there are {count} init nodes");
    Ok(())
}

fn unique(nodes: &[Identity]) -> Result<()> {
    let (mut names, mut addresses) = (HashSet::new(), HashSet::new());
    for node in nodes {
        ensure!(names.insert(&node.name), "duplicate node {}", node.name);
        for address in &node.addresses {
            ensure!(addresses.insert(address), "duplicate address {address}");
        }
    }
    Ok(())
}

/// The administrator trusts the authority that signs on the init node.
fn kubeconfig_trusts_authority(cluster: &DecodedCluster) -> Result<()> {
    let init = cluster.init()?;
    let authority = cluster.authority()?;
    let server = &cluster.kubeconfig["clusters"][0]["cluster"];
    let data = server["certificate-authority-data"]
        .as_str()
        .unwrap_or_default();
    ensure!(
        STANDARD.decode(data)? == authority.as_bytes(),
        "the kubeconfig has a different CA"
    );
    let endpoint = format!("https://{}", init.plan.endpoint);
    ensure!(
        server["server"] == endpoint,
        "the kubeconfig has a different endpoint"
    );
    Ok(())
}

/// Every node trusts the authority that signs on the init node.
fn trusts_authority(cluster: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    ensure!(
        node.plan.certificate_authority == cluster.authority()?,
        "a plan has a different CA"
    );
    Ok(())
}

/// Every joining node has a token that the init node creates, and kubeadm reads it from the file that the
/// agent writes.
fn token_known(cluster: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    if node.is_init() {
        return Ok(());
    }
    let known = &cluster.init()?.document("InitConfiguration")?["bootstrapTokens"];
    let name = &node.name;
    let token = node.files.get(paths::TOKEN);
    let token = token.with_context(|| format!("{name} has no token"))?;
    let is_known = known
        .as_array()
        .is_some_and(|all| all.iter().any(|known| known["token"] == **token));
    ensure!(is_known, "{name} has an unknown token");
    let discovery = &node.document("JoinConfiguration")?["discovery"];
    ensure!(
        *discovery == json!({"file": {"kubeConfigPath": paths::DISCOVERY}}),
        "kubeadm on {name} does not discover the cluster with {}",
        paths::DISCOVERY
    );
    Ok(())
}

fn names_cover_api(cluster: &DecodedCluster) -> Result<()> {
    let init = cluster.init()?;
    let sans = &init.document("ClusterConfiguration")?["apiServer"]["certSANs"];
    let mut names = vec![init.endpoint_host()?.to_owned()];
    for node in &cluster.control_planes {
        names.extend(node.addresses()?.iter().map(ToString::to_string));
    }
    for name in names {
        let covered = sans
            .as_array()
            .is_some_and(|sans| sans.iter().any(|san| *san == name));
        ensure!(
            covered,
            "the API server's certificate does not contain {name}"
        );
    }
    Ok(())
}

fn networks(cluster: &DecodedCluster) -> Result<Vec<IpNet>> {
    let networking = &cluster.init()?.document("ClusterConfiguration")?["networking"];
    let mut networks = Vec::new();
    for key in ["podSubnet", "serviceSubnet"] {
        let subnets = networking[key].as_str();
        let subnets = subnets.with_context(|| format!("no {key}"))?;
        let parsed = subnets.split(',').map(str::parse);
        networks.extend(parsed.collect::<Result<Vec<IpNet>, _>>()?);
    }
    Ok(networks)
}

fn networks_disjoint(cluster: &DecodedCluster) -> Result<()> {
    let networks = networks(cluster)?;
    for (index, subnet) in networks.iter().enumerate() {
        for other in &networks[..index] {
            let overlap = |a: &IpNet, b: &IpNet| a.contains(&b.network());
            let disjoint = !overlap(subnet, other) && !overlap(other, subnet);
            ensure!(disjoint, "{subnet} and {other} overlap");
        }
    }
    Ok(())
}

fn outside_networks(cluster: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let networks = networks(cluster)?;
    for address in node.addresses()? {
        let within = networks.iter().find(|network| network.contains(&address));
        ensure!(within.is_none(), "{} is inside {within:?}", node.name);
    }
    Ok(())
}

fn no_keys_on_workers(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    if node.plan.role != Role::JoinWorker {
        return Ok(());
    }
    for (path, content) in node.own_files() {
        let key = PRIVATE_KEY.iter().any(|sign| content.contains(sign));
        ensure!(!key, "{} has a key in {path}", node.name);
    }
    Ok(())
}

/// Only root can read the keys, tokens and other secrets that nkd delivers.
fn secrets_private(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let readable = node
        .own_files()
        .filter(|(path, _)| node.readable.contains(*path));
    for (path, content) in readable {
        let secret = path == paths::TOKEN || SECRET_SIGNS.iter().any(|sign| content.contains(sign));
        ensure!(
            !secret,
            "{path} on {} is readable by other users",
            node.name
        );
    }
    Ok(())
}

/// No file is delivered that kubeadm writes itself, because its preflight checks would fail.
fn kubernetes_pki_untouched(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    for path in node.files.keys() {
        ensure!(!places::is_pki(path), "{path} is delivered");
    }
    Ok(())
}

/// A node's plan agrees with kubeadm's configuration there and with the plan of the init node.
fn plan_agrees_with_cluster(cluster: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let (init, plan) = (&cluster.init()?.plan, &node.plan);
    ensure!(
        node.is_open() || node.registration()?["name"] == plan.node,
        "{} has a different name",
        node.name
    );
    let same = plan.cluster == init.cluster
        && plan.kubernetes_version == init.kubernetes_version
        && plan.endpoint == init.endpoint
        && plan.clock_floor == init.clock_floor;
    ensure!(
        same,
        "{} has a different plan than {}",
        node.name,
        init.node
    );
    ensure!(
        plan.machine.addresses == node.addresses()?,
        "{} and its kubelet have different addresses",
        node.name
    );
    for addon in &plan.addons {
        ensure!(node.files.contains_key(addon), "{addon} is not delivered");
    }
    Ok(())
}

fn plan_agrees_with_kubeadm(cluster: &DecodedCluster) -> Result<()> {
    let init = &cluster.init()?.plan;
    let configuration = cluster.init()?.document("ClusterConfiguration")?;
    for (field, value) in [
        ("kubernetesVersion", &init.kubernetes_version),
        ("controlPlaneEndpoint", &init.endpoint),
    ] {
        if configuration[field] != *value {
            bail!("{field} is not {value}");
        }
    }
    Ok(())
}

/// The plan has all images that its role runs, and all images in the cluster's manifests.
fn images_complete(cluster: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let version = Version::parse(&node.plan.kubernetes_version);
    let version = version.map_err(|problem| anyhow!(problem))?;
    let configured = Configured::of(
        &cluster.init()?.kubeadm,
        version,
        &cluster.kubernetes_images,
    );
    let mut needed = match node.plan.role {
        Role::JoinWorker => configured.worker(),
        Role::Init | Role::JoinControlPlane => configured.control_plane(),
    };
    for pod in node.manifests()? {
        let containers = pod["spec"]["containers"].as_array();
        let images = containers
            .into_iter()
            .flatten()
            .map(|container| &container["image"]);
        needed.extend(images.filter_map(Value::as_str).map(str::to_owned));
    }
    let required = node.plan.images.required.iter();
    let planned: HashSet<_> = required.map(|image| &image.name).collect();
    for image in needed.iter().chain(&cluster.addon_images) {
        ensure!(
            planned.contains(image),
            "the plan of {} does not contain {image}",
            node.name
        );
    }
    Ok(())
}

/// The images in the manifests that the init node applies.
fn addon_images(control_planes: &[DecodedNode]) -> HashSet<String> {
    let addons = control_planes
        .iter()
        .flat_map(|node| node.plan.addons.iter().map(|addon| node.files.get(addon)));
    addons
        .flatten()
        .flat_map(|manifest| images_named_by(manifest))
        .collect()
}

/// The images in a manifest.
fn images_named_by(manifest: &str) -> BTreeSet<String> {
    let mut scratch = Diagnostics::new();
    let source = scratch.add(Path::new(""), manifest.to_owned());
    let objects = yaml::values::<Object>(source, &mut scratch).unwrap_or_default();
    let images = objects.into_iter().flat_map(|(object, _)| object.images);
    images.collect()
}
