//! The endpoint: with several control planes it must outlive any one of them.

use std::net::IpAddr;

use super::checks;
use super::domain::{Endpoint, KubeVip};
use super::resolved::{Cluster, Node};
use crate::diagnostics::{Code, Diagnostics};

/// The image of kube-vip, unless the cluster file names another.
pub const KUBE_VIP_IMAGE: &str = "ghcr.io/kube-vip/kube-vip:v0.8.9";

/// Checks the endpoint and what carries its address.
pub fn endpoint(file: &Cluster, to: &mut Diagnostics) -> (Option<Endpoint>, Option<KubeVip>) {
    let endpoint = file
        .endpoint
        .as_ref()
        .and_then(|it| checks::endpoint(it, to));
    let address = endpoint
        .as_ref()
        .and_then(|it| it.host.parse::<IpAddr>().ok());
    let control_planes = file.nodes.iter().filter(|node| node.is_control_plane());
    if control_planes.count() > 1 {
        outlives_nodes(file, address, to);
    }
    let kube_vip = file.kube_vip.as_ref().and_then(|kube_vip| {
        if let (Some(text), Some(_)) = (&file.endpoint, &endpoint)
            && address.is_none_or(|address| is_a_nodes(&file.nodes, address))
        {
            let message = format!("kube-vip can't carry the endpoint `{}`", text.value);
            to.report(Code::VirtualAddress, text.span, message);
        }
        if let Some(image) = &kube_vip.image {
            checks::image(image, to);
        }
        let interface = checks::interface(kube_vip.interface.as_ref()?, to)?;
        let image = kube_vip.image.as_ref();
        Some(KubeVip {
            interface,
            image: image.map_or_else(|| KUBE_VIP_IMAGE.to_owned(), |it| it.value.clone()),
        })
    });
    (endpoint, kube_vip)
}

fn outlives_nodes(file: &Cluster, address: Option<IpAddr>, to: &mut Diagnostics) {
    let Some(text) = &file.endpoint else {
        let message = "a cluster with several control planes needs `spec.kubernetes.endpoint`";
        return to.report(Code::SharedEndpoint, file.span, message);
    };
    if address.is_some_and(|address| is_a_nodes(&file.nodes, address)) {
        let message = format!(
            "the endpoint `{}` is one node's own, and the control planes are several",
            text.value
        );
        to.report(Code::SharedEndpoint, text.span, message);
    }
}

fn is_a_nodes(nodes: &[Node], address: IpAddr) -> bool {
    let addresses = nodes.iter().filter_map(|node| node.address.as_ref());
    addresses
        .flat_map(checks::parsed_addresses)
        .any(|it| it == address)
}
