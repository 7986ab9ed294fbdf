//! What an installation leaves behind. An image that was made from an installed node makes every machine
//! believe that it is that node.

use nkd_contract::{Cause, paths};

use super::image::Image;
use super::report::Report;

/// Files and directories of nkd, and of Kubernetes, that are missing or empty in an image. For the others, the
/// preflight checks of kubeadm fail.
const PLACES: [(&str, Cause); 10] = [
    (paths::COMPLETE, Cause::PlanVarKept),
    (paths::STATE, Cause::PlanVarKept),
    (paths::NAME, Cause::PlanVarKept),
    ("/etc/nkd", Cause::PlanChanged),
    ("/etc/kubernetes/kubelet.conf", Cause::KubeadmPreflight),
    ("/etc/kubernetes/admin.conf", Cause::KubeadmPreflight),
    (paths::KUBERNETES_PKI, Cause::KubeadmPreflight),
    (paths::KUBERNETES_MANIFESTS, Cause::KubeadmPreflight),
    ("/var/lib/etcd", Cause::KubeadmPreflight),
    ("/var/lib/kubelet/config.yaml", Cause::KubeadmPreflight),
];

pub(super) fn check(image: &Image, report: &mut Report) {
    // An installed machine has all of these.
    if image.is_booted {
        return;
    }
    for (path, cause) in PLACES {
        let is_empty = image.tree.is_directory(path) && image.tree.names(path).is_empty();
        if image.tree.exists(path) && !is_empty {
            report.error(
                cause,
                format!("the image has {path}, which an installation makes"),
                format!("remove {path} from the image"),
            );
        }
    }
}
