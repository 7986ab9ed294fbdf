//! The settings of kubelet for a pool or a node, as kubelet's arguments.

use schemars::JsonSchema;
use serde::Deserialize;

use super::patterns;
use crate::kubeadm::formats::is_quantity;
use crate::kubeadm::owned::OWNED_ARGS;
use crate::kubeadm::rules::RESERVABLE;
use nkd_document::yaml::Pairs;
use nkd_document::{Code, Diagnostics, Spanned};

/// `kubelet` of a pool or node
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kubelet {
    /// The maximum number of pods on a node. By default kubelet's own limit, 110.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_pods: Option<Spanned<u64>>,
    /// Resources reserved for the system: cpu, memory, ephemeral-storage and pid, each a quantity.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"enum": RESERVABLE},
        "additionalProperties" = {"type": "string", "pattern": patterns::QUANTITY},
    ))]
    pub system_reserved: Pairs,
    /// Resources reserved for Kubernetes itself: cpu, memory, ephemeral-storage and pid, each a quantity.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"enum": RESERVABLE},
        "additionalProperties" = {"type": "string", "pattern": patterns::QUANTITY},
    ))]
    pub kube_reserved: Pairs,
    /// Further arguments of kubelet, by their names without dashes.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {
        "pattern": patterns::KUBELET_ARGUMENT,
        "not": {"enum": owned_args().map(|(name, _)| name).collect::<Vec<_>>()},
    }))]
    pub extra_args: Pairs,
}

/// Arguments for which the cluster file has keys.
const HAVE_KEYS: [(&str, &str); 4] = [
    ("kube-reserved", "`kubelet.kubeReserved`"),
    ("max-pods", "`kubelet.maxPods`"),
    ("register-with-taints", "`taints`"),
    ("system-reserved", "`kubelet.systemReserved`"),
];

/// Checks the settings.
pub fn args(file: Kubelet, to: &mut Diagnostics) -> Vec<(String, Spanned<String>)> {
    let mut args = Vec::new();
    if let Some(max_pods) = file.max_pods {
        let text = Spanned::new(max_pods.value.to_string(), max_pods.span);
        args.push(("max-pods".to_owned(), text));
    }
    for (name, reserved) in [
        ("system-reserved", file.system_reserved),
        ("kube-reserved", file.kube_reserved),
    ] {
        if let Some((_, first)) = reserved.0.first() {
            let text = Spanned::new(resources(&reserved.0, to), first.span);
            args.push((name.to_owned(), text));
        }
    }
    for (name, value) in file.extra_args.0 {
        extra_arg(&name, to);
        args.push((name.value, value));
    }
    args
}

fn resources(reserved: &[(Spanned<String>, Spanned<String>)], to: &mut Diagnostics) -> String {
    let mut all = Vec::new();
    for (resource, quantity) in reserved {
        if !RESERVABLE.contains(&resource.value.as_str()) {
            let message = format!("kubelet cannot reserve `{}`", resource.value);
            let help = format!("use one of {}", RESERVABLE.join(", "));
            to.report_with_help(Code::Quantity, resource.span, message, help);
        }
        if !is_quantity(&quantity.value) {
            let message = format!("`{}` is not a valid quantity", quantity.value);
            to.report(Code::Quantity, quantity.span, message);
        }
        all.push(format!("{}={}", resource.value, quantity.value));
    }
    all.join(",")
}

/// The arguments that cannot be in `extraArgs`, each with the key to use instead.
fn owned_args() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    OWNED_ARGS.iter().chain(&HAVE_KEYS)
}

fn extra_arg(name: &Spanned<String>, to: &mut Diagnostics) {
    let mut owned = owned_args();
    if let Some((_, instead)) = owned.find(|(owned, _)| *owned == name.value) {
        let message = format!("nkd sets kubelet's argument `{}`", name.value);
        let help = match *instead {
            "" => "remove it".to_owned(),
            instead => format!("remove it and use {instead} in the cluster file"),
        };
        to.report_with_help(Code::KubeletArg, name.span, message, help);
        return;
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    if name.value.starts_with('-') || name.value.is_empty() || !name.value.chars().all(is_word) {
        let message = format!("`{}` is not the name of a kubelet argument", name.value);
        to.report(Code::KubeletArg, name.span, message);
    }
}
