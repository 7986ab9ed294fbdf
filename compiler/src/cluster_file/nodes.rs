use super::checks;
use super::domain::{Node, Role, Taint};
use super::files::Files;
use super::resolved;
use super::written;
use crate::diagnostics::{Code, Diagnostics, Spanned};

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

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Checks one node.
pub fn node(file: resolved::Node, files: &Files<'_>, to: &mut Diagnostics) -> Option<Node> {
    let name = file.name.and_then(|name| {
        // The name is also the value of the label kubernetes.io/hostname.
        let short = checks::is_label_value(&name.value);
        if !short {
            to.report(
                Code::Name,
                name.span,
                format!("the name `{}` is not a hostname", name.value),
            );
        }
        (short && checks::dns_name(&name, "the node's name", to)).then_some(name.value)
    });
    let role = file
        .role
        .and_then(|role| checks::choice(&role, [Role::ControlPlane, Role::Worker], Role::name, to));
    let address = file
        .address
        .and_then(|address| checks::address(&address, to));
    for (key, value) in &file.labels {
        label(key, value, to);
    }
    let taints = file.taints.map(|taints| {
        taints
            .into_iter()
            .filter_map(|it| taint(it, to))
            .collect::<Vec<_>>()
    });
    let ignition = files.ignition(&file.ignition, to);
    Some(Node {
        name: name?,
        role: role?,
        address: address?,
        labels: file
            .labels
            .into_iter()
            .map(|(key, value)| (key.value, value.value))
            .collect(),
        taints,
        ignition,
    })
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
            format!("`{}` is not a label's name", key.value),
        );
    } else if is_kubernetes && !is_allowed {
        let message = format!("a node may not set the label `{}` on itself", key.value);
        to.report(Code::Label, key.span, message);
    }
    if !checks::is_label_value(&value.value) {
        to.report(
            Code::Label,
            value.span,
            format!("`{}` is not a label's value", value.value),
        );
    }
}

fn taint(file: written::Taint, to: &mut Diagnostics) -> Option<Taint> {
    let key = file.key.filter(|key| {
        let good = checks::is_qualified_name(&key.value);
        if !good {
            to.report(
                Code::Label,
                key.span,
                format!("`{}` is not a taint's key", key.value),
            );
        }
        good
    });
    let value = file.value.map(|value| {
        if !checks::is_label_value(&value.value) {
            to.report(
                Code::Label,
                value.span,
                format!("`{}` is not a taint's value", value.value),
            );
        }
        value.value
    });
    let effect = checks::choice(&file.effect?, EFFECTS, |it| it, to)?;
    Some(Taint {
        key: key?.value,
        value: value.unwrap_or_default(),
        effect: effect.to_owned(),
    })
}
