//! Files on a node that kubeadm or a component of the control plane reads because an overlay names them.

use super::args::{self, Arg};
use super::owned::ETCD_DATA;
use super::patches::{PATCHES, STATIC_PODS, has_patches};
use nkd_document::yaml::Node;
use nkd_document::{Code, Diagnostics, Span};
use nkd_model::{self as model, Cluster, NodeRole, Overlay};

/// Arguments that name a file without which the component does not start.
const FILE_ARGS: [&str; 35] = [
    "admission-control-config-file",
    "audit-policy-file",
    "audit-webhook-config-file",
    "authentication-config",
    "authentication-kubeconfig",
    "authentication-token-webhook-config-file",
    "authorization-config",
    "authorization-kubeconfig",
    "authorization-webhook-config-file",
    "cert-file",
    "client-ca-file",
    "cloud-config",
    "cluster-signing-cert-file",
    "cluster-signing-key-file",
    "config",
    "egress-selector-config-file",
    "encryption-provider-config",
    "etcd-cafile",
    "etcd-certfile",
    "etcd-keyfile",
    "key-file",
    "kubeconfig",
    "kubelet-certificate-authority",
    "kubelet-client-certificate",
    "kubelet-client-key",
    "oidc-ca-file",
    "peer-cert-file",
    "peer-key-file",
    "peer-trusted-ca-file",
    "requestheader-client-ca-file",
    "root-ca-file",
    "service-account-private-key-file",
    "service-account-signing-key-file",
    "tls-cert-file",
    "tls-private-key-file",
];

/// Arguments of kubelet that name a file or a directory without which kubelet does not start. The arguments with files
/// that kubeadm writes are not in this list, because nkd sets them.
const KUBELET_FILE_ARGS: [&str; 7] = [
    "client-ca-file",
    "cloud-config",
    "config-dir",
    "image-credential-provider-bin-dir",
    "image-credential-provider-config",
    "tls-cert-file",
    "tls-private-key-file",
];

/// Directories in which the OS image, nkd, kubeadm or kubelet itself have files that kubelet can read.
const KUBELET_DIRECTORIES: [&str; 4] = [
    "/etc/kubernetes/pki",
    "/etc/pki",
    "/etc/ssl",
    "/var/lib/kubelet",
];

/// A component of the control plane, as kubeadm runs it.
struct Component {
    /// Its field in a `ClusterConfiguration`.
    field: &'static [&'static str],
    /// Its static pod, as patches name it.
    pod: &'static str,
    /// What kubeadm mounts into its pod (kubeadm, `getHostPathVolumesForTheControlPlane` and `GetEtcdPodSpec`), some
    /// of it only if the node has it.
    mounted: &'static [&'static str],
}

const COMPONENTS: [Component; 4] = [
    Component {
        field: &["apiServer"],
        pod: STATIC_PODS[0],
        mounted: &CERTIFICATES,
    },
    Component {
        field: &["controllerManager"],
        pod: STATIC_PODS[1],
        mounted: &CERTIFICATES,
    },
    Component {
        field: &["scheduler"],
        pod: STATIC_PODS[2],
        mounted: &["/etc/kubernetes/scheduler.conf"],
    },
    Component {
        field: &["etcd", "local"],
        pod: "etcd",
        mounted: &["/etc/kubernetes/pki/etcd", ETCD_DATA],
    },
];

/// For the API server and the controller manager, of which only the second one reads the kubeconfig.
const CERTIFICATES: [&str; 7] = [
    "/etc/kubernetes/pki",
    "/etc/ssl/certs",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/etc/kubernetes/controller-manager.conf",
];

/// The directory of the OS image, of which nkd sees nothing.
const OF_IMAGE: &str = "/usr";

/// What to do about a file or directory that no config writes.
const WAY_OUT: &str = "add it with `os.butane` or `os.ignition`, or use `--allow NKD0210` if the OS image or a hook provides it";

/// What the user's configs write on a node.
pub struct Written<'a> {
    /// The paths of files and links, and of directories.
    pub paths: Vec<&'a str>,
}

impl Written<'_> {
    /// Whether a path may exist: the configs write it or something below it, or a link is above it.
    fn may_have(&self, path: &str) -> bool {
        is_under(path, OF_IMAGE)
            || self
                .paths
                .iter()
                .any(|written| is_under(written, path) || is_under(path, written))
    }

    /// Whether the configs patch a static pod.
    fn patches(&self, pod: &str, directory: &str) -> bool {
        let mut names = self.paths.iter().filter_map(|path| {
            let rest = path.strip_prefix(directory)?;
            rest.strip_prefix('/')
        });
        names.any(|name| name.starts_with(pod))
    }
}

/// Reports files that a node does not have, or that its static pods cannot read, except what was reported.
pub fn check(
    cluster: &Cluster,
    node: &model::Node,
    written: &Written<'_>,
    reported: &mut Vec<Span>,
    to: &mut Diagnostics,
) {
    let mut once = |span: Span| {
        let is_new = !reported.contains(&span);
        reported.push(span);
        is_new
    };
    let overlays: Vec<_> = cluster.overlays_of(node).collect();
    let directory = last(&overlays, &["patches", "directory"]);
    let path = directory.and_then(Node::as_text).unwrap_or(PATCHES);
    if let Some(directory) =
        directory.filter(|_| !written.may_have(path) && !is_made(cluster, node, path))
        && once(directory.span)
    {
        let message = format!(
            "no config writes patches into {path} on {}: {WAY_OUT}",
            node.name
        );
        to.warn(Code::OverlayMissing, directory.span, message);
    }
    check_kubelet(cluster, node, written, &mut once, to);
    if node.role != NodeRole::ControlPlane {
        return;
    }
    for component in &COMPONENTS {
        let is_patched = written.patches(component.pod, path);
        for arg in file_args(&overlays, component) {
            let (Some(value), Some(file)) = (arg.value, arg.text()) else {
                continue;
            };
            match host_path(&overlays, component, file) {
                Mounted::Own(host) if !written.may_have(&host) && once(value.span) => {
                    let message = format!(
                        "`{}` of {} needs the file {host}, which no config writes on {}: {WAY_OUT}",
                        arg.name, component.pod, node.name
                    );
                    to.warn(Code::OverlayMissing, value.span, message);
                }
                Mounted::No if !is_patched && once(value.span) => {
                    let message = format!(
                        "`{}` names {file}, but the pod of {} has no such file",
                        arg.name, component.pod
                    );
                    to.report_with_help(
                        Code::OverlayFile,
                        value.span,
                        message,
                        component.help(file),
                    );
                }
                _ => {}
            }
        }
    }
}

/// Reports files that kubelet reads because of its arguments, but that a node does not have.
fn check_kubelet(
    cluster: &Cluster,
    node: &model::Node,
    written: &Written<'_>,
    once: &mut impl FnMut(Span) -> bool,
    to: &mut Diagnostics,
) {
    let args = kubelet_args(cluster, node).into_iter();
    for (name, file, span) in args.filter(|(name, ..)| KUBELET_FILE_ARGS.contains(name)) {
        let mut provided = KUBELET_DIRECTORIES.iter();
        if file.starts_with('/')
            && !written.may_have(file)
            && !provided.any(|root| is_under(file, root))
            && once(span)
        {
            let message = format!(
                "kubelet's argument `{name}` needs {file}, which no config writes on {}: {WAY_OUT}",
                node.name
            );
            to.warn(Code::OverlayMissing, span, message);
        }
    }
}

/// The arguments of kubelet on a node: name, value, and the place of the value.
fn kubelet_args<'a>(cluster: &'a Cluster, node: &'a model::Node) -> Vec<(&'a str, &'a str, Span)> {
    let kind = if cluster.is_init(node) {
        "InitConfiguration"
    } else {
        "JoinConfiguration"
    };
    let documents = cluster.overlays_of(node).map(|overlay| &overlay.document);
    let read = documents.filter(|document| {
        let document_kind = document.get("kind").and_then(Node::as_text);
        document_kind == Some(kind)
    });
    let of_overlays = read.filter_map(|document| {
        let registration = document.get("nodeRegistration")?;
        registration.get("kubeletExtraArgs").map(args::all)
    });
    let of_overlays = of_overlays.flatten();
    let of_overlays = of_overlays.filter_map(|arg| Some((arg.name, arg.text()?, arg.value?.span)));
    let own = node.kubelet_args.iter();
    own.map(|(name, value)| (name.as_str(), value.value.as_str(), value.span))
        .chain(of_overlays)
        .collect()
}

/// Whether nkd itself writes the directory.
fn is_made(cluster: &Cluster, node: &model::Node, path: &str) -> bool {
    path == PATCHES && has_patches(cluster, node)
}

impl Component {
    /// How the pod gets a file.
    fn help(&self, file: &str) -> String {
        match self.field {
            _ if !file.starts_with('/') => "write an absolute path".to_owned(),
            [field] => format!(
                "add {{name: NAME, hostPath: {file}, mountPath: {file}, readOnly: true, pathType: File}} to \
                 `{field}.extraVolumes`"
            ),
            _ => format!("put the file into {}", self.mounted[0]),
        }
    }
}

/// The last overlay's value at a path.
fn last<'a>(overlays: &[&'a Overlay], path: &[&str]) -> Option<&'a Node> {
    let documents = overlays.iter().rev().map(|overlay| &overlay.document);
    let mut values = documents.filter_map(|document| {
        let mut keys = path.iter();
        keys.try_fold(document, |node, key| node.get(key))
    });
    values.next()
}

/// The arguments of a component that name files, each as the last overlay has it.
fn file_args<'a>(overlays: &[&'a Overlay], component: &Component) -> Vec<Arg<'a>> {
    let mut all: Vec<Arg<'a>> = Vec::new();
    for overlay in overlays {
        let mut path = component.field.iter().chain(&["extraArgs"]);
        let args = path.try_fold(&overlay.document, |node, key| node.get(key));
        for arg in args.map(args::all).into_iter().flatten() {
            if FILE_ARGS.contains(&arg.name) {
                all.retain(|earlier| earlier.name != arg.name);
                all.push(arg);
            }
        }
    }
    all.retain(|arg| arg.text().is_some_and(|file| !file.is_empty()));
    all
}

/// Where a file of a static pod is on the node.
enum Mounted {
    /// In a volume of the user, at this path.
    Own(String),
    /// In a volume of kubeadm, or created together with a volume.
    Kubeadm,
    /// In no volume.
    No,
}

fn host_path(overlays: &[&Overlay], component: &Component, file: &str) -> Mounted {
    let path: Vec<_> = component
        .field
        .iter()
        .copied()
        .chain(["extraVolumes"])
        .collect();
    let volumes = last(overlays, &path).map(Node::items).unwrap_or_default();
    let text = |volume: &Node, key| {
        let text = volume.get(key).and_then(Node::as_text);
        text.unwrap_or_default().trim_end_matches('/').to_owned()
    };
    let mounts = volumes
        .iter()
        .map(|volume| (text(volume, "mountPath"), volume));
    let of_file = mounts.filter(|(mount, _)| is_under(file, mount));
    match of_file.max_by_key(|(mount, _)| mount.len()) {
        Some((_, volume))
            if text(volume, "pathType").ends_with("OrCreate")
                && file == text(volume, "mountPath") =>
        {
            Mounted::Kubeadm
        }
        Some((mount, volume)) => Mounted::Own(format!(
            "{}{}",
            text(volume, "hostPath"),
            &file[mount.len()..]
        )),
        None if component.mounted.iter().any(|root| is_under(file, root)) => Mounted::Kubeadm,
        None => Mounted::No,
    }
}

fn is_under(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
