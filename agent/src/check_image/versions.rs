//! The versions of kubeadm, kubelet and kubectl.

use nkd_contract::Cause;

use super::image::Image;
use super::report::Report;
use crate::requirements::{Component, Skew, Version};

pub(super) fn check(image: &Image, report: &mut Report) {
    let mut reasons: Vec<String> = Vec::new();
    for component in Component::ALL {
        let name = component.name();
        let reason = match image.version(component) {
            Ok(Some(_)) => continue,
            Ok(None) if image.tree.program(name).is_none() => continue,
            Ok(None) => format!("{name} does not print a version of Kubernetes"),
            Err(reason) => reason.clone(),
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if !reasons.is_empty() {
        report.not_checked(
            format!(
                "the versions of Kubernetes' programs: {}",
                reasons.join("; ")
            ),
            "run this command in the image itself, or as root on a machine of its architecture",
        );
    }
    let version = |component| image.version(component).as_ref().ok().copied().flatten();
    let kubeadm = version(Component::Kubeadm);
    let kubelet = version(Component::Kubelet);
    if let (Some(kubeadm), Some(kubelet)) = (kubeadm, kubelet) {
        equal(kubeadm, kubelet, report);
    }
    if let Some(wanted) = image.wanted {
        for component in [Component::Kubeadm, Component::Kubelet] {
            if let Some(version) = version(component) {
                planned(component, version, wanted, report);
            }
        }
    }
    let server = image.wanted.or(kubeadm);
    if let (Some(server), Some(kubectl)) = (server, version(Component::Kubectl)) {
        client(server, kubectl, report);
    }
}

fn equal(kubeadm: Version, kubelet: Version, report: &mut Report) {
    if kubeadm == kubelet {
        return;
    }
    report.error(
        Cause::HostVersion,
        format!("kubeadm is of version {kubeadm}, but kubelet is of version {kubelet}"),
        "install both from the same release of Kubernetes",
    );
}

fn planned(component: Component, version: Version, wanted: Version, report: &mut Report) {
    let name = component.name();
    let message = format!("{name} is of version {version}, but the cluster is of version {wanted}");
    let help = format!("install {name} {wanted}, or change the version in the cluster file");
    match Skew::between(version, wanted) {
        Skew::None => {}
        Skew::Patch => report.warning(Cause::HostVersion, message, help),
        Skew::Minor => report.error(Cause::HostVersion, message, help),
    }
}

/// kubectl works with API servers of the next and of the previous minor version ("Version Skew Policy").
fn client(server: Version, kubectl: Version, report: &mut Report) {
    if server.minor.abs_diff(kubectl.minor) <= 1 {
        return;
    }
    report.warning(
        Cause::AddonsApply,
        format!("kubectl {kubectl} does not support Kubernetes {server}"),
        "install kubectl from the same release as kubeadm",
    );
}
