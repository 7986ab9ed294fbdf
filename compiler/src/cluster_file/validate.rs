//! From the resolved file to the [domain](super::domain). Every check runs, so that one run shows
//! everything that is wrong.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use nkd_contract::Runtime;

use super::domain::{Algorithm, Cluster, Pki, Report};
use super::files::Files;
use super::resolved;
use super::written;
use super::{checks, endpoint, nodes};
use crate::diagnostics::{Code, Diagnostics, Span, Spanned};
use crate::kubeadm::overlay;
use crate::version::Version;

type Text = Spanned<String>;

/// Checks everything; a cluster comes out when nothing is wrong.
pub fn validate(
    file: resolved::Cluster,
    directory: &Path,
    to: &mut Diagnostics,
) -> Option<Cluster> {
    let files = Files { directory };
    let (pod_subnet, service_subnet) = networks(&file, to);
    let (endpoint, kube_vip) = endpoint::endpoint(&file, to);
    let name = file
        .name
        .and_then(|it| checks::dns_label(it, "the cluster's name", to));
    let version = file.version.and_then(|it| version(&it, to));
    checks::image_repository(&file.image_repository, to);
    checks::image(&file.sandbox_image, to);
    checks::dns_name(&file.dns_domain, "the DNS domain", to);
    for san in &file.cert_sans {
        checks::host(san, to);
    }
    nodes_together(&file.nodes, file.span, to);
    let nodes = file.nodes.into_iter().map(|it| nodes::node(it, &files, to));
    let nodes: Vec<_> = nodes.collect();
    let runtime = checks::choice(&file.runtime, [Runtime::Containerd], Runtime::name, to);
    let airgap_images = file.airgap_images.and_then(|it| checks::node_path(it, to));
    let report = file.report.map(|it| report(it, &files, to));
    let algorithm = checks::choice(&file.pki_algorithm, Algorithm::ALL, Algorithm::name, to);
    let validity = checks::duration(&file.pki_validity, to);
    let overlays = files.overlays(&file.overlays, to);
    if let Some(version) = version {
        overlay::check(&overlays, version, to);
    }
    if let Some(pods) = pod_subnet
        && !overlay::sets_node_mask(&overlays)
    {
        pods_fit_nodes(pods, nodes.len(), &file.pod_subnet, to);
    }
    let manifests = files.manifests(&file.manifests, to);
    let ignition = files.ignition(&file.ignition, to);
    if !to.is_empty() {
        return None;
    }
    Some(Cluster {
        name: name?,
        version: version?,
        endpoint: endpoint?,
        image_repository: file.image_repository.value,
        pod_subnet: pod_subnet?,
        service_subnet: service_subnet?,
        dns_domain: file.dns_domain.value,
        cert_sans: file.cert_sans.into_iter().map(|it| it.value).collect(),
        kube_vip,
        overlays,
        runtime: runtime?,
        sandbox_image: file.sandbox_image.value,
        manifests,
        airgap_images,
        report: report.flatten(),
        ignition,
        pki: Pki {
            algorithm: algorithm?,
            validity: validity?,
        },
        nodes: nodes.into_iter().collect::<Option<_>>()?,
    })
}

/// The networks of pods and services: they overlap neither each other nor the nodes.
fn networks(file: &resolved::Cluster, to: &mut Diagnostics) -> (Option<IpNet>, Option<IpNet>) {
    let pods = checks::cidr(&file.pod_subnet, to);
    let services = checks::cidr(&file.service_subnet, to);
    let overlap = |(a, b): (IpNet, IpNet)| a.contains(&b.network()) || b.contains(&a.network());
    if pods.zip(services).is_some_and(overlap) {
        let message = "the pods' and the services' networks overlap";
        to.report(Code::CidrOverlap, file.service_subnet.span, message);
    }
    for network in [pods, services].into_iter().flatten() {
        addresses_outside(&file.nodes, network, to);
    }
    if let Some(services) = services {
        // kubeadm wants ten addresses at least; the API server keeps 20 bits of them at most.
        if !(4..=20).contains(&(services.max_prefix_len() - services.prefix_len())) {
            let message = format!("the services' network {services} is too large or too small");
            to.report(Code::ServiceSize, file.service_subnet.span, message);
        }
        same_family(&file.nodes, services, to);
        if pods.is_some_and(|pods| pods.addr().is_ipv4() != services.addr().is_ipv4()) {
            let message = "the pods' and the services' networks are of different IP versions";
            to.report(Code::Family, file.pod_subnet.span, message);
        }
    }
    (pods, services)
}

fn version(text: &Text, to: &mut Diagnostics) -> Option<Version> {
    Version::parse(&text.value)
        .map_err(|message| to.report(Code::Version, text.span, message))
        .ok()
}

/// As kubeadm divides the pods' network: a /24 or /64 for each node, 16 bits of nodes at most.
fn pods_fit_nodes(pods: IpNet, nodes: usize, text: &Text, to: &mut Diagnostics) {
    let mask: u8 = if pods.addr().is_ipv4() { 24 } else { 64 };
    let bits = mask
        .checked_sub(pods.prefix_len())
        .filter(|bits| *bits <= 16);
    if bits.is_none_or(|bits| nodes > 1 << bits) {
        let message = format!("the pods' network {pods} can't be divided among {nodes} nodes");
        to.report(Code::PodSize, text.span, message);
    }
}

fn same_family(nodes: &[resolved::Node], services: IpNet, to: &mut Diagnostics) {
    for address in nodes.iter().filter_map(|node| node.address.as_ref()) {
        let parsed = address.value.parse::<IpAddr>();
        if parsed.is_ok_and(|it| it.is_ipv4() != services.addr().is_ipv4()) {
            let message = format!("the services' network {services} is of another IP version");
            to.report(Code::Family, address.span, message);
        }
    }
}

fn addresses_outside(nodes: &[resolved::Node], network: IpNet, to: &mut Diagnostics) {
    for address in nodes.iter().filter_map(|node| node.address.as_ref()) {
        let parsed = address.value.parse::<IpAddr>();
        if parsed.is_ok_and(|it| network.contains(&it)) {
            let message = format!("the node's address is inside the network {network}");
            to.report(Code::CidrOverlap, address.span, message);
        }
    }
}

fn unique<'a>(texts: impl Iterator<Item = &'a Text>, code: Code, what: &str, to: &mut Diagnostics) {
    let mut seen = HashMap::new();
    for text in texts {
        // fd00::1 and fd00:0::1 are one address.
        let key = text
            .value
            .parse::<IpAddr>()
            .map_or_else(|_| text.value.clone(), |it| it.to_string());
        if seen.insert(key, text.span).is_some() {
            let message = format!("an earlier node has the {what} `{}` already", text.value);
            to.report(code, text.span, message);
        }
    }
}

/// What must hold for the nodes together: names and addresses of their own, a control plane.
fn nodes_together(nodes: &[resolved::Node], file: Span, to: &mut Diagnostics) {
    let names = nodes.iter().filter_map(|node| node.name.as_ref());
    unique(names, Code::DuplicateName, "name", to);
    let addresses = nodes.iter().filter_map(|node| node.address.as_ref());
    unique(addresses, Code::DuplicateAddress, "address", to);
    if !nodes.iter().any(resolved::Node::is_control_plane) {
        to.report(
            Code::NoControlPlane,
            file,
            "`spec.nodes` has no control plane",
        );
    }
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
