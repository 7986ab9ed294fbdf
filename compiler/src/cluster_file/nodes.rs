use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::checks::Text;
use super::files::Files;
use super::host::{Os, OsLevel};
use super::interfaces::Interface;
use super::kubelet::Kubelet;
use super::patterns;
use super::{checks, host, interfaces, kubelet, links};
use nkd_document::yaml::{Both, Pairs};
use nkd_document::{Code, Diagnostics, Spanned};
use nkd_model::{self as model, NodeRole, Overlay};

/// An item of `spec.pools`
pub type Pool = Both<PoolKeys, Settings>;

/// An item of `spec.pools`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Pool")]
pub struct PoolKeys {
    /// The pool's name.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::DNS_LABEL))]
    pub name: Option<Text>,
    /// The role of its nodes in the cluster. A node's own role takes precedence.
    pub role: Option<Spanned<NodeRole>>,
    /// With `true`, nkd also writes one file, `nodes/POOL.ign`, for any number of workers that are not in
    /// `spec.nodes`, such as the machines of an autoscaling group. Each machine gets its addresses and its
    /// hostname, which becomes the name of its node, from its platform. See [pools.md](pools.md).
    pub open: Option<Spanned<bool>>,
    /// The token with which the nodes of this pool join.
    #[serde(default)]
    pub bootstrap_tokens: PoolTokens,
}

/// `bootstrapTokens` of an item of `spec.pools`
#[derive(Default, Deserialize, JsonSchema)]
#[schemars(rename = "PoolBootstrapTokens")]
pub struct PoolTokens {
    /// How long the token that the nodes of this pool share is valid after the cluster's first boot, such as
    /// 365d; at least 1d. By default `spec.kubernetes.bootstrapTokens.ttl`. Tokens of single nodes
    /// (`spec.kubernetes.bootstrapTokens.each`) do not have this time.
    pub ttl: Option<Text>,
}

impl PoolKeys {
    /// Whether the pool is open.
    pub fn is_open(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.value)
    }
}

/// An item of `spec.nodes`. The nodes that one item stands for share its settings.
pub type Node = Both<NodeKeys, Arc<Settings>>;

/// An item of `spec.nodes`
#[derive(Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Node", extend("anyOf" = [{"required": ["role"]}, {"required": ["pool"]}]))]
pub struct NodeKeys {
    /// The node's hostname and its name in Kubernetes, a DNS name. With a range of numbers, such as `w[01-20]`,
    /// the item stands for a node for each number. See [ranges of nodes](#ranges-of-nodes).
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::NODE_NAME))]
    pub name: Option<Text>,
    /// The pool that the node belongs to.
    pub pool: Option<Text>,
    /// The node's role in the cluster. By default that of its pool.
    pub role: Option<Spanned<NodeRole>>,
    /// The node's address. In a dual-stack cluster one of each IP version, separated by a comma. In an item for a
    /// range of nodes, a range such as `10.0.0.[11-30]`.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::ADDRESSES))]
    pub address: Option<Text>,
    /// The MAC address of the interface from which the machine boots by PXE.
    #[schemars(regex(pattern = patterns::MAC))]
    pub mac: Option<Text>,
    /// The node's network interfaces, if DHCP does not configure them.
    #[serde(default)]
    pub interfaces: Vec<Interface>,
}

/// Settings of a pool's nodes, or of one node
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Labels that the nodes set on themselves. kubelet may not set `node-role.kubernetes.io/worker` and most
    /// other labels of kubernetes.io; an administrator sets these with `kubectl label` when the nodes have
    /// joined.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"pattern": patterns::QUALIFIED_NAME},
        "additionalProperties" = {"type": "string", "pattern": patterns::LABEL_VALUE},
    ))]
    pub labels: Pairs,
    /// Taints that the nodes set on themselves. Without this key, control planes have kubeadm's default
    /// taint. With an empty list, nodes have no taints.
    pub taints: Option<Vec<Taint>>,
    /// Settings of kubelet.
    #[serde(default)]
    pub kubelet: Kubelet,
    /// Files of kubeadm configuration for these nodes, merged field by field into that of the cluster. The
    /// init node reads an `InitConfiguration`, joining nodes read a `JoinConfiguration`. From Kubernetes
    /// 1.25 on, a `KubeletConfiguration` changes kubelet on these nodes only; with earlier versions, use
    /// `kubelet.extraArgs`. A `ClusterConfiguration` or `KubeProxyConfiguration` is an error here, because
    /// kubeadm has only one of each for all nodes.
    #[serde(default)]
    pub kubeadm: Vec<Text>,
    /// The disk to which an installer writes the OS, such as /dev/sda.
    #[schemars(regex(pattern = patterns::DISK))]
    pub install_disk: Option<Text>,
    /// Settings of the operating system, in addition to those of all nodes.
    #[serde(default)]
    pub os: Os,
}

/// An item of `taints`
#[derive(Clone, Deserialize, JsonSchema)]
pub struct Taint {
    /// The taint's key.
    #[schemars(required)]
    #[schemars(regex(pattern = patterns::QUALIFIED_NAME))]
    pub key: Option<Text>,
    /// The taint's value. By default none.
    #[schemars(regex(pattern = patterns::LABEL_VALUE))]
    pub value: Option<Text>,
    /// The taint's effect.
    #[schemars(required)]
    pub effect: Option<Effect>,
}

/// Effects of taints
#[derive(Clone, Copy, Deserialize, JsonSchema)]
pub enum Effect {
    /// No pod that does not tolerate the taint is scheduled.
    NoSchedule,
    /// Pods that do not tolerate the taint are scheduled if no other node has room.
    PreferNoSchedule,
    /// No pod that does not tolerate the taint is scheduled, and running pods that do not tolerate it are
    /// evicted.
    NoExecute,
}

impl Effect {
    /// The effect's name in Kubernetes and in the cluster file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// The prefixes of Kubernetes' own labels that kubelet may set on its node, and single labels
/// (Kubernetes, "Admission Controllers", `NodeRestriction`). kubelet does not start with other ones.
const OWN_LABEL_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
const OWN_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "node.kubernetes.io/instance-type",
];

/// The settings of nodes that are not in the entries of the nodes themselves.
pub struct Level {
    /// `spec.os`
    pub os: OsLevel,
    /// `spec.pools`
    pub pools: Vec<Checked>,
    /// The pools' own keys.
    pub names: Vec<Named>,
    /// The open pools: the name of each, and its index.
    pub open: Vec<(String, usize)>,
}

/// The checked settings of a pool or a node.
pub struct Checked {
    labels: Vec<(String, String)>,
    taints: Option<Vec<model::Taint>>,
    kubelet_args: Vec<(String, Spanned<String>)>,
    install_disk: Option<String>,
    os: OsLevel,
    /// kubeadm overlay documents.
    pub overlays: Arc<[Overlay]>,
}

impl Checked {
    /// The open pool with these settings.
    pub fn open_pool(&self, name: String, index: usize, os: &OsLevel) -> model::Node {
        model::Node {
            name,
            role: NodeRole::Worker,
            pool: Some(index),
            address: None,
            second_address: None,
            mac: None,
            interfaces: Vec::new(),
            labels: self.labels.clone(),
            taints: self.taints.clone(),
            kubelet_args: self.kubelet_args.clone(),
            install_disk: self.install_disk.clone(),
            os: self.os.settings.clone().within(&os.settings),
            overlays: Arc::default(),
            own: Arc::default(),
        }
    }
}

/// What is left of a pool's own keys.
pub struct Named {
    /// The pool's name.
    pub name: String,
    /// `bootstrapTokens.ttl`
    pub token_ttl: Option<Duration>,
}

/// The settings of the pools that are not copied into their nodes.
pub fn into_pools(names: Vec<Named>, settings: Vec<Checked>) -> Vec<model::Pool> {
    let pools = names.into_iter().zip(settings);
    pools
        .map(|(named, checked)| model::Pool {
            name: named.name,
            token_ttl: named.token_ttl,
            overlays: checked.overlays,
            own: checked.os.own,
        })
        .collect()
}

/// Checks the settings of a pool or a node.
pub fn settings(file: Settings, files: &Files<'_>, to: &mut Diagnostics) -> Checked {
    let labels = file.labels.0;
    for (key, value) in &labels {
        label(key, value, to);
    }
    let taints = file.taints.map(|all| taints(all, to));
    Checked {
        labels: without_spans(labels),
        taints,
        kubelet_args: kubelet::args(file.kubelet, to),
        install_disk: file.install_disk.and_then(|disk| checks::disk(disk, to)),
        os: host::os(file.os, files, to),
        overlays: files.overlays(&file.kubeadm, to).into(),
    }
}

/// Checks every node. The open pools follow the nodes.
pub fn nodes(
    file: Vec<Node>,
    members: Vec<Option<usize>>,
    level: &Level,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Vec<Option<model::Node>> {
    let mut checked = Vec::with_capacity(file.len());
    let mut last: Option<(Arc<Settings>, Checked)> = None;
    for (Node { own, shared }, pool) in file.into_iter().zip(members) {
        // The nodes that one item stands for follow each other.
        let (_, common) = match last.take() {
            Some(same) if Arc::ptr_eq(&same.0, &shared) => last.insert(same),
            _ => {
                let common = settings(Settings::clone(&shared), files, to);
                last.insert((shared, common))
            }
        };
        checked.push(node(own, common, pool, level, to));
    }
    let open = level.open.iter().map(|(name, index)| {
        let pool = level.pools.get(*index)?;
        Some(pool.open_pool(name.clone(), *index, &level.os))
    });
    checked.into_iter().chain(open).collect()
}

/// Whether a node is a control plane, as far as its keys are valid.
pub fn is_control_plane(node: &Node) -> bool {
    let role = node.own.role.as_ref();
    role.is_some_and(|role| role.value == NodeRole::ControlPlane)
}

/// The pool of a node, as an index into `spec.pools`.
pub fn pool_of(node: &Node, pools: &[Pool]) -> Option<usize> {
    let name = node.own.pool.as_ref()?;
    let is_named = |pool: &Pool| {
        pool.own
            .name
            .as_ref()
            .is_some_and(|own| own.value == name.value)
    };
    pools.iter().position(is_named)
}

/// The pool of each node, as an index into `spec.pools`.
pub fn members(nodes: &[Node], pools: &[Pool]) -> Vec<Option<usize>> {
    nodes.iter().map(|node| pool_of(node, pools)).collect()
}

fn node(
    file: NodeKeys,
    own: &Checked,
    pool_index: Option<usize>,
    level: &Level,
    to: &mut Diagnostics,
) -> Option<model::Node> {
    let name = file.name.and_then(|name| {
        // The name is also the value of the label kubernetes.io/hostname.
        let short = checks::is_label_value(&name.value) && name.value != "localhost";
        if !short {
            let message = format!("the node name `{}` is not a valid host name", name.value);
            to.report(Code::Name, name.span, message);
        }
        (short && checks::dns_name(&name, "the node name", to)).then_some(name.value)
    });
    let own_address = file.address.as_ref();
    let addresses = own_address.and_then(|text| checks::addresses(text, to));
    let mac = file.mac.and_then(|text| checks::mac(&text, to));
    let (links, members) = links::links(&file.interfaces, to);
    let mut interfaces = interfaces::interfaces(file.interfaces, links, own_address, to);
    interfaces.extend(members);
    let pool = pool_index.and_then(|index| level.pools.get(index));
    let pool_os = pool
        .map(|pool| pool.os.settings.clone())
        .unwrap_or_default();
    Some(model::Node {
        name: name?,
        role: file.role?.value,
        pool: pool_index,
        address: Some(addresses?.0),
        second_address: addresses?.1,
        mac,
        interfaces,
        labels: over(pool.map(|pool| &pool.labels), &own.labels),
        taints: own.taints.clone().or_else(|| pool?.taints.clone()),
        kubelet_args: over(pool.map(|pool| &pool.kubelet_args), &own.kubelet_args),
        install_disk: own
            .install_disk
            .clone()
            .or_else(|| pool?.install_disk.clone()),
        os: own
            .os
            .settings
            .clone()
            .within(&pool_os.within(&level.os.settings)),
        overlays: own.overlays.clone(),
        own: own.os.own.clone(),
    })
}

/// The pairs of a pool, in which a node's own pairs replace those with the same key.
fn over<T: Clone>(pool: Option<&Vec<(String, T)>>, own: &[(String, T)]) -> Vec<(String, T)> {
    let of_pool = pool.into_iter().flatten();
    let kept = of_pool.filter(|(key, _)| own.iter().all(|(mine, _)| mine != key));
    kept.chain(own).cloned().collect()
}

fn without_spans(pairs: Vec<(Spanned<String>, Spanned<String>)>) -> Vec<(String, String)> {
    let pairs = pairs.into_iter();
    pairs.map(|(key, value)| (key.value, value.value)).collect()
}

fn label(key: &Spanned<String>, value: &Spanned<String>, to: &mut Diagnostics) {
    let prefix = key.value.split_once('/').map(|(prefix, _)| prefix);
    let is_kubernetes = prefix.is_some_and(|prefix| {
        let under = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
        under("kubernetes.io") || under("k8s.io")
    });
    let is_allowed = prefix.is_some_and(|prefix| {
        let under = |own: &str| prefix == own || prefix.ends_with(&format!(".{own}"));
        OWN_LABEL_PREFIXES.iter().any(|own| under(own))
    }) || OWN_LABELS.contains(&key.value.as_str());
    if !checks::is_qualified_name(&key.value) {
        to.report(
            Code::Label,
            key.span,
            format!("`{}` is not a valid label name", key.value),
        );
    } else if is_kubernetes && !is_allowed {
        let message = format!(
            "kubelet may not set the label `{}` on its own node",
            key.value
        );
        to.report_with_help(
            Code::Label,
            key.span,
            message,
            instead(&key.value, &value.value),
        );
    }
    if !checks::is_label_value(&value.value) {
        to.report(
            Code::Label,
            value.span,
            format!("`{}` is not a valid label value", value.value),
        );
    }
}

/// What to do instead of a label that kubelet may not set.
fn instead(key: &str, value: &str) -> String {
    match key {
        "node-role.kubernetes.io/control-plane" | "node-role.kubernetes.io/master" => {
            "remove it: kubeadm sets the labels of control planes".to_owned()
        }
        _ => format!(
            "remove it; when the node has joined, run `kubectl --kubeconfig OUT/kubeconfig label node NODE {key}={value}`"
        ),
    }
}

/// Reports duplicate taints. Kubernetes does not register a node that has two taints with the same key
/// and effect.
fn taints(file: Vec<Taint>, to: &mut Diagnostics) -> Vec<model::Taint> {
    let mut taints: Vec<model::Taint> = Vec::new();
    for written in file {
        let span = written.key.as_ref().map(|key| key.span);
        let Some(taint) = taint(written, to) else {
            continue;
        };
        let same = |other: &model::Taint| other.key == taint.key && other.effect == taint.effect;
        if let Some(span) = span
            && taints.iter().any(same)
        {
            let message = format!(
                "duplicate taint `{}` with the effect {}",
                taint.key, taint.effect
            );
            to.report(Code::Label, span, message);
        }
        taints.push(taint);
    }
    taints
}

fn taint(file: Taint, to: &mut Diagnostics) -> Option<model::Taint> {
    let key = file.key.filter(|key| {
        let good = checks::is_qualified_name(&key.value);
        if !good {
            to.report(
                Code::Label,
                key.span,
                format!("`{}` is not a valid taint key", key.value),
            );
        }
        good
    });
    let value = file.value.map(|value| {
        if !checks::is_label_value(&value.value) {
            to.report(
                Code::Label,
                value.span,
                format!("`{}` is not a valid taint value", value.value),
            );
        }
        value.value
    });
    Some(model::Taint {
        key: key?.value,
        value: value.unwrap_or_default(),
        effect: file.effect?.name().to_owned(),
    })
}
