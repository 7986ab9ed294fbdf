//! From the resolved file to the [domain](crate::model). Every check runs, so that one run shows
//! everything that is wrong.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;

use nkd_contract::Stage;

use super::files::Files;
use super::lines::Lines;
use super::resolved;
use super::written;
use super::{
    addressing, airgap, authorities, checks, endpoint, etcd, host, keys, networks, nodes, patches,
    runtime,
};
use crate::kubeadm::overlay;
use crate::model::{Algorithm, Cluster, Node, Overlay, Pki, Report, Role, Tokens};
use crate::version::Version;
use nkd_document::{Code, Diagnostics, Spanned};

type Text = Spanned<String>;

/// Checks everything; a cluster comes out when nothing is wrong.
pub fn validate(
    file: resolved::Cluster,
    directory: &Path,
    lines: Lines,
    to: &mut Diagnostics,
) -> Option<Cluster> {
    let files = Files { directory };
    let networks = networks::networks(&file, to);
    let (endpoint, kube_vip) = endpoint::endpoint(&file, to);
    plain_texts(&file, to);
    nodes_together(&file, to);
    let name = file
        .name
        .and_then(|it| checks::dns_label(it, "the cluster's name", to));
    let version = file.version.and_then(|it| version(&it, to));
    let host = host::host(file.os, &files, to);
    let (pool_names, pools) = pools(file.pools, &files, to);
    let level = nodes::Level { host, pools };
    let nodes = nodes::nodes(file.nodes, &level, &files, to);
    let (runtime, sandbox_image, registries) = runtime::runtime(file.runtime, version, &files, to);
    let external_etcd = file
        .external_etcd
        .and_then(|etcd| etcd::external(etcd, &files, to));
    let images_from = airgap::images(file.airgap, &files, to);
    let report = file.report.map(|it| report(it, &files, to));
    let pki = pki(&file.pki_algorithm, &file.pki_validity, to);
    let external = external_etcd.is_some();
    let own_keys = authorities::own(file.own_keys, version, external, &files, to);
    let tokens = tokens(&file.tokens_each, &file.token_ttl, to);
    let overlays = files.overlays(&file.overlays, to);
    all_overlays(&overlays, &level.pools, &nodes, external, version, to);
    let pods = networks.as_ref().map(|(pods, _)| pods);
    if let Some(pods) = pods.filter(|_| !overlay::sets_node_mask(&overlays)) {
        networks::pods_fit_nodes(pods, nodes.len(), &file.pod_subnet, to);
    }
    let budgets = budgets(&file.budgets, to);
    let manifests = files.manifests(&file.manifests, to);
    let (pod_subnets, service_subnets) = networks.filter(|_| to.is_empty())?;
    Some(Cluster {
        name: name?,
        version: version?,
        endpoint: endpoint?,
        image_repository: file.image_repository.value,
        pod_subnets,
        service_subnets,
        dns_domain: file.dns_domain.value,
        cert_sans: file.cert_sans.into_iter().map(|it| it.value).collect(),
        kube_vip,
        external_etcd,
        tokens: tokens?,
        overlays,
        runtime: runtime?,
        sandbox_image,
        registries,
        manifests,
        network_ports: file.network_ports.into_iter().map(|it| it.value).collect(),
        budgets: budgets?,
        images_from: images_from?,
        report: report.flatten(),
        own: level.host.own,
        pki: pki?,
        own_keys,
        pools: nodes::into_pools(pool_names, level.pools),
        nodes: nodes.into_iter().collect::<Option<_>>()?,
        lines,
    })
}

/// Every overlay document, whoever it is for.
fn all_overlays(
    cluster: &[Overlay],
    pools: &[nodes::Settings],
    nodes: &[Option<Node>],
    external_etcd: bool,
    version: Option<Version>,
    to: &mut Diagnostics,
) {
    let Some(version) = version else {
        return;
    };
    own_overlays(pools, nodes, version, to);
    patches::check(nodes, pools, cluster, version, to);
    let pools = pools.iter().flat_map(|pool| &pool.overlays);
    let nodes = nodes.iter().flatten().flat_map(|node| &node.overlays);
    let all: Vec<_> = cluster.iter().chain(pools).chain(nodes).collect();
    overlay::check(all.iter().copied(), version, to);
    if external_etcd {
        overlay::check_no_local_etcd(all.into_iter(), to);
    } else {
        overlay::check_local_etcd(all.into_iter(), to);
    }
}

/// The overlay documents of pools and nodes. Who reads them is certain when all nodes are.
fn own_overlays(
    pools: &[nodes::Settings],
    nodes: &[Option<Node>],
    version: Version,
    to: &mut Diagnostics,
) {
    let Some(nodes) = nodes.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else {
        return;
    };
    let mut control_planes = nodes.iter();
    let init = control_planes.find(|node| node.role == Role::ControlPlane);
    let is_init = |node: &Node| init.is_some_and(|init| init.name == node.name);
    for (place, pool) in pools.iter().enumerate() {
        let mut members = nodes.iter().filter(|node| node.pool == Some(place));
        let init = members.any(|node| is_init(node));
        // A pool gets more nodes, and those join.
        let readers = overlay::Readers { init, join: true };
        overlay::check_own(&pool.overlays, readers, version, to);
    }
    for node in &nodes {
        let (init, join) = (is_init(node), !is_init(node));
        overlay::check_own(&node.overlays, overlay::Readers { init, join }, version, to);
    }
}

/// What only has to be well written.
fn plain_texts(file: &resolved::Cluster, to: &mut Diagnostics) {
    checks::image_repository(&file.image_repository, to);
    checks::image(&file.runtime.sandbox_image, to);
    checks::dns_name(&file.dns_domain, "the DNS domain", to);
    for san in &file.cert_sans {
        checks::host(san, to);
    }
    for port in &file.network_ports {
        checks::port(port, to);
    }
}

fn pki(algorithm: &Text, validity: &Text, to: &mut Diagnostics) -> Option<Pki> {
    let algorithm = checks::choice(algorithm, Algorithm::ALL, Algorithm::name, to);
    let validity = checks::duration(validity, to);
    Some(Pki {
        algorithm: algorithm?,
        validity: validity?,
    })
}

fn budgets(written: &[(Stage, Text)], to: &mut Diagnostics) -> Option<BTreeMap<Stage, u64>> {
    let budgets = written
        .iter()
        .map(|(stage, text)| Some((*stage, checks::budget(text, to)?)));
    budgets.collect()
}

fn version(text: &Text, to: &mut Diagnostics) -> Option<Version> {
    Version::parse(&text.value)
        .map_err(|message| to.report(Code::Version, text.span, message))
        .ok()
}

fn unique<'a>(texts: impl Iterator<Item = &'a Text>, code: Code, what: &str, to: &mut Diagnostics) {
    let mut seen = HashMap::new();
    for text in texts {
        // fd00::1 and fd00:0::1 are one address, 0A:… and 0a:… one MAC address.
        let address = text.value.parse::<IpAddr>();
        let key = address.map_or_else(|_| text.value.to_lowercase(), |it| it.to_string());
        if seen.insert(key, text.span).is_some() {
            let message = format!("an earlier node has the {what} `{}` already", text.value);
            to.report(code, text.span, message);
        }
    }
}

/// What must hold for the nodes together: names and addresses of their own, a control plane.
fn nodes_together(file: &resolved::Cluster, to: &mut Diagnostics) {
    let nodes = &file.nodes;
    let names = nodes.iter().filter_map(|node| node.name.as_ref());
    unique(names, Code::DuplicateName, "name", to);
    let parts = |text: &Text| -> Vec<Text> {
        let parts = text.value.split(',');
        parts
            .map(|part| Spanned::new(part.to_owned(), text.span))
            .collect()
    };
    let addresses = nodes.iter().filter_map(|node| node.address.as_ref());
    let addresses: Vec<_> = addresses.flat_map(parts).collect();
    unique(addresses.iter(), Code::DuplicateAddress, "address", to);
    let macs = nodes.iter().filter_map(|node| node.mac.as_ref());
    unique(macs, Code::DuplicateMac, "MAC address", to);
    if !nodes.iter().any(resolved::Node::is_control_plane) {
        to.report(
            Code::NoControlPlane,
            file.span,
            "`spec.nodes` has no control plane",
        );
    }
    addressing::interfaces(file, to);
}

fn tokens(each: &Text, ttl: &Text, to: &mut Diagnostics) -> Option<Tokens> {
    let each = checks::choice(each, keys::TOKENS, |it| it, to);
    let ttl = checks::duration(ttl, to);
    Some(Tokens {
        of_each_node: each? == "node",
        ttl: ttl?,
    })
}

/// The pools' names, each its own.
fn pool_names(file: &[written::Pool], to: &mut Diagnostics) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for name in file.iter().filter_map(|pool| pool.name.clone()) {
        let span = name.span;
        let Some(name) = checks::dns_label(name, "the pool's name", to) else {
            continue;
        };
        if !seen.insert(name.clone()) {
            let message = format!("an earlier pool is called `{name}` already");
            to.report(Code::DuplicatePool, span, message);
        }
        names.push(name);
    }
    names
}

fn pools(
    file: Vec<written::Pool>,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> (Vec<String>, Vec<nodes::Settings>) {
    let names = pool_names(&file, to);
    let settings = file.into_iter().map(|pool| pool.settings);
    let settings = settings.map(|it| nodes::settings(it, files, to));
    (names, settings.collect())
}

fn report(file: written::Report, files: &Files<'_>, to: &mut Diagnostics) -> Option<Report> {
    let certificate_authority = match &file.ca_file {
        Some(name) => Some(files.certificates(name, to)?),
        None => None,
    };
    let url = checks::url(file.url?, to)?;
    Some(Report {
        url,
        certificate_authority,
    })
}
