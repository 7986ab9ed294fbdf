//! Turns the keys into the model. All checks run, so that one run reports all errors.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use nkd_contract::{Runtime, Stage};

use super::authorities;
use super::budgets::Budgets;
use super::checks::Text;
use super::files::Files;
use super::keys::{self, TokenOwner};
use super::nodes::is_control_plane;
use super::{
    addressing, airgap, checks, endpoint, etcd, extensions, host, networks, nodes, open_pools,
    patches, release, runtime,
};
use crate::image_name;
use crate::kubeadm::owned::Settings;
use crate::kubeadm::{image_gc, overlay, rules};
use nkd_document::{Code, Diagnostics, Span, Spanned};
use nkd_model::lines::Lines;
use nkd_model::version::Version;
use nkd_model::{
    Cluster, Endpoint, HttpUrl, ImagesFrom, Node, NodeRole, Overlay, OwnKeys, Pki, Report, Tokens,
};

/// Runs all checks, and returns the cluster if there are no errors.
pub fn validate(
    file: Spanned<keys::Cluster>,
    directory: &Path,
    lines: Lines,
    to: &mut Diagnostics,
) -> Option<Cluster> {
    let (files, span) = (Files { directory }, file.span);
    let keys::Cluster { metadata, spec, .. } = file.value;
    let networks = networks::networks(&spec, to);
    let (endpoint, kube_vip) = endpoint::endpoint(&spec, span, to);
    plain_texts(&spec, to);
    nodes_together(&spec, span, to);
    let mut kubernetes = spec.kubernetes;
    let name = cluster_name(metadata, to);
    let release = release::release(&kubernetes, to);
    let version = release.as_ref().map(|release| release.version);
    let members = nodes::members(&spec.nodes, &spec.pools);
    let level = level(spec.os, spec.pools, &files, to);
    let nodes = nodes::nodes(spec.nodes, members, &level, &files, to);
    let (runtime, sandbox_image, registries) = runtime::runtime(spec.runtime, version, &files, to);
    let external = kubernetes.etcd.external.is_some();
    let external_etcd = etcd::external(kubernetes.etcd.external.take(), &files, to);
    let images_from = images_from(spec.airgap, &nodes, version, &kubernetes, &files, to);
    let report = spec.report.map(|report| self::report(report, &files, to));
    let (pki, own_keys) = pki(spec.pki, version, external, &files, to);
    let tokens = tokens(&kubernetes.bootstrap_tokens, to);
    let overlays = files.overlays(&kubernetes.kubeadm, to);
    let (named, at, from) = (name.as_deref(), endpoint.as_ref(), images_from.as_ref());
    let settings = settings(version, &kubernetes, named, at, (runtime, from));
    all_overlays(&overlays, &level.pools, &nodes, external, settings, to);
    pods_fit_nodes(networks.as_ref(), &overlays, nodes.len(), &kubernetes, to);
    let budgets = budgets(&spec.budgets, to);
    let manifests = files.manifests(&spec.network.manifests, to);
    let (pod_subnets, service_subnets) = networks.filter(|_| to.is_empty())?;
    Some(Cluster {
        name: name?,
        version: version?,
        endpoint: endpoint?,
        image_repository: kubernetes.image_repository?.value,
        kubernetes_images: release?.images,
        pod_subnets,
        service_subnets,
        dns_domain: kubernetes.networking.dns_domain.value,
        cert_sans: host::without_spans(kubernetes.api_server.cert_sans),
        kube_vip,
        external_etcd,
        etcd_in_memory: kubernetes.etcd.in_memory,
        tokens: tokens?,
        overlays,
        runtime,
        sandbox_image,
        registries,
        manifests,
        extra_images: full_names(&spec.extra_images),
        network_ports: host::without_spans(spec.network.ports),
        budgets: budgets?,
        images_from: images_from?,
        report: report.flatten(),
        own: level.os.own,
        pki: pki?,
        own_keys,
        pools: nodes::into_pools(level.names, level.pools),
        nodes: nodes.into_iter().collect::<Option<_>>()?,
        lines,
        span,
    })
}

fn cluster_name(metadata: keys::Metadata, to: &mut Diagnostics) -> Option<String> {
    checks::dns_label(metadata.name?, "the cluster name", to)
}

/// The sources of images. Checks that the nodes' extensions fit them, and the version of Kubernetes.
fn images_from(
    file: Option<Spanned<airgap::Airgap>>,
    nodes: &[Option<Node>],
    version: Option<Version>,
    kubernetes: &keys::Kubernetes,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Option<ImagesFrom> {
    let images = airgap::images(file, files, to);
    let version_key = kubernetes.version.as_ref().map(|text| text.span);
    let fit = extensions::Fit {
        version: version.zip(version_key),
        images: images.as_ref(),
    };
    extensions::check(nodes, &fit, to);
    images
}

/// What nkd sets in the documents of kubeadm, which overlays may only repeat.
fn settings<'a>(
    supported: Option<Version>,
    kubernetes: &'a keys::Kubernetes,
    name: Option<&'a str>,
    endpoint: Option<&'a Endpoint>,
    (runtime, images_from): (Runtime, Option<&ImagesFrom>),
) -> Option<Settings<'a>> {
    let version = supported?;
    let networking = &kubernetes.networking;
    let repository = kubernetes.image_repository.as_ref();
    Some(Settings {
        name,
        version,
        endpoint,
        image_repository: repository.map(|text| text.value.as_str()),
        pod_subnet: &networking.pod_subnet.value,
        service_subnet: &networking.service_subnet.value,
        dns_domain: &networking.dns_domain.value,
        runtime,
        // Without valid sources of images, nothing follows.
        keeps_images: images_from.is_none_or(|from| image_gc::is_off(from, runtime, version)),
    })
}

fn full_names(images: &[Text]) -> Vec<String> {
    let images = images.iter();
    images.map(|name| image_name::full(&name.value)).collect()
}

/// Reports pod networks that kubeadm cannot divide among the nodes, unless the user divides them.
fn pods_fit_nodes(
    networks: Option<&(Vec<IpNet>, Vec<IpNet>)>,
    overlays: &[Overlay],
    nodes: usize,
    kubernetes: &keys::Kubernetes,
    to: &mut Diagnostics,
) {
    if let Some((pods, _)) = networks
        && !overlay::sets_node_mask(overlays)
    {
        networks::pods_fit_nodes(pods, nodes, &kubernetes.networking.pod_subnet, to);
    }
}

/// All overlay documents, of the cluster, of pools and of nodes.
fn all_overlays(
    cluster: &[Overlay],
    pools: &[nodes::Checked],
    nodes: &[Option<Node>],
    external_etcd: bool,
    settings: Option<Settings<'_>>,
    to: &mut Diagnostics,
) {
    let Some(settings) = settings else {
        return;
    };
    let version = settings.version;
    own_overlays(pools, nodes, version, to);
    let high_threshold = image_gc::high_threshold(settings.keeps_images);
    kubelet_rules(cluster, pools, nodes, high_threshold, to);
    rules::check_proxy(cluster, version, to);
    patches::check(nodes, pools, cluster, to);
    let of_pools = pools.iter().flat_map(|pool| pool.overlays.iter());
    let of_nodes = nodes.iter().flatten().flat_map(|node| node.overlays.iter());
    let all: Vec<_> = cluster.iter().chain(of_pools).chain(of_nodes).collect();
    overlay::check(all.iter().copied(), &settings, to);
    if external_etcd {
        overlay::check_no_local_etcd(all.into_iter(), to);
    } else {
        overlay::check_local_etcd(all.into_iter(), to);
    }
}

/// The rules about several fields of kubelet's configuration, as each node has them.
fn kubelet_rules(
    cluster: &[Overlay],
    pools: &[nodes::Checked],
    nodes: &[Option<Node>],
    high_threshold: u64,
    to: &mut Diagnostics,
) {
    let mut reported = Vec::new();
    for node in nodes.iter().flatten() {
        let pool = node.pool.and_then(|pool| pools.get(pool));
        let of_pool = pool.into_iter().flat_map(|pool| pool.overlays.iter());
        let overlays = cluster.iter().chain(of_pool).chain(node.overlays.iter());
        let of_kubelet: Vec<_> = overlays.filter(|overlay| overlay.is_of_kubelet()).collect();
        rules::check_kubelet(&of_kubelet, high_threshold, &mut reported, to);
    }
}

/// The overlay documents of pools and nodes. Which nodes read a document is only certain after all nodes
/// were read.
fn own_overlays(
    pools: &[nodes::Checked],
    nodes: &[Option<Node>],
    version: Version,
    to: &mut Diagnostics,
) {
    let Some(nodes) = nodes.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else {
        return;
    };
    let mut control_planes = nodes.iter();
    let init = control_planes.find(|node| node.role == NodeRole::ControlPlane);
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

/// The checks of values that do not depend on other values.
fn plain_texts(spec: &keys::Spec, to: &mut Diagnostics) {
    let kubernetes = &spec.kubernetes;
    if let Some(repository) = &kubernetes.image_repository {
        checks::image_repository(repository, to);
    }
    if let Some(image) = &spec.runtime.sandbox_image {
        checks::image_or_digest(image, to);
    }
    checks::dns_name(&kubernetes.networking.dns_domain, "the DNS domain", to);
    for san in &kubernetes.api_server.cert_sans {
        checks::host(san, to);
    }
    for port in &spec.network.ports {
        checks::port(port, to);
    }
    for image in &spec.extra_images {
        checks::image_or_digest(image, to);
    }
}

fn pki(
    pki: authorities::Pki,
    version: Option<Version>,
    external_etcd: bool,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> (Option<Pki>, OwnKeys) {
    let algorithm = pki.algorithm;
    let validity = checks::duration(&pki.validity, to);
    let made = validity.map(|validity| Pki {
        algorithm,
        validity,
    });
    (
        made,
        authorities::own_keys(pki, version, external_etcd, files, to),
    )
}

fn budgets(budgets: &Budgets, to: &mut Diagnostics) -> Option<BTreeMap<Stage, u64>> {
    let written = budgets.by_stage();
    // All are checked before one that is wrong makes the result `None`.
    let checked: Vec<_> = written
        .map(|(stage, text)| Some((stage, checks::budget(text, to)?)))
        .collect();
    checked.into_iter().collect()
}

fn unique<'a>(texts: impl Iterator<Item = &'a Text>, code: Code, what: &str, to: &mut Diagnostics) {
    let mut seen = HashMap::new();
    for text in texts {
        // fd00::1 and fd00:0::1 are one address.
        let address = text.value.parse::<IpAddr>();
        let key = match address {
            Ok(address) => address.to_string(),
            Err(_) => checks::plain_mac(&text.value),
        };
        if seen.insert(key, text.span).is_some() {
            let message = format!("another node already has the {what} `{}`", text.value);
            to.report(code, text.span, message);
        }
    }
}

/// The checks of all nodes together: different names and addresses, and a control plane.
fn nodes_together(spec: &keys::Spec, span: Span, to: &mut Diagnostics) {
    let nodes = || spec.nodes.iter().map(|node| &node.own);
    let names = nodes().filter_map(|node| node.name.as_ref());
    unique(names, Code::DuplicateName, "name", to);
    let parts = |text: &Text| -> Vec<Text> {
        let parts = text.value.split(',');
        parts
            .map(|part| Spanned::new(part.to_owned(), text.span))
            .collect()
    };
    let addresses = nodes().filter_map(|node| node.address.as_ref());
    let addresses: Vec<_> = addresses.flat_map(parts).collect();
    unique(addresses.iter(), Code::DuplicateAddress, "address", to);
    let macs = nodes().filter_map(|node| node.mac.as_ref());
    unique(macs, Code::DuplicateMac, "MAC address", to);
    if !spec.nodes.iter().any(is_control_plane) {
        let message = "`spec.nodes` does not contain a control plane";
        to.report(Code::NoControlPlane, span, message);
    }
    addressing::interfaces(spec, to);
    open_pools::check(spec, to);
}

fn tokens(tokens: &keys::BootstrapTokens, to: &mut Diagnostics) -> Option<Tokens> {
    let ttl = checks::duration(&tokens.ttl, to);
    Some(Tokens {
        of_each_node: tokens.each == TokenOwner::Node,
        ttl: ttl?,
    })
}

/// The keys of the pools themselves. Checks that their names are different.
fn pool_names(file: &[nodes::Pool], to: &mut Diagnostics) -> Vec<nodes::Named> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for pool in file {
        let ttl = pool.own.bootstrap_tokens.ttl.as_ref();
        let token_ttl = ttl.and_then(|ttl| checks::duration(ttl, to));
        let Some(name) = pool.own.name.clone() else {
            continue;
        };
        let span = name.span;
        let Some(name) = checks::dns_label(name, "the pool name", to) else {
            continue;
        };
        if !seen.insert(name.clone()) {
            let message = format!("duplicate pool name `{name}`");
            to.report(Code::DuplicatePool, span, message);
        }
        names.push(nodes::Named { name, token_ttl });
    }
    names
}

/// The settings of nodes outside of their own entries.
fn level(
    os: host::Os,
    pools: Vec<nodes::Pool>,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> nodes::Level {
    let os = host::os(os, files, to);
    let names = pool_names(&pools, to);
    let open = open_pools::of(&pools);
    let settings = pools.into_iter().map(|pool| pool.shared);
    let pools = settings.map(|settings| nodes::settings(settings, files, to));
    let pools = pools.collect();
    nodes::Level {
        os,
        pools,
        names,
        open,
    }
}

fn report(file: keys::Report, files: &Files<'_>, to: &mut Diagnostics) -> Option<Report> {
    let url = file.url.and_then(|url| checks::url(&url, to));
    let server = url.as_ref().map(HttpUrl::host);
    let certificate_authority = match &file.ca_file {
        Some(name) => Some(files.trusted(name, server, to)?),
        None => None,
    };
    Some(Report {
        url: url?.as_str().to_owned(),
        certificate_authority,
    })
}
