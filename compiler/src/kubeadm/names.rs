//! Names in kubeadm's documents that are more than text: phases, preflight checks, arguments and feature gates.

use super::args::{self, Arg};
use super::unknown;
use crate::releases;
use nkd_document::yaml::{self, Node, Value};
use nkd_document::{Code, Diagnostics};
use nkd_model::version::Version;

/// Phases without which there is no node.
const NEEDED_PHASES: [&str; 13] = [
    "certs",
    "kubeconfig",
    "etcd",
    "control-plane",
    "kubelet-start",
    "upload-config",
    // A joining node reads both.
    "upload-config/kubeadm",
    "upload-config/kubelet",
    "bootstrap-token",
    "mark-control-plane",
    "control-plane-prepare",
    "etcd-join",
    "control-plane-join",
];

/// The sub-phase that runs all other sub-phases of a phase when it is called by hand. Without it, `kubeadm init` and
/// `kubeadm join` do the same (kubeadm, `workflow.Phase.RunAllSiblings`).
const ALL: &str = "all";

/// Phases in which kubeadm runs the cluster's own etcd, on the init node and on control planes that
/// join.
const ETCD_PHASES: [&str; 2] = ["etcd/local", "control-plane-join/etcd"];

/// Phases that make files without which there is no node. A hook or a config of the user can make them instead.
const FILE_PHASES: [&str; 14] = [
    "certs/apiserver",
    "certs/apiserver-kubelet-client",
    "certs/front-proxy-client",
    "kubeconfig/admin",
    "kubeconfig/super-admin",
    "kubeconfig/kubelet",
    "kubeconfig/controller-manager",
    "kubeconfig/scheduler",
    "control-plane/apiserver",
    "control-plane/controller-manager",
    "control-plane/scheduler",
    "control-plane-prepare/certs",
    "control-plane-prepare/kubeconfig",
    "control-plane-prepare/control-plane",
];

/// The same for the cluster's own etcd.
const ETCD_FILE_PHASES: [&str; 4] = [
    "certs/etcd-server",
    "certs/etcd-peer",
    "certs/etcd-healthcheck-client",
    "certs/apiserver-etcd-client",
];

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
    if kind == "ClusterConfiguration" {
        check_gates(document, version, to);
    }
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
            let skippable = phases.iter().map(String::as_str);
            let skippable = skippable.filter(|phase| !NEEDED_PHASES.contains(phase));
            let skippable: Vec<_> = skippable.collect();
            let help = format!(
                "remove it; of the whole phases, only {} can be skipped",
                skippable.join(", ")
            );
            to.report_with_help(Code::OverlayPhase, phase.span, message, help);
        } else if FILE_PHASES.contains(&text) {
            warn_of_files(phase, text, to);
        } else if text.split_once('/').is_some_and(|(_, name)| name == ALL) {
            let message = format!(
                "skipping the kubeadm phase `{text}` has no effect: kubeadm still runs the other sub-phases of `{first}`; \
                 name those to skip"
            );
            to.warn(Code::IdlePhase, phase.span, message);
        }
    }
}

fn warn_of_files(phase: &Node, text: &str, to: &mut Diagnostics) {
    let message = format!(
        "without the kubeadm phase `{text}`, the node only works if a hook or your own config makes the files of this \
         phase"
    );
    to.warn(Code::OverlaySkipped, phase.span, message);
}

/// Reports feature gates that kubeadm of this version does not have, because kubeadm refuses them.
fn check_gates(document: &Node, version: Version, to: &mut Diagnostics) {
    let gates = &releases::names().feature_gates;
    let is_in = |gate: &releases::Gate| (gate.since..=gate.until).contains(&version.minor);
    let Some(Value::Map(entries)) = document.get("featureGates").map(|gates| &gates.value) else {
        return;
    };
    for entry in entries {
        let name = entry.key.as_str();
        let message = match gates.get(name) {
            Some(gate) if is_in(gate) => continue,
            Some(gate) if version.minor < gate.since => format!(
                "kubeadm has the feature gate `{name}` only from Kubernetes 1.{} on",
                gate.since
            ),
            Some(gate) => format!(
                "kubeadm has the feature gate `{name}` only up to Kubernetes 1.{}",
                gate.until
            ),
            None => format!("kubeadm has no feature gate `{name}`"),
        };
        let known = gates.iter().filter(|(_, gate)| is_in(gate));
        let known = known.map(|(name, _)| name.as_str());
        let help = match gates.get(name) {
            Some(_) => "remove it".to_owned(),
            None => format!(
                "{} (gates of Kubernetes' components belong into the argument `feature-gates`, those of kubelet into \
                 a KubeletConfiguration)",
                yaml::suggest(name, known)
            ),
        };
        unknown::report(
            version,
            Code::OverlayGate,
            entry.key_span,
            &message,
            &help,
            to,
        );
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
            for arg in args::all(args) {
                check_arg(&arg, to);
            }
        }
    }
}

/// Reports a name with its dashes, and feature gates in a format that no component reads.
fn check_arg(arg: &Arg<'_>, to: &mut Diagnostics) {
    let Arg { name, span, .. } = *arg;
    if name.starts_with('-') || name.contains(['=', ' ']) {
        let message = format!("`{name}` is not the name of an argument");
        let help = "write the name without dashes and without a value, such as `v`";
        to.report_with_help(Code::OverlayValue, span, message, help);
    }
    let is_gate = |text: &str| {
        let parts = text.split_once('=');
        parts.is_some_and(|(gate, value)| {
            !gate.trim().is_empty() && BOOLEANS.contains(&value.trim())
        })
    };
    if name == "feature-gates"
        && let (Some(node), Some(text)) = (arg.value, arg.text())
        && !text.split(',').filter(|gate| !gate.is_empty()).all(is_gate)
    {
        let message = "`feature-gates` must be a list of NAME=true or NAME=false";
        let help = "separate the gates by commas, such as `A=true,B=false`";
        to.report_with_help(Code::OverlayGate, node.span, message, help);
    }
}

/// The booleans in arguments (Go, `strconv.ParseBool`).
const BOOLEANS: [&str; 12] = [
    "1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False",
];

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

/// Reports skipped phases without which there is no etcd; for clusters without an external etcd.
pub(super) fn check_etcd_phases(document: &Node, to: &mut Diagnostics) {
    for (phase, text) in texts(document.get("skipPhases")) {
        if ETCD_PHASES.contains(&text) {
            let message = format!(
                "the kubeadm phase `{text}` cannot be skipped: the cluster would have no etcd"
            );
            let help = "remove it; to use an existing etcd, set `spec.kubernetes.etcd.external`";
            to.report_with_help(Code::OverlayPhase, phase.span, message, help);
        } else if ETCD_FILE_PHASES.contains(&text) {
            warn_of_files(phase, text, to);
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
    use super::{ETCD_FILE_PHASES, ETCD_PHASES, FILE_PHASES, NEEDED_PHASES};
    use crate::releases;

    #[test]
    fn every_phase_that_must_run_exists() {
        let names = releases::names();
        let phases: Vec<_> = names.init_phases.iter().chain(&names.join_phases).collect();
        let needed = NEEDED_PHASES.iter().chain(&ETCD_PHASES);
        for phase in needed.chain(&FILE_PHASES).chain(&ETCD_FILE_PHASES) {
            let first = phase.split('/').next().unwrap();
            assert!(phases.iter().any(|known| *known == first), "{phase}");
        }
    }
}
