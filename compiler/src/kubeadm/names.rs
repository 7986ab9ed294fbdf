//! Names in kubeadm's documents that are more than text: phases, preflight checks and arguments of
//! kubelet.

use nkd_document::yaml::{self, Node, Value};
use nkd_document::{Code, Diagnostics, Span};

/// Phases of `kubeadm init` and of `kubeadm join` in any version (`cmd/kubeadm/app/cmd/phases`);
/// what is below one of them is left to kubeadm.
const INIT_PHASES: [&str; 15] = [
    "preflight",
    "certs",
    "kubeconfig",
    "etcd",
    "control-plane",
    "kubelet-start",
    "wait-control-plane",
    "upload-config",
    "upload-certs",
    "mark-control-plane",
    "bootstrap-token",
    "kubelet-finalize",
    "addon",
    "show-join-command",
    "wait-control-plane-components",
];
const JOIN_PHASES: [&str; 7] = [
    "preflight",
    "control-plane-prepare",
    "kubelet-start",
    "kubelet-wait-bootstrap",
    "etcd-join",
    "control-plane-join",
    "wait-control-plane",
];

/// Preflight checks in any version (`cmd/kubeadm/app/preflight`); kubeadm compares them without
/// case.
const CHECKS: [&str; 17] = [
    "CRI",
    "ContainerRuntimeVersion",
    "ExternalEtcdClientCertificates",
    "ExternalEtcdVersion",
    "Firewalld",
    "HTTPProxy",
    "HTTPProxyCIDR",
    "Hostname",
    "ImagePull",
    "IsDockerSystemdCheck",
    "IsPrivilegedUser",
    "KubeletVersion",
    "KubernetesVersion",
    "Mem",
    "NumCPU",
    "Swap",
    "SystemVerification",
];
/// Checks that name what they look at: a path with `-` for `/`, a port, a program or a unit.
const CHECKS_OF: [&str; 6] = [
    "DirAvailable--",
    "FileAvailable--",
    "FileContent--",
    "FileExisting-",
    "Port-",
    "Service-",
];

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

/// Arguments of the control plane that say what the cluster file says, and the one that says where
/// etcd's data are.
const OWNED_COMPONENT_ARGS: [(&str, &str, &str); 9] = [
    ("apiServer", "advertise-address", "the node's `address`"),
    (
        "apiServer",
        "etcd-servers",
        "`spec.kubernetes.etcd.external`",
    ),
    // The probes that kubeadm gives it are sent by kubelet without credentials.
    ("apiServer", "anonymous-auth", ""),
    ("apiServer", "secure-port", "`spec.kubernetes.endpoint`"),
    (
        "apiServer",
        "service-cluster-ip-range",
        "`spec.kubernetes.networking.serviceSubnet`",
    ),
    ("controllerManager", "allocate-node-cidrs", ""),
    (
        "controllerManager",
        "cluster-cidr",
        "`spec.kubernetes.networking.podSubnet`",
    ),
    (
        "controllerManager",
        "service-cluster-ip-range",
        "`spec.kubernetes.networking.serviceSubnet`",
    ),
    ("etcd.local", "data-dir", ""),
];

/// Where the components have arguments.
const ARGS: [&[&str]; 5] = [
    &["apiServer"],
    &["controllerManager"],
    &["scheduler"],
    &["etcd", "local"],
    &["nodeRegistration"],
];

/// Arguments of kubelet that hold nodes and cluster together, and what to use instead.
pub const OWNED_ARGS: [(&str, &str); 13] = [
    ("bootstrap-kubeconfig", ""),
    // Where the agent finds kubelet's credentials.
    ("cert-dir", ""),
    ("cgroup-driver", ""),
    (
        "config",
        "a KubeletConfiguration in `spec.kubernetes.kubeadm`",
    ),
    ("container-runtime", "`spec.runtime`"),
    ("container-runtime-endpoint", "`spec.runtime`"),
    ("hostname-override", "the node's `name`"),
    ("kubeconfig", ""),
    ("node-ip", "the node's `address`"),
    ("node-labels", "the node's `labels`"),
    ("pod-infra-container-image", "`spec.runtime.sandboxImage`"),
    ("rotate-certificates", ""),
    ("volume-plugin-dir", ""),
];

/// Reports the names that kubeadm wouldn't know, and the arguments that aren't the user's.
pub(super) fn check(kind: &str, document: &Node, to: &mut Diagnostics) {
    let phases = if kind == "JoinConfiguration" {
        &JOIN_PHASES[..]
    } else {
        &INIT_PHASES[..]
    };
    for (phase, text) in texts(document.get("skipPhases")) {
        let first = text.split('/').next().unwrap_or_default();
        if !phases.contains(&first) {
            let message = format!("unknown kubeadm phase `{text}`");
            let help = yaml::suggest(first, phases.iter().copied());
            to.report_with_help(Code::OverlayPhase, phase.span, message, help);
        } else if NEEDED_PHASES.contains(&text) {
            let message =
                format!("the kubeadm phase `{text}` cannot be skipped: the node would not work");
            let help = "skip one of its sub-phases, or addon, preflight or upload-certs";
            to.report_with_help(Code::OverlayPhase, phase.span, message, help);
        }
    }
    for path in ARGS {
        let component = path.iter().try_fold(document, |node, key| node.get(key));
        let args =
            component.and_then(|it| it.get("extraArgs").or_else(|| it.get("kubeletExtraArgs")));
        if let Some(args) = args {
            whole_args(args, to);
        }
    }
    for (component, name, instead) in OWNED_COMPONENT_ARGS {
        let mut path = component.split('.').chain(["extraArgs"]);
        let args = path.try_fold(document, |node, key| node.get(key));
        let named = args.map(arg_names).into_iter().flatten();
        for (_, span) in named.filter(|(it, _)| *it == name) {
            owned(
                &format!("the argument `{name}` of {component}"),
                instead,
                span,
                to,
            );
        }
    }
    let Some(registration) = document.get("nodeRegistration") else {
        return;
    };
    for (check, text) in texts(registration.get("ignorePreflightErrors")) {
        let lower = text.to_lowercase();
        let of = CHECKS_OF
            .iter()
            .any(|it| lower.starts_with(&it.to_lowercase()));
        if !of && !CHECKS.iter().any(|it| it.to_lowercase() == lower) {
            let message = format!("unknown kubeadm preflight check `{text}`");
            let help = yaml::suggest(text, CHECKS.iter().chain(&CHECKS_OF).copied());
            to.report_with_help(Code::OverlayPreflight, check.span, message, help);
        }
    }
    if let Some(args) = registration.get("kubeletExtraArgs") {
        for (name, span) in arg_names(args) {
            if let Some((_, instead)) = OWNED_ARGS.iter().find(|(owned, _)| *owned == name) {
                owned(&format!("kubelet's argument `{name}`"), instead, span, to);
            }
        }
    }
}

/// Reports skipped phases without which kubeadm runs no etcd; for clusters whose etcd isn't external.
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
    let items = match list.map(|it| &it.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter().filter_map(|it| Some((it, it.as_text()?)))
}

/// Reports arguments in a list that lack something; a mapping's always have both.
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

/// Names in both of the forms arguments have.
fn arg_names(args: &Node) -> Vec<(&str, Span)> {
    match &args.value {
        Value::Map(entries) => entries
            .iter()
            .map(|it| (it.key.as_str(), it.key_span))
            .collect(),
        Value::List(items) => items
            .iter()
            .filter_map(|it| it.get("name"))
            .filter_map(|it| Some((it.as_text()?, it.span)))
            .collect(),
        _ => Vec::new(),
    }
}

fn owned(what: &str, instead: &str, span: Span, to: &mut Diagnostics) {
    let message = format!("nkd sets {what}");
    if instead.is_empty() {
        to.report(Code::OverlayOwned, span, message);
    } else {
        let help = format!("remove it and use {instead} in the cluster file");
        to.report_with_help(Code::OverlayOwned, span, message, help);
    }
}
