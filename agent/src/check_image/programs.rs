//! Programs on the search path.

use nkd_contract::{Cause, Role, Runtime};

use super::image::Image;
use super::report::{Report, Severity};
use crate::requirements::{ADDONS_PROGRAM, AGENT_PROGRAMS, Component, preflight};

pub(super) fn check(image: &Image, report: &mut Report) {
    for name in AGENT_PROGRAMS {
        if image.tree.program(name).is_none() {
            let help = format!("install {name} into /usr/bin");
            let message = format!("the image has no program {name}");
            report.error(Cause::HostProgram, message, help);
        }
    }
    kubectl(image, report);
    preflight_programs(image, report);
    lost(image, report);
}

/// The agent runs kubectl on the init node only, and only if there are manifests to apply.
fn kubectl(image: &Image, report: &mut Report) {
    if image.tree.program(ADDONS_PROGRAM).is_some() {
        return;
    }
    let severity = match &image.plan {
        Some(plan) if plan.role != Role::Init => return,
        Some(plan) if !plan.addons.is_empty() => Severity::Error,
        _ => Severity::Warning,
    };
    report.add(
        severity,
        Some(Cause::HostProgram),
        "the image has no program kubectl, with which the init node applies add-ons",
        "install kubectl into /usr/bin, unless the image is for other nodes only",
    );
}

/// What the preflight checks of kubeadm look for.
fn preflight_programs(image: &Image, report: &mut Report) {
    let Some(minor) = image.minor() else {
        report.not_checked(
            "the programs that kubeadm requires, because its version is unknown",
            "give the version of Kubernetes with --kubernetes",
        );
        return;
    };
    let has_dockershim = |runtime| runtime == Runtime::Docker;
    let is_dockershim = image
        .plan
        .as_ref()
        .is_some_and(|plan| has_dockershim(plan.runtime));
    for program in preflight(minor) {
        let name = program.name;
        if image.tree.program(name).is_some() || name == "crictl" && is_dockershim {
            continue;
        }
        let help = format!("install the package with {name}");
        if program.required {
            let message =
                format!("the image has no program {name}, which kubeadm 1.{minor} requires");
            report.error(Cause::KubeadmPreflight, message, help);
        } else {
            let message =
                format!("the image has no program {name}; kubeadm 1.{minor} prints a warning");
            report.warning(Cause::KubeadmPreflight, message, help);
        }
    }
}

/// `/usr/local` and `/opt` of `OSTree`'s images are links into /var, and what is in /var of the image is not
/// there after an update.
fn lost(image: &Image, report: &mut Report) {
    if !image.tree.is_ostree() {
        return;
    }
    for component in Component::ALL {
        let Some(path) = image.tree.program(component.name()) else {
            continue;
        };
        let place = image.tree.resolve(&path);
        if place.starts_with("/var/") {
            let message = format!("{path} is {place}, but OSTree does not update /var");
            let help = format!("install {} into /usr/bin", component.name());
            report.error(Cause::HostProgram, message, help);
        }
    }
}
