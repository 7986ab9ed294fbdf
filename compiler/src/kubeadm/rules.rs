//! Rules about several fields of kubelet's and kube-proxy's configuration, or about values that a type cannot describe.
//! They apply to the merged documents, and a violation is reported at the last document that has the field.

use serde_json::Value;

use super::formats;
use super::overlay;
use nkd_document::yaml::{self, Node};
use nkd_document::{Code, Diagnostics, Span};
use nkd_model::Overlay;
use nkd_model::version::Version;

/// The resources that kubelet can reserve (Kubernetes, "Reserve Compute Resources for System Daemons").
pub const RESERVABLE: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pid"];

/// What kubelet's eviction can observe (kubelet, `eviction.OpForSignal`).
const SIGNALS: [&str; 9] = [
    "memory.available",
    "allocatableMemory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "pid.available",
];

/// A rule: the fields at which a violation is reported (the first that a document has), whether a document violates
/// it, and what to do.
struct Rule {
    fields: &'static [&'static str],
    is_violated: fn(&Value) -> bool,
    message: &'static str,
    help: &'static str,
}

/// Without these rules kubelet does not start (kubelet, `ValidateKubeletConfiguration`), or the node does not become
/// Ready.
const KUBELET: [Rule; 12] = [
    Rule {
        fields: &["imageGCHighThresholdPercent", "imageGCLowThresholdPercent"],
        is_violated: |kubelet| {
            let low = kubelet["imageGCLowThresholdPercent"].as_u64().unwrap_or(80);
            let high = kubelet["imageGCHighThresholdPercent"].as_u64();
            high.is_some_and(|high| high <= low)
        },
        message: "`imageGCHighThresholdPercent` must be greater than `imageGCLowThresholdPercent`; by default, they are 85 \
                  and 80",
        help: "set both, the high threshold to the greater number",
    },
    Rule {
        fields: &["registerNode"],
        is_violated: |kubelet| kubelet["registerNode"] == false,
        message: "with `registerNode: false`, kubelet does not register the node, and the installation never completes",
        help: "remove it",
    },
    Rule {
        fields: &["runOnce"],
        is_violated: |kubelet| kubelet["runOnce"] == true,
        message: "with `runOnce: true`, kubelet exits and the node does not become Ready",
        help: "remove it",
    },
    Rule {
        fields: &["containerLogMaxSize"],
        is_violated: |kubelet| {
            let size = kubelet["containerLogMaxSize"].as_str().unwrap_or_default();
            // A negative size turns the rotation off.
            !size.is_empty() && !formats::is_quantity(size.strip_prefix('-').unwrap_or(size))
        },
        message: "`containerLogMaxSize` is not a quantity",
        help: "write a quantity such as 10Mi",
    },
    Rule {
        fields: &["evictionSoft"],
        is_violated: |kubelet| {
            !has_all_keys(
                &kubelet["evictionSoftGracePeriod"],
                &kubelet["evictionSoft"],
            )
        },
        message: "each signal of `evictionSoft` needs a time in `evictionSoftGracePeriod`",
        help: "add `evictionSoftGracePeriod`, such as {memory.available: 90s}",
    },
    Rule {
        fields: &["enforceNodeAllocatable"],
        is_violated: |kubelet| lacks_cgroup(kubelet, "system-reserved", "systemReservedCgroup"),
        message: "`enforceNodeAllocatable: [system-reserved]` needs `systemReservedCgroup`",
        help: "set `systemReservedCgroup` to the cgroup of system daemons, such as /system.slice, or remove `system-reserved`",
    },
    Rule {
        fields: &["enforceNodeAllocatable"],
        is_violated: |kubelet| lacks_cgroup(kubelet, "kube-reserved", "kubeReservedCgroup"),
        message: "`enforceNodeAllocatable: [kube-reserved]` needs `kubeReservedCgroup`",
        help: "set `kubeReservedCgroup` to the cgroup of kubelet and the runtime, or remove `kube-reserved`",
    },
    Rule {
        fields: &["enforceNodeAllocatable"],
        is_violated: |kubelet| {
            let list = kubelet["enforceNodeAllocatable"].as_array();
            list.is_some_and(|list| list.len() > 1 && list.contains(&"none".into()))
        },
        message: "`enforceNodeAllocatable` must not contain other items together with `none`",
        help: "remove `none`, or all other items",
    },
    Rule {
        fields: &["reservedSystemCPUs"],
        is_violated: |kubelet| {
            let is_set = |field: &str| kubelet[field].as_str().is_some_and(|text| !text.is_empty());
            is_set("reservedSystemCPUs")
                && (is_set("systemReservedCgroup") || is_set("kubeReservedCgroup"))
        },
        message: "`reservedSystemCPUs` cannot be used together with `systemReservedCgroup` or `kubeReservedCgroup`",
        help: "remove one of them",
    },
    Rule {
        fields: &["shutdownGracePeriodCriticalPods"],
        is_violated: |kubelet| {
            let time = |field: &str| {
                let text = kubelet[field].as_str();
                text.map_or(Some(std::time::Duration::ZERO), formats::duration)
            };
            let (critical, all) = (
                time("shutdownGracePeriodCriticalPods"),
                time("shutdownGracePeriod"),
            );
            matches!((critical, all), (Some(critical), Some(all)) if critical > all)
        },
        message: "`shutdownGracePeriodCriticalPods` must not be greater than `shutdownGracePeriod`, which is 0 by default",
        help: "also set `shutdownGracePeriod`, which includes the time for critical pods",
    },
    Rule {
        fields: &["maxParallelImagePulls"],
        is_violated: |kubelet| {
            kubelet["serializeImagePulls"] == true
                && kubelet["maxParallelImagePulls"]
                    .as_u64()
                    .is_some_and(|pulls| pulls > 1)
        },
        message: "`maxParallelImagePulls` must be 1 with `serializeImagePulls: true`",
        help: "set `serializeImagePulls: false`",
    },
    Rule {
        fields: &["memoryThrottlingFactor"],
        is_violated: |kubelet| {
            let factor = kubelet["memoryThrottlingFactor"].as_f64();
            factor.is_some_and(|factor| factor <= 0.0 || factor > 1.0)
        },
        message: "`memoryThrottlingFactor` must be greater than 0 and at most 1",
        help: "use a number such as 0.9",
    },
];

/// Mappings whose keys kubelet checks, and the keys that it accepts.
const KEYS: [(&str, &[&str]); 5] = [
    ("evictionHard", &SIGNALS),
    ("evictionSoft", &SIGNALS),
    ("evictionMinimumReclaim", &SIGNALS),
    ("systemReserved", &RESERVABLE),
    ("kubeReserved", &RESERVABLE),
];

fn has_all_keys(map: &Value, keys: &Value) -> bool {
    let mut keys = keys.as_object().into_iter().flat_map(serde_json::Map::keys);
    keys.all(|key| map.get(key).is_some())
}

/// Whether a reservation is enforced, but has no cgroup. The compressible part alone needs one too.
fn lacks_cgroup(kubelet: &Value, reserved: &str, cgroup: &str) -> bool {
    let list = kubelet["enforceNodeAllocatable"].as_array();
    let mut names = list.into_iter().flatten().filter_map(Value::as_str);
    names.any(|name| name.strip_suffix("-compressible").unwrap_or(name) == reserved)
        && kubelet[cgroup].as_str().is_none_or(str::is_empty)
}

/// Reports violations in the documents of kubelet that apply to some node together, except what was reported.
/// `high_threshold` is the `imageGCHighThresholdPercent` of nodes for which no document sets it.
pub fn check_kubelet(
    overlays: &[&Overlay],
    high_threshold: u64,
    reported: &mut Vec<Span>,
    to: &mut Diagnostics,
) {
    let Some(mut kubelet) = overlay::merged(overlays.iter().copied()) else {
        return;
    };
    if kubelet["imageGCHighThresholdPercent"].is_null() {
        kubelet["imageGCHighThresholdPercent"] = high_threshold.into();
    }
    let field = |name: &str| {
        let mut documents = overlays.iter().rev().map(|overlay| &overlay.document);
        documents.find_map(|document| document.get(name))
    };
    for rule in KUBELET {
        if (rule.is_violated)(&kubelet)
            && let Some(node) = rule.fields.iter().copied().find_map(field)
        {
            report(node.span, rule.message, rule.help, reported, to);
        }
    }
    for (name, keys) in KEYS {
        let Some(Node {
            value: yaml::Value::Map(entries),
            ..
        }) = field(name)
        else {
            continue;
        };
        for entry in entries {
            if !keys.contains(&entry.key.as_str()) {
                let message = format!("`{name}` does not allow the key `{}`", entry.key);
                let help = format!("use one of {}", keys.join(", "));
                report(entry.key_span, &message, &help, reported, to);
            }
        }
    }
}

fn report(span: Span, message: &str, help: &str, reported: &mut Vec<Span>, to: &mut Diagnostics) {
    // What several nodes have in common is wrong once.
    if !reported.contains(&span) {
        reported.push(span);
        to.report_with_help(Code::OverlayValue, span, message, help);
    }
}

/// Reports modes of kube-proxy that need a feature gate, and warns about one that is deprecated.
pub fn check_proxy(overlays: &[Overlay], version: Version, to: &mut Diagnostics) {
    let documents = overlays.iter().map(|overlay| &overlay.document);
    let of_proxy = documents.filter(|document| {
        let kind = document.get("kind").and_then(Node::as_text);
        kind == Some("KubeProxyConfiguration")
    });
    let mut gates = of_proxy.clone().filter_map(|document| {
        let gates = document.get("featureGates")?.to_json();
        gates["NFTablesProxyMode"].as_bool()
    });
    let has_gate = gates.next_back() == Some(true);
    for mode in of_proxy.filter_map(|document| document.get("mode")) {
        match mode.as_text() {
            Some("nftables") if version.has_nftables_off() && !has_gate => {
                let message = "before Kubernetes 1.31, `mode: nftables` needs the feature gate NFTablesProxyMode";
                let help = "add `featureGates: {NFTablesProxyMode: true}`, or use `mode: iptables`";
                to.report_with_help(Code::OverlayValue, mode.span, message, help);
            }
            Some("ipvs") if version.deprecates_ipvs() => {
                let message = "`mode: ipvs` of kube-proxy is deprecated from Kubernetes 1.35 on; use nftables";
                to.warn(Code::Deprecated, mode.span, message);
            }
            _ => {}
        }
    }
}
