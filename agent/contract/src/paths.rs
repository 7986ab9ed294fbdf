//! Where things are on a node. What Ignition delivers is under `/etc/nkd`, what must survive a
//! reboot under `/var/lib/nkd`, and what must not under `/run/nkd`.

/// The delivered [`Plan`](crate::Plan); root only.
pub const PLAN: &str = "/etc/nkd/plan.json";
/// The kubeadm documents; root only.
pub const KUBEADM: &str = "/etc/nkd/kubeadm.yaml";
/// The bootstrap token of a joining node; root only. The file that is delivered has nothing else in it,
/// not even a newline; a person who writes another token there may end it with one.
pub const TOKEN: &str = "/etc/nkd/token";
/// The delivered PKI of a control plane, laid out like `/etc/kubernetes/pki`; root only. Kept
/// here because `kubeadm reset` empties the other.
pub const PKI: &str = "/etc/nkd/pki";
/// Delivered static pods of a control plane, laid out like `/etc/kubernetes/manifests`. Kept here
/// because `kubeadm reset` empties the other.
pub const MANIFESTS: &str = "/etc/nkd/manifests";
/// The delivered [`ReportTarget`](crate::ReportTarget); root only.
pub const REPORT: &str = "/etc/nkd/report.json";
/// The user's own executables, in directories `pre-STAGE.d` and `post-STAGE.d`.
pub const HOOKS: &str = "/etc/nkd/hooks";
/// Manifests the init node applies.
pub const ADDONS: &str = "/etc/nkd/addons";

/// The worker's state machine; root only.
pub const STATE: &str = "/var/lib/nkd/state.json";
/// The event log, one [`Event`](crate::Event) per line; anybody may read it, it holds no secrets.
pub const EVENTS: &str = "/var/lib/nkd/events.jsonl";
/// Exists once the node was Ready.
pub const COMPLETE: &str = "/var/lib/nkd/complete";
/// The images that were loaded since the file systems were last synced; root only.
pub const UNSYNCED: &str = "/var/lib/nkd/unsynced.json";
/// The boots on which a reboot into an OS image was ordered; root only.
pub const PIVOT: &str = "/var/lib/nkd/pivot.json";
/// What the reporter has sent; the reporter's own.
pub const DELIVERED: &str = "/var/lib/nkd-reporter/delivered.json";

/// Where an OS image carries image bundles.
pub const BUNDLES: &str = "/usr/lib/nkd/bundles";
/// Where a disk with image bundles is mounted for as long as it is read.
pub const MEDIUM: &str = "/run/nkd/medium";
/// Where an image waits for a runtime that doesn't take it from a pipe.
pub const SPOOL: &str = "/var/lib/nkd/spool";

/// The kubeconfig by which kubeadm discovers the cluster that a node joins: endpoint and CA of the
/// plan, and the bootstrap token; root only. The worker writes it, because a copy of the CA would be
/// a third of a worker's Ignition file.
pub const DISCOVERY: &str = "/run/nkd/discovery.yaml";
/// Locked by the worker for as long as it lives; holds its process id.
pub const LOCK: &str = "/run/nkd/install.lock";
/// The line for a person at the console.
pub const ISSUE: &str = "/run/issue.d/50-nkd.issue";
/// Cluster API's sign of a successful bootstrap (Cluster API, "Bootstrap provider contract",
/// "Sentinel file").
pub const CAPI_SENTINEL: &str = "/run/cluster-api/bootstrap-success.complete";

/// Where kubeadm wants the PKI.
pub const KUBERNETES_PKI: &str = "/etc/kubernetes/pki";
/// Where kubelet looks for static pods.
pub const KUBERNETES_MANIFESTS: &str = "/etc/kubernetes/manifests";
