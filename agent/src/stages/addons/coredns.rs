//! `CoreDNS` on nodes without a name server.
//!
//! kubeadm configures `CoreDNS` to forward names outside of the cluster to the servers in the
//! `/etc/resolv.conf` of its pod, which are those of the pod's node. If there are none, which is usual in
//! closed networks, `CoreDNS` does not start (`no nameservers found`), and the cluster has no DNS at all.

use nkd_contract::Cause;
use serde_json::json;

use super::super::{Fault, Node, OrFault as _};
use super::{Applied, kubectl};
use crate::system::CommandError;

/// The text that kubeadm writes, in all versions from 1.20 on (`CoreDNSConfigMap`).
const FORWARD: &str = "forward . /etc/resolv.conf {\n";
/// The same text with a further server, which is queried after all others (`policy sequential`). Nothing
/// listens on its port in the pod, so the query fails at once and does not leave the pod.
const FORWARD_OR_FAIL: &str =
    "forward . /etc/resolv.conf 127.0.0.1:9 {\n       policy sequential\n";
/// The name of this change in the record of applied manifests.
const NAME: &str = "configmaps/coredns";

/// Changes kubeadm's Corefile so that `CoreDNS` also runs on nodes without a name server. Does not change
/// any other Corefile.
///
/// # Errors
/// The API does not answer, or refuses the change.
pub(super) fn tolerate_no_name_server(
    node: &mut Node<'_>,
    applied: &mut Applied<'_>,
) -> Result<(), Fault> {
    let change = FORWARD_OR_FAIL.as_bytes();
    if applied.has(NAME, change) {
        return Ok(());
    }
    match forward_or_fail(node) {
        // Without manifests an image needs no kubectl.
        Err(CommandError::Missing { program }) => {
            let message =
                format!("without {program}, CoreDNS only starts on nodes with a name server");
            node.progress(message, None);
            Ok(())
        }
        Err(error) => Err(Fault::of_command(Cause::AddonsApply, error)),
        Ok(()) => applied.add(NAME, change).or_fault(Cause::AddonsApply),
    }
}

fn forward_or_fail(node: &Node<'_>) -> Result<(), CommandError> {
    let namespace = ["--namespace", "kube-system"];
    let corefile = kubectl(node)
        .args(namespace)
        .args(["get", "configmap", "coredns", "--ignore-not-found"])
        .args(["--output", "jsonpath={.data.Corefile}"])
        .read()?;
    if !corefile.contains(FORWARD) {
        return Ok(());
    }
    let changed = corefile.replacen(FORWARD, FORWARD_OR_FAIL, 1);
    let field = "/data/Corefile";
    // The patch fails if the Corefile has changed meanwhile.
    let patch = json!([
        {"op": "test", "path": field, "value": corefile},
        {"op": "replace", "path": field, "value": changed},
    ]);
    kubectl(node)
        .args(namespace)
        .args(["patch", "configmap", "coredns", "--type", "json"])
        .args(["--patch", &patch.to_string()])
        .run()
}
