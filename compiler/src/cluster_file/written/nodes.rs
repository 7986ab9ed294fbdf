//! `spec.nodes` and `spec.pools`

use super::{Os, Text, Texts};
use nkd_document::yaml::Fields;
use nkd_document::{Diagnostics, Spanned};

type Number = Option<Spanned<u64>>;
/// A mapping of the user's own keys to text.
pub type Pairs = Option<Vec<(Spanned<String>, Spanned<String>)>>;

/// An item of `spec.nodes`
pub struct Node {
    /// `name`
    pub name: Text,
    /// `pool`
    pub pool: Text,
    /// `address`
    pub address: Text,
    /// `mac`
    pub mac: Text,
    /// `interfaces`
    pub interfaces: Option<Vec<Interface>>,
    /// What its pool may say too.
    pub settings: Settings,
}

/// An item of `spec.pools`
pub struct Pool {
    /// `name`
    pub name: Text,
    /// What holds for all of its nodes that don't say otherwise.
    pub settings: Settings,
}

/// What a pool says for its nodes, and a node for itself.
#[derive(Default)]
pub struct Settings {
    /// `role`
    pub role: Text,
    /// `labels`
    pub labels: Pairs,
    /// `taints`: absent and empty differ.
    pub taints: Option<Vec<Taint>>,
    /// `kubelet`
    pub kubelet: Kubelet,
    /// `kubeadm`
    pub overlays: Texts,
    /// `installDisk`
    pub install_disk: Text,
    /// `os`
    pub os: Os,
}

/// `kubelet` of a pool or node
#[derive(Default)]
pub struct Kubelet {
    /// `maxPods`
    pub max_pods: Number,
    /// `systemReserved`
    pub system_reserved: Pairs,
    /// `kubeReserved`
    pub kube_reserved: Pairs,
    /// `extraArgs`
    pub extra_args: Pairs,
}

/// An item of `taints`
pub struct Taint {
    /// `key`
    pub key: Text,
    /// `value`
    pub value: Text,
    /// `effect`
    pub effect: Text,
}

/// An item of a node's `interfaces`
pub struct Interface {
    /// `name`
    pub name: Text,
    /// `mac`
    pub mac: Text,
    /// `addresses`; without them DHCP.
    pub addresses: Texts,
    /// `gateways`
    pub gateways: Texts,
    /// `dns`
    pub dns: Texts,
    /// `mtu`
    pub mtu: Number,
}

impl Node {
    pub(super) fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        Self {
            name: fields.text("name", to),
            pool: fields.text("pool", to),
            address: fields.text("address", to),
            mac: fields.text("mac", to),
            interfaces: fields.map_list("interfaces", to, |it, to| Interface {
                name: it.text("name", to),
                mac: it.text("mac", to),
                addresses: it.text_list("addresses", to),
                gateways: it.text_list("gateways", to),
                dns: it.text_list("dns", to),
                mtu: it.number("mtu", to),
            }),
            settings: Settings::read(fields, to),
        }
    }
}

impl Pool {
    pub(super) fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        Self {
            name: fields.text("name", to),
            settings: Settings::read(fields, to),
        }
    }
}

impl Settings {
    fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        Self {
            role: fields.text("role", to),
            labels: fields.texts("labels", to),
            taints: fields.map_list("taints", to, |it, to| Taint {
                key: it.text("key", to),
                value: it.text("value", to),
                effect: it.text("effect", to),
            }),
            kubelet: fields
                .map("kubelet", to, |it, to| Kubelet {
                    max_pods: it.number("maxPods", to),
                    system_reserved: it.texts("systemReserved", to),
                    kube_reserved: it.texts("kubeReserved", to),
                    extra_args: it.texts("extraArgs", to),
                })
                .unwrap_or_default(),
            overlays: fields.text_list("kubeadm", to),
            install_disk: fields.text("installDisk", to),
            os: fields.map("os", to, Os::read).unwrap_or_default(),
        }
    }
}
