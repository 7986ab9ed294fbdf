//! Places at which something of the user cannot work, although Ignition accepts it: kubeadm writes there
//! itself or requires an empty directory, or the place is not on a disk that nodes can write.

use nkd_contract::paths;
use nkd_document::yaml;
use nkd_document::{Code, Span};
use nkd_ignition::tree::{entry, list, text};

use super::collisions::is_under;
use super::needs::content;

/// Where kubeadm's etcd has its data.
const ETCD_DATA: &str = "/var/lib/etcd";
/// The preflight check that [`ETCD_DATA`] is empty.
const ETCD_CHECK: &str = "diravailable--var-lib-etcd";

/// A place, with everything below it.
struct Place {
    path: &'static str,
    code: Code,
    /// Continues a sentence that begins with the path.
    why: &'static str,
    help: &'static str,
}

const fn written(path: &'static str, help: &'static str) -> Place {
    Place {
        path,
        code: Code::KubeadmFile,
        why: "is a file that kubeadm writes itself",
        help,
    }
}

const REMOVE: &str = "remove it from the config";
const KUBELET: &str = "remove it from the config; to change kubelet's settings, add a KubeletConfiguration to `spec.kubernetes.kubeadm`";
const RENAME: &str = "give the static pod a file name that no static pod of kubeadm has";

const XFS: &str = "use `format: xfs`; or have kubeadm ignore this, with `ignorePreflightErrors: [DirAvailable--var-lib-etcd]` \
     below `nodeRegistration` in an overlay of `spec.kubernetes.kubeadm`";
const ONE_MOUNT: &str = "mount one xfs file system at /var/lib/etcd";

/// What kubeadm writes on every node. The agent takes some of these files for those of an interrupted
/// attempt, and resets the node; kubeadm replaces the others.
const ON_EVERY_NODE: [Place; 6] = [
    written("/etc/kubernetes/kubelet.conf", REMOVE),
    written("/etc/kubernetes/bootstrap-kubelet.conf", REMOVE),
    written("/etc/kubernetes/manifests/kube-apiserver.yaml", RENAME),
    written("/var/lib/kubelet/config.yaml", KUBELET),
    written("/var/lib/kubelet/instance-config.yaml", KUBELET),
    written("/var/lib/kubelet/kubeadm-flags.env", KUBELET),
];

/// The static pods for which kubeadm requires that their files do not exist.
const ON_CONTROL_PLANES: [Place; 3] = [
    written(
        "/etc/kubernetes/manifests/kube-controller-manager.yaml",
        RENAME,
    ),
    written("/etc/kubernetes/manifests/kube-scheduler.yaml", RENAME),
    written("/etc/kubernetes/manifests/etcd.yaml", RENAME),
];

/// The kubeconfigs that kubeadm keeps on a control plane if they fit the cluster.
const KUBECONFIGS: [&str; 4] = [
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
];

/// The PKI of kubeadm, below its directory and without `.crt`, `.key` and `.pub`.
const PKI: [&str; 11] = [
    "ca",
    "sa",
    "apiserver",
    "apiserver-kubelet-client",
    "apiserver-etcd-client",
    "front-proxy-ca",
    "front-proxy-client",
    "etcd/ca",
    "etcd/server",
    "etcd/peer",
    "etcd/healthcheck-client",
];

const fn read_only(path: &'static str) -> Place {
    Place {
        path,
        code: Code::NoDisk,
        why: "is part of the OS image, which is read-only",
        help: "use a path below /etc, /var, /opt or /usr/local, or build it into the OS image",
    }
}

const fn emptied(path: &'static str) -> Place {
    Place {
        path,
        code: Code::NoDisk,
        why: "is in a file system that is made anew on every boot, after Ignition has run",
        help: "have systemd-tmpfiles create it on every boot: write a file below /etc/tmpfiles.d (see tmpfiles.d(5))",
    }
}

/// Below `/usr/local`, which is in `/var`, Ignition can write.
const LOCAL: &str = "/usr/local";
const NOT_ON_DISK: [Place; 10] = [
    read_only("/usr"),
    read_only("/bin"),
    read_only("/sbin"),
    read_only("/lib"),
    read_only("/lib64"),
    emptied("/run"),
    emptied("/var/run"),
    Place {
        help: "set it in a file below /etc/sysctl.d, which systemd-sysctl reads on every boot (see sysctl.d(5))",
        ..emptied("/proc")
    },
    emptied("/sys"),
    emptied("/dev"),
];

/// Something at a place where it cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    /// Where the user wrote it.
    pub span: Span,
    /// The code.
    pub code: Code,
    /// The message.
    pub message: String,
    /// What to do about it; `None` for a warning.
    pub help: Option<&'static str>,
}

/// A node, as far as it determines what kubeadm does there.
pub struct Places<'a> {
    /// Whether the node is a control plane.
    pub is_control_plane: bool,
    /// Whether kubeadm runs etcd on the node.
    pub runs_etcd: bool,
    /// The preflight checks that kubeadm ignores on the node, in lower case.
    pub ignored_checks: &'a [String],
}

impl Places<'_> {
    /// Everything in a merged config that is at a place where it cannot work.
    pub fn check(&self, config: &yaml::Node) -> Vec<Misplaced> {
        let mounts = list(config, &["storage", "filesystems"]).iter();
        let mounts: Vec<&str> = mounts
            .filter_map(|mount| text(mount, "path"))
            .filter(|path| !["", "/"].contains(path))
            .collect();
        let mut misplaced = Vec::new();
        for kind in ["directories", "files", "links"] {
            for node in list(config, &["storage", kind]) {
                if let Some(path) = text(node, "path") {
                    let is_mounted = mounts.iter().any(|mount| is_under(path, mount));
                    misplaced.extend(self.entry(node, path, kind, is_mounted));
                }
            }
        }
        misplaced.extend(self.etcd_filesystems(config));
        misplaced
    }

    fn entry(
        &self,
        node: &yaml::Node,
        path: &str,
        kind: &str,
        is_mounted: bool,
    ) -> Option<Misplaced> {
        let span = entry(node, "path")?.node.span;
        let error = |code, message, help| {
            Some(Misplaced {
                span,
                code,
                message,
                help: Some(help),
            })
        };
        if let Some(place) = self.place(path, is_mounted) {
            let message = format!("`{path}` {}", place.why);
            return error(place.code, message, place.help);
        }
        if is_pki(path) {
            let message = format!("`{path}` is a file that nkd or kubeadm writes");
            let help = "to use your own authorities and keys, set `spec.pki`";
            return error(Code::KubeadmFile, message, help);
        }
        if kind == "links" && is_under(path, paths::KUBERNETES_PKI) {
            let message =
                format!("`kubeadm reset` removes `{path}`, and nkd-agent cannot restore a link");
            return error(Code::KubeadmFile, message, "write a file instead of a link");
        }
        if self.is_in_etcd_data(path, kind != "directories") {
            let message = format!("kubeadm requires that `{ETCD_DATA}` is empty");
            return error(Code::EtcdDirectory, message, REMOVE);
        }
        if self.is_control_plane && KUBECONFIGS.contains(&path) {
            return Some(kubeconfig(node, path, span));
        }
        (is_under(path, "/tmp") && !is_mounted).then(|| Misplaced {
            span,
            code: Code::NoDisk,
            message: format!(
                "`{path}` is lost if `/tmp` is in memory, as on NestOS; systemd-tmpfiles can create it \
                 on every boot (tmpfiles.d(5))"
            ),
            help: None,
        })
    }

    fn place(&self, path: &str, is_mounted: bool) -> Option<&'static Place> {
        let control_plane: &[Place] = if self.is_control_plane {
            &ON_CONTROL_PLANES
        } else {
            &[]
        };
        let no_disk: &[Place] = if is_mounted || is_under(path, LOCAL) {
            &[]
        } else {
            &NOT_ON_DISK
        };
        let mut places = ON_EVERY_NODE.iter().chain(control_plane).chain(no_disk);
        places.find(|place| is_under(path, place.path))
    }

    /// File systems because of which kubeadm finds etcd's directory not empty: one with a directory
    /// `lost+found`, and those that are mounted below it.
    fn etcd_filesystems(&self, config: &yaml::Node) -> Vec<Misplaced> {
        let filesystems = list(config, &["storage", "filesystems"]).iter();
        let misplaced = filesystems.filter_map(|filesystem| {
            let path = &entry(filesystem, "path")?.node;
            let has_lost_and_found =
                path.as_text()? == ETCD_DATA && text(filesystem, "format") == Some("ext4");
            let (reason, help) = if has_lost_and_found {
                ("ext4 has a directory `lost+found`", XFS)
            } else {
                ("this is mounted below it", ONE_MOUNT)
            };
            let is_in_the_way = self.is_in_etcd_data(path.as_text()?, has_lost_and_found);
            is_in_the_way.then(|| Misplaced {
                span: path.span,
                code: Code::EtcdDirectory,
                message: format!("kubeadm requires that `{ETCD_DATA}` is empty, but {reason}"),
                help: Some(help),
            })
        });
        misplaced.collect()
    }

    /// Whether something with this path makes kubeadm find etcd's directory not empty.
    fn is_in_etcd_data(&self, path: &str, is_itself: bool) -> bool {
        let mut ignored = self.ignored_checks.iter();
        self.runs_etcd
            && is_under(path, ETCD_DATA)
            && (is_itself || path != ETCD_DATA)
            && !ignored.any(|check| check == ETCD_CHECK || check == "all")
    }
}

/// Whether kubeadm or nkd writes a file of the PKI.
pub(crate) fn is_pki(path: &str) -> bool {
    let name = path.strip_prefix(paths::KUBERNETES_PKI);
    let name = name.and_then(|name| name.strip_prefix('/'));
    let stem = name.and_then(|name| name.rsplit_once('.'));
    stem.is_some_and(|(stem, kind)| PKI.contains(&stem) && ["crt", "key", "pub"].contains(&kind))
}

/// A kubeconfig on a control plane. kubeadm fails if it has another authority than the cluster.
fn kubeconfig(node: &yaml::Node, path: &str, span: Span) -> Misplaced {
    let is_one = content(node).is_none_or(|text| text.contains("certificate-authority"));
    let message = format!(
        "kubeadm writes `{path}` on a control plane, and fails if the file exists and is not a kubeconfig with the \
         cluster's authority"
    );
    Misplaced {
        span,
        code: Code::KubeadmFile,
        message,
        help: (!is_one).then_some(REMOVE),
    }
}
