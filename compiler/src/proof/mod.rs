//! The proof: the compiled files are read again, and all nodes are compared with each other. If a rule
//! fails, that is an error in nkd, and nothing is written.

mod control_planes;
mod nodes;
mod runtime;

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use nkd_contract::{Role, paths};
use serde_json::{Value, json};

use crate::compiled::Compiled;
use crate::config::places;
use crate::images::{self, Configured};
use crate::parallel;
use nkd_document::Diagnostics;
use nkd_document::yaml;
use nkd_model::version::Version;
use nodes::{DecodedCluster, first_document, read};

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

type Rule = fn(&DecodedCluster) -> Result<()>;

/// Every rule, with its name.
const RULES: [(&str, Rule); 22] = [
    ("one-init-node", one_init_node),
    ("unique-names-and-addresses", unique_names_and_addresses),
    ("one-authority", one_authority),
    ("token-known", token_known),
    ("names-cover-api", names_cover_api),
    ("proxy-spares-node", runtime::proxy_spares_node),
    ("networks-disjoint", networks_disjoint),
    ("no-keys-on-workers", no_keys_on_workers),
    ("secrets-private", secrets_private),
    ("kubernetes-pki-untouched", kubernetes_pki_untouched),
    ("plan-agrees-with-kubeadm", plan_agrees_with_kubeadm),
    ("images-complete", images_complete),
    ("control-planes-share-pki", control_planes::share_pki),
    ("control-planes-in-order", control_planes::in_order),
    ("etcd-as-planned", control_planes::etcd_as_planned),
    ("virtual-address", control_planes::virtual_address),
    ("runtime-agrees", runtime::agrees),
    ("sandbox-image", runtime::has_sandbox_image),
    ("images-kept", runtime::keeps_images),
    ("patches-taken", runtime::takes_patches),
    ("containers-separated", runtime::separates_containers),
    ("plans-read-whole", plans_read_whole),
];

/// The names of all rules.
pub fn rules() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(name, _)| *name)
}

/// Checks all rules for the compiled cluster. The error names the rule that fails.
pub fn prove(compiled: &Compiled) -> Result<()> {
    let nodes = parallel::map(&compiled.nodes, |node| {
        let of_user = node.places.keys().cloned().collect();
        read(&node.ignition, of_user)
    });
    let nodes = nodes.into_iter().collect::<Result<_>>()?;
    let kubeconfig = first_document(&compiled.kubeconfig)?;
    let cluster = DecodedCluster {
        nodes,
        kubeconfig,
        kubernetes_images: compiled.cluster.kubernetes_images.clone(),
    };
    for (name, rule) in RULES {
        rule(&cluster).with_context(|| format!("rule {name}"))?;
    }
    Ok(())
}

/// No plan has a key that no agent reads, because every agent would ignore it.
fn plans_read_whole(cluster: &DecodedCluster) -> Result<()> {
    for node in &cluster.nodes {
        let name = &node.plan.node;
        let written = node.files.get(paths::PLAN);
        let written = written.with_context(|| format!("{name} has no plan"))?;
        let written: Value = serde_json::from_str(written)?;
        let read = serde_json::to_value(&node.plan)?;
        ensure!(
            read == written,
            "the plan of {name} contains something that no agent reads"
        );
    }
    Ok(())
}

fn one_init_node(cluster: &DecodedCluster) -> Result<()> {
    let count = cluster.nodes.iter().filter(|node| node.is_init()).count();
    ensure!(count == 1, "there are {count} init nodes");
    Ok(())
}

fn unique_names_and_addresses(cluster: &DecodedCluster) -> Result<()> {
    let (mut names, mut addresses) = (HashSet::new(), HashSet::new());
    for node in &cluster.nodes {
        let name = &node.plan.node;
        ensure!(names.insert(name), "duplicate node {name}");
        for address in node.addresses()? {
            ensure!(addresses.insert(address), "duplicate address {address}");
        }
    }
    Ok(())
}

/// Nodes and the administrator trust the authority that signs on the init node.
fn one_authority(cluster: &DecodedCluster) -> Result<()> {
    let init = cluster.init()?;
    let authority = init
        .files
        .get(&format!("{}/ca.crt", paths::PKI))
        .context("no ca.crt")?;
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
    for node in &cluster.nodes {
        ensure!(
            node.plan.certificate_authority == *authority,
            "a plan has a different CA"
        );
    }
    Ok(())
}

/// Every joining node has a token that the init node creates, and kubeadm reads it from the file that the
/// agent writes.
fn token_known(cluster: &DecodedCluster) -> Result<()> {
    let known = &cluster.init()?.document("InitConfiguration")?["bootstrapTokens"];
    for node in cluster.nodes.iter().filter(|node| !node.is_init()) {
        let name = &node.plan.node;
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
    }
    Ok(())
}

fn names_cover_api(cluster: &DecodedCluster) -> Result<()> {
    let init = cluster.init()?;
    let sans = &init.document("ClusterConfiguration")?["apiServer"]["certSANs"];
    let mut names = vec![init.endpoint_host()?.to_owned()];
    for node in cluster.control_planes() {
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

fn networks_disjoint(cluster: &DecodedCluster) -> Result<()> {
    let networking = &cluster.init()?.document("ClusterConfiguration")?["networking"];
    let mut networks = Vec::new();
    for key in ["podSubnet", "serviceSubnet"] {
        let subnets = networking[key]
            .as_str()
            .with_context(|| format!("no {key}"))?;
        for subnet in subnets.split(',') {
            let subnet: IpNet = subnet.parse()?;
            for other in &networks {
                let overlap = |a: &IpNet, b: &IpNet| a.contains(&b.network());
                let disjoint = !overlap(&subnet, other) && !overlap(other, &subnet);
                ensure!(disjoint, "{subnet} and {other} overlap");
            }
            networks.push(subnet);
        }
    }
    for node in &cluster.nodes {
        for address in node.addresses()? {
            let within = networks.iter().find(|network| network.contains(&address));
            ensure!(within.is_none(), "{} is inside {within:?}", node.plan.node);
        }
    }
    Ok(())
}

fn no_keys_on_workers(cluster: &DecodedCluster) -> Result<()> {
    let workers = cluster.nodes.iter();
    for node in workers.filter(|node| node.plan.role == Role::JoinWorker) {
        for (path, content) in node.own_files() {
            let key = PRIVATE_KEY.iter().any(|sign| content.contains(sign));
            ensure!(!key, "{} has a key in {path}", node.plan.node);
        }
    }
    Ok(())
}

/// Only root can read the keys, tokens and other secrets that nkd delivers.
fn secrets_private(cluster: &DecodedCluster) -> Result<()> {
    for node in &cluster.nodes {
        for (path, content) in node.own_files() {
            let secret =
                path == paths::TOKEN || SECRET_SIGNS.iter().any(|sign| content.contains(sign));
            let open = secret && node.readable.contains(path);
            ensure!(
                !open,
                "{path} on {} is readable by other users",
                node.plan.node
            );
        }
    }
    Ok(())
}

/// No file is delivered that kubeadm writes itself, because its preflight checks would fail.
fn kubernetes_pki_untouched(cluster: &DecodedCluster) -> Result<()> {
    for path in cluster.nodes.iter().flat_map(|node| node.files.keys()) {
        ensure!(!places::is_pki(path), "{path} is delivered");
    }
    Ok(())
}

fn plan_agrees_with_kubeadm(cluster: &DecodedCluster) -> Result<()> {
    let init = &cluster.init()?.plan;
    for node in &cluster.nodes {
        let plan = &node.plan;
        ensure!(
            node.registration()?["name"] == plan.node,
            "{} has a different name",
            plan.node
        );
        let same = plan.cluster == init.cluster
            && plan.kubernetes_version == init.kubernetes_version
            && plan.endpoint == init.endpoint
            && plan.clock_floor == init.clock_floor;
        ensure!(
            same,
            "{} has a different plan than {}",
            plan.node,
            init.node
        );
        ensure!(
            plan.machine.addresses == node.addresses()?,
            "{} and its kubelet have different addresses",
            plan.node
        );
        for addon in &plan.addons {
            ensure!(node.files.contains_key(addon), "{addon} is not delivered");
        }
    }
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

/// Each plan has all images that its role runs, and all images in the cluster's manifests.
fn images_complete(cluster: &DecodedCluster) -> Result<()> {
    let init = cluster.init()?;
    let addons = init.plan.addons.iter();
    let manifests = addons.filter_map(|addon| init.files.get(addon));
    let of_manifests: HashSet<_> = manifests
        .flat_map(|manifest| images_named_by(manifest))
        .collect();
    for node in &cluster.nodes {
        let version = Version::parse(&node.plan.kubernetes_version);
        let version = version.map_err(|problem| anyhow!(problem))?;
        let configured = Configured::of(&init.kubeadm, version, &cluster.kubernetes_images);
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
        let planned: HashSet<_> = node
            .plan
            .images
            .required
            .iter()
            .map(|image| &image.name)
            .collect();
        for image in needed.iter().chain(&of_manifests) {
            ensure!(
                planned.contains(image),
                "the plan of {} does not contain {image}",
                node.plan.node
            );
        }
    }
    Ok(())
}

/// The images in a manifest.
fn images_named_by(manifest: &str) -> HashSet<String> {
    let mut scratch = Diagnostics::new();
    let source = scratch.add(Path::new(""), manifest.to_owned());
    let documents = yaml::documents(source, &mut scratch).unwrap_or_default();
    documents
        .iter()
        .flat_map(images::manifest::images)
        .collect()
}
