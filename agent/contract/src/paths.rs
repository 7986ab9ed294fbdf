//! Paths on a node. Files that Ignition delivers are under `/etc/nkd`, files that must survive a
//! reboot under `/var/lib/nkd`, and files that must not under `/run/nkd`.

/// The delivered [`Plan`](crate::Plan); root only.
pub const PLAN: &str = "/etc/nkd/plan.json";
/// The kubeadm documents; root only.
pub const KUBEADM: &str = "/etc/nkd/kubeadm.yaml";
/// The bootstrap token of a joining node; root only. The delivered file contains nothing else,
/// not even a newline. A person who replaces the token may end it with a newline.
pub const TOKEN: &str = "/etc/nkd/token";
/// The delivered PKI of a control plane, with the layout of `/etc/kubernetes/pki`; root only. On every
/// node it may contain copies of other files that the user has in `/etc/kubernetes/pki`. It is kept here
/// because `kubeadm reset` empties `/etc/kubernetes/pki`.
pub const PKI: &str = "/etc/nkd/pki";
/// The delivered static pods of a control plane, and on every node copies of the user's. They are kept
/// here because `kubeadm reset` empties `/etc/kubernetes/manifests`.
pub const MANIFESTS: &str = "/etc/nkd/manifests";
/// The delivered [`ReportTarget`](crate::ReportTarget); root only.
pub const REPORT: &str = "/etc/nkd/report.json";
/// The user's own executables, in directories `pre-STAGE.d` and `post-STAGE.d`.
pub const HOOKS: &str = "/etc/nkd/hooks";
/// The manifests that the init node applies.
pub const ADDONS: &str = "/etc/nkd/addons";

/// The worker's state machine; root only.
pub const STATE: &str = "/var/lib/nkd/state.json";
/// The name of a node whose plan is for an open pool, once its machine has one. Everybody may read it.
pub const NAME: &str = "/var/lib/nkd/name";
/// The event log, one [`Event`](crate::Event) per line. It contains no secrets, and everybody may read it.
pub const EVENTS: &str = "/var/lib/nkd/events.jsonl";
/// Exists once the node has been Ready.
pub const COMPLETE: &str = "/var/lib/nkd/complete";
/// The images that were loaded since the file systems were last synced; root only.
pub const UNSYNCED: &str = "/var/lib/nkd/unsynced.json";
/// The boots on which a reboot into an OS image was ordered; root only.
pub const PIVOT: &str = "/var/lib/nkd/pivot.json";
/// What the reporter has sent; only the reporter may read it.
pub const DELIVERED: &str = "/var/lib/nkd-reporter/delivered.json";

/// The directory for image bundles in an OS image.
pub const BUNDLES: &str = "/usr/lib/nkd/bundles";
/// Where a disk with image bundles is mounted while it is read.
pub const MEDIUM: &str = "/run/nkd/medium";
/// Where an image is stored for a runtime that cannot read it from a pipe.
pub const SPOOL: &str = "/var/lib/nkd/spool";

/// The kubeconfig with which kubeadm discovers the cluster that a node joins: the endpoint and the CA from
/// the plan, and the bootstrap token; root only. The worker writes it, because a second copy of the CA would
/// be a third of a worker's Ignition file.
pub const DISCOVERY: &str = "/run/nkd/discovery.yaml";
/// The worker holds a lock on this file as long as it runs, and writes its process id into it.
pub const LOCK: &str = "/run/nkd/install.lock";
/// The line that is shown at the login prompt of the console.
pub const ISSUE: &str = "/run/issue.d/50-nkd.issue";
/// The file by which Cluster API recognizes a successful bootstrap (Cluster API, "Bootstrap provider contract",
/// "Sentinel file").
pub const CAPI_SENTINEL: &str = "/run/cluster-api/bootstrap-success.complete";

/// Where kubeadm expects the PKI.
pub const KUBERNETES_PKI: &str = "/etc/kubernetes/pki";
/// Where kubelet reads static pods.
pub const KUBERNETES_MANIFESTS: &str = "/etc/kubernetes/manifests";
