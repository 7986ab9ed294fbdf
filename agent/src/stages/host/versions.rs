//! The versions of kubeadm and kubelet, which must be those of the plan.

use nkd_contract::Cause;

use super::super::{Fault, Node};
use crate::requirements::{Component, Skew, Version};
use crate::system::CommandError;

/// A program whose version is not that of the plan.
pub(super) struct Other {
    component: Component,
    version: Version,
    skew: Skew,
}

/// The programs whose version is not that of the plan. A program that does not print a version of Kubernetes
/// is not one of them.
pub(super) fn others(node: &Node<'_>) -> Vec<Other> {
    let Some(planned) = Version::find(&node.plan.kubernetes_version) else {
        return Vec::new();
    };
    let components = [Component::Kubeadm, Component::Kubelet].into_iter();
    let others = components.filter_map(|component| {
        let version = version_of(node, component)?;
        let skew = Skew::between(version, planned);
        Some(Other {
            component,
            version,
            skew,
        })
    });
    others.filter(|other| other.skew != Skew::None).collect()
}

fn version_of(node: &Node<'_>, component: Component) -> Option<Version> {
    match component.version(node.root.command(component.name())) {
        Ok(version) => version,
        // Another check reports a program that does not exist.
        Err(CommandError::Missing { .. }) => None,
        Err(error) => {
            log::warn!("{error}");
            None
        }
    }
}

/// The fault of programs whose minor version is not that of the plan.
pub(super) fn check(node: &Node<'_>, others: &[Other]) -> Option<Fault> {
    fault(node, others, Skew::Minor)
}

/// Announces programs of which only the patch version is not that of the plan.
pub(super) fn announce(node: &mut Node<'_>, others: &[Other]) {
    if let Some(fault) = fault(node, others, Skew::Patch) {
        node.warn(&fault);
    }
}

fn fault(node: &Node<'_>, others: &[Other], skew: Skew) -> Option<Fault> {
    let of_skew = |other: &&Other| other.skew == skew;
    let versions: Vec<_> = others
        .iter()
        .filter(of_skew)
        .map(|other| (other.component.name(), other.version))
        .collect();
    let programs = match versions.as_slice() {
        [] => return None,
        [(one, version), (other, same)] if version == same => {
            format!("{one} and {other} are of version {version}")
        }
        all => {
            let each = |(name, version): &(_, _)| format!("{name} is of version {version}");
            all.iter().map(each).collect::<Vec<_>>().join(" and ")
        }
    };
    let planned = &node.plan.kubernetes_version;
    let message = format!("{programs}, but the plan is for {planned}");
    Some(Fault::new(Cause::HostVersion, message))
}
