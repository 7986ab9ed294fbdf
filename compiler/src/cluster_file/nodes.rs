use super::defaults::pool_of;
use super::files::Files;
use super::host::HostLevel;
use super::keys;
use super::{checks, host, interfaces, kubelet};
use crate::model::{Node, Overlay, Pool, Taint};
use nkd_document::{Code, Diagnostics, Spanned};

/// Label prefixes of Kubernetes' own that a kubelet may set on its node, and single labels
/// (Kubernetes, "Admission Controllers", `NodeRestriction`; kubelet refuses to start with others).
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

/// What holds for nodes outside of their own entries.
pub struct Level {
    /// `spec.os`
    pub host: HostLevel,
    /// `spec.pools`
    pub pools: Vec<Settings>,
}

/// What a pool or a node says, checked.
pub struct Settings {
    labels: Vec<(String, String)>,
    taints: Option<Vec<Taint>>,
    kubelet_args: Vec<(String, String)>,
    install_disk: Option<String>,
    host: HostLevel,
    /// kubeadm overlay documents.
    pub overlays: Vec<Overlay>,
}

/// What isn't laid into each of the pools' nodes.
pub fn into_pools(names: Vec<String>, settings: Vec<Settings>) -> Vec<Pool> {
    let pools = names.into_iter().zip(settings);
    let pools = pools.map(|(name, pool)| Pool {
        name,
        overlays: pool.overlays,
        own: pool.host.own,
    });
    pools.collect()
}

/// Checks what a pool or a node says.
pub fn settings(file: keys::Settings, files: &Files<'_>, to: &mut Diagnostics) -> Settings {
    let labels = file.labels.0;
    for (key, value) in &labels {
        label(key, value, to);
    }
    let taints = file.taints.map(|all| taints(all, to));
    Settings {
        labels: plain(labels),
        taints,
        kubelet_args: kubelet::args(file.kubelet, to),
        install_disk: file.install_disk.and_then(|it| checks::disk(it, to)),
        host: host::host(file.os, files, to),
        overlays: files.overlays(&file.kubeadm, to),
    }
}

/// Checks every node.
pub fn nodes(
    file: Vec<keys::Node>,
    members: Vec<Option<usize>>,
    level: &Level,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Vec<Option<Node>> {
    let nodes = file.into_iter().zip(members);
    nodes
        .map(|(file, pool)| node(file, pool, level, files, to))
        .collect()
}

/// The pool of each node, by its place in `spec.pools`.
pub fn members(nodes: &[keys::Node], pools: &[keys::Pool]) -> Vec<Option<usize>> {
    nodes.iter().map(|node| pool_of(node, pools)).collect()
}

fn node(
    file: keys::Node,
    pool_index: Option<usize>,
    level: &Level,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Option<Node> {
    let (file, shared) = (file.own, file.shared);
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
    let addresses = own_address.and_then(|it| checks::addresses(it, to));
    let mac = file.mac.and_then(|it| checks::mac(&it, to));
    let interfaces = interfaces::interfaces(file.interfaces, own_address, to);
    let own = settings(shared, files, to);
    let pool = pool_index.and_then(|index| level.pools.get(index));
    let pool_host = pool.map(|pool| pool.host.host.clone()).unwrap_or_default();
    let pools = |of: fn(&Settings) -> &Vec<(String, String)>| pool.map(of).into_iter().flatten();
    Some(Node {
        name: name?,
        role: file.role?.value,
        pool: pool_index,
        address: addresses?.0,
        second_address: addresses?.1,
        mac,
        interfaces,
        labels: over(pools(|it| &it.labels), own.labels),
        taints: own.taints.or_else(|| pool?.taints.clone()),
        kubelet_args: over(pools(|it| &it.kubelet_args), own.kubelet_args),
        install_disk: own.install_disk.or_else(|| pool?.install_disk.clone()),
        host: own.host.host.within(&pool_host.within(&level.host.host)),
        overlays: own.overlays,
        own: own.host.own,
    })
}

/// A pool's pairs with a node's own in their places.
fn over<'a>(
    pool: impl Iterator<Item = &'a (String, String)>,
    own: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let kept = pool.filter(|(key, _)| own.iter().all(|(mine, _)| mine != key));
    kept.cloned()
        .collect::<Vec<_>>()
        .into_iter()
        .chain(own)
        .collect()
}

fn plain(pairs: Vec<(Spanned<String>, Spanned<String>)>) -> Vec<(String, String)> {
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
        to.report(Code::Label, key.span, message);
    }
    if !checks::is_label_value(&value.value) {
        to.report(
            Code::Label,
            value.span,
            format!("`{}` is not a valid label value", value.value),
        );
    }
}

/// A node with the same key and effect twice isn't registered.
fn taints(file: Vec<keys::Taint>, to: &mut Diagnostics) -> Vec<Taint> {
    let mut taints: Vec<Taint> = Vec::new();
    for it in file {
        let span = it.key.as_ref().map(|key| key.span);
        let Some(taint) = taint(it, to) else {
            continue;
        };
        let same = |it: &Taint| it.key == taint.key && it.effect == taint.effect;
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

fn taint(file: keys::Taint, to: &mut Diagnostics) -> Option<Taint> {
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
    Some(Taint {
        key: key?.value,
        value: value.unwrap_or_default(),
        effect: file.effect?.name().to_owned(),
    })
}
