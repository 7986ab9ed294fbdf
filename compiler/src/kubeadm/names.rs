//! Names in kubeadm's documents that are more than text: phases, preflight checks and arguments of
//! kubelet.

use super::unknown;
use crate::releases;
use nkd_document::yaml::{self, Node, Value};
use nkd_document::{Code, Diagnostics};
use nkd_model::version::Version;

/// Phases without which there is no node.
const NEEDED_PHASES: [&str; 11] = [
    "certs",
    "kubeconfig",
    "etcd",
    "control-plane",
    "kubelet-start",
    "upload-config",
    "bootstrap-token",
    "mark-control-plane",
    "control-plane-prepare",
    "etcd-join",
    "control-plane-join",
];

/// Phases in which kubeadm runs the cluster's own etcd, on the init node and on control planes that
/// join.
const ETCD_PHASES: [&str; 2] = ["etcd/local", "control-plane-join/etcd"];

/// Where the components have arguments.
const ARGS: [&[&str]; 5] = [
    &["apiServer"],
    &["controllerManager"],
    &["scheduler"],
    &["etcd", "local"],
    &["nodeRegistration"],
];

/// Reports the names that kubeadm does not have, and arguments without a name or value.
pub(super) fn check(kind: &str, document: &Node, version: Version, to: &mut Diagnostics) {
    check_phases(kind, document, version, to);
    check_component_args(document, to);
    if let Some(registration) = document.get("nodeRegistration") {
        check_preflight_checks(registration, version, to);
    }
}

fn check_phases(kind: &str, document: &Node, version: Version, to: &mut Diagnostics) {
    let phases = if kind == "JoinConfiguration" {
        &releases::names().join_phases
    } else {
        &releases::names().init_phases
    };
    for (phase, text) in texts(document.get("skipPhases")) {
        let first = text.split('/').next().unwrap_or_default();
        if !phases.iter().any(|known| known == first) {
            let message = format!("unknown kubeadm phase `{text}`");
            let help = yaml::suggest(first, phases.iter().map(String::as_str));
            unknown::report(version, Code::OverlayPhase, phase.span, &message, &help, to);
        } else if NEEDED_PHASES.contains(&text) {
            let message =
                format!("the kubeadm phase `{text}` cannot be skipped: the node would not work");
            let help = "skip a sub-phase instead; of the whole phases, only addon, preflight and upload-certs can be skipped";
            to.report_with_help(Code::OverlayPhase, phase.span, message, help);
        }
    }
}

fn check_component_args(document: &Node, to: &mut Diagnostics) {
    for path in ARGS {
        let component = path.iter().try_fold(document, |node, key| node.get(key));
        let args = component.and_then(|component| {
            component
                .get("extraArgs")
                .or_else(|| component.get("kubeletExtraArgs"))
        });
        if let Some(args) = args {
            whole_args(args, to);
        }
    }
}

fn check_preflight_checks(registration: &Node, version: Version, to: &mut Diagnostics) {
    let names = releases::names();
    let (checks, prefixes) = (&names.preflight_checks, &names.preflight_check_prefixes);
    for (check, text) in texts(registration.get("ignorePreflightErrors")) {
        let lower = text.to_lowercase();
        let is_known = checks.iter().any(|name| name.to_lowercase() == lower)
            || prefixes
                .iter()
                .any(|prefix| lower.starts_with(&prefix.to_lowercase()));
        if !is_known {
            let message = format!("unknown kubeadm preflight check `{text}`");
            let help = yaml::suggest(text, checks.iter().chain(prefixes).map(String::as_str));
            let code = Code::OverlayPreflight;
            unknown::report(version, code, check.span, &message, &help, to);
        }
    }
}

/// Reports skipped phases without which kubeadm runs no etcd; for clusters without an external etcd.
pub(super) fn check_etcd_phases(document: &Node, to: &mut Diagnostics) {
    for (phase, text) in texts(document.get("skipPhases")) {
        if ETCD_PHASES.contains(&text) {
            let message = format!(
                "the kubeadm phase `{text}` cannot be skipped: the cluster would have no etcd"
            );
            let help = "remove it; to use an existing etcd, set `spec.kubernetes.etcd.external`";
            to.report_with_help(Code::OverlayPhase, phase.span, message, help);
        }
    }
}

fn texts(list: Option<&Node>) -> impl Iterator<Item = (&Node, &str)> {
    let items = match list.map(|node| &node.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let texts = items.iter();
    texts.filter_map(|item| Some((item, item.as_text()?)))
}

/// Reports arguments in a list that have no name or no value. In a mapping, each has both.
fn whole_args(args: &Node, to: &mut Diagnostics) {
    let Value::List(items) = &args.value else {
        return;
    };
    for item in items {
        let given = |key| item.get(key).and_then(Node::as_text);
        if given("name").is_none_or(str::is_empty) || given("value").is_none() {
            let message = "an argument must have a `name` and a `value` (which may be empty)";
            to.report(Code::OverlayType, item.span, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ETCD_PHASES, NEEDED_PHASES};
    use crate::releases;

    #[test]
    fn every_phase_that_must_run_exists() {
        let names = releases::names();
        let phases: Vec<_> = names.init_phases.iter().chain(&names.join_phases).collect();
        for phase in NEEDED_PHASES.iter().chain(&ETCD_PHASES) {
            let first = phase.split('/').next().unwrap();
            assert!(phases.iter().any(|known| *known == first), "{phase}");
        }
    }
}
