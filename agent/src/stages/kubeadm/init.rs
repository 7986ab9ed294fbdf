//! The init node: runs `kubeadm init`.

use std::fs;

use nkd_contract::{Cause, Plan, paths};

use super::files::{self, ETCD_LOG, INIT_REPAIR, KUBELET_CONFIG};
use super::{
    Api, Fault, Node, control_plane_runs, etcd, kubeadm, own_api, patches, ports, reset, restore,
};
use crate::stages::OrFault as _;
use crate::stages::api::ApiError;

/// The preflight checks that fail in a second `kubeadm init` if the first one was interrupted.
const ALREADY_THERE: &str = "FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml,\
    FileAvailable--etc-kubernetes-manifests-kube-controller-manager.yaml,\
    FileAvailable--etc-kubernetes-manifests-kube-scheduler.yaml,\
    FileAvailable--etc-kubernetes-manifests-etcd.yaml,\
    DirAvailable--var-lib-etcd";

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let mut arguments = vec!["init", "--config", paths::KUBEADM, "--skip-token-print"];
    let already_there = already_there(node.plan);
    if goes_on(node)? {
        arguments.extend(["--ignore-preflight-errors", &already_there]);
    }
    arguments.extend(patches(node.plan));
    restore(node)?;
    kubeadm(node, &arguments)
}

fn already_there(plan: &Plan) -> String {
    let [controller_manager, scheduler] = ports::CONTROLLERS;
    let ports = [
        ports::KUBELET,
        controller_manager,
        scheduler,
        ports::ETCD_CLIENTS,
        ports::ETCD_PEERS,
        plan.machine.api_port(),
    ];
    let ports = ports.map(|port| format!(",Port-{port}"));
    format!("{ALREADY_THERE}{}", ports.concat())
}

/// Whether kubeadm continues with the files of an earlier attempt. If not, these files are removed when
/// this returns.
fn goes_on(node: &mut Node<'_>) -> Result<bool, Fault> {
    if control_plane_runs(node) {
        let message =
            "the control plane of an earlier attempt is running; kubeadm continues with it";
        node.progress(message, None);
        return Ok(true);
    }
    if needs_repair(node) {
        repair(node)?;
        return Ok(true);
    }
    may_begin(node)?;
    if files::has_traces(node) {
        reset(node)?;
    }
    Ok(false)
}

/// Whether etcd has data on this node, but a power cut has torn files that the control plane needs. One
/// of them may be kubelet's kubeconfig, which would show whether nodes may have joined. If etcd's log is
/// blank, no node has joined.
fn needs_repair(node: &Node<'_>) -> bool {
    files::has_etcd_data(node)
        && !etcd::is_blank(&node.root.path(ETCD_LOG))
        && (files::is_anything_torn(node) || files::exists(node, INIT_REPAIR))
}

/// Removes the torn files, so that `kubeadm init` writes them again and keeps etcd's data; all its phases
/// can be repeated. Because of a marker, all later attempts repair too: the new files no longer show
/// whether nodes have joined.
fn repair(node: &mut Node<'_>) -> Result<(), Fault> {
    let message = "a power cut has emptied files of an earlier attempt; kubeadm writes them again and \
                   keeps etcd's data";
    node.progress(message, None);
    files::mark(node, INIT_REPAIR)
        .and_then(|()| files::remove_torn(node))
        .or_fault(Cause::KubeadmFailed)
}

/// Refuses to create the cluster a second time, while another control plane serves it, or after nodes may
/// have joined the cluster that was created here.
fn may_begin(node: &Node<'_>) -> Result<(), Fault> {
    let plan = node.plan;
    let answers = |endpoint: &str| {
        let answer = Api::anonymous(plan).and_then(|api| api.at(endpoint).get("/readyz"));
        matches!(answer, Ok(_) | Err(ApiError::Status(_)))
    };
    let (endpoint, own_endpoint) = (&plan.endpoint, own_api(plan));
    if *endpoint != own_endpoint && answers(endpoint) && !answers(&own_endpoint) {
        let message = format!("another machine already serves the cluster at {endpoint}");
        return Err(Fault::new(Cause::KubeadmClusterExists, message));
    }
    // The last thing but add-ons that init does, after the tokens (kubeadm, `kubelet-finalize`).
    let kubelet = fs::read_to_string(node.root.path(KUBELET_CONFIG));
    if kubelet.is_ok_and(|text| text.contains("kubelet-client-current.pem")) {
        let message = "the control plane of an earlier attempt does not come up. It is not reset, \
                       because nodes may have joined it";
        return Err(Fault::new(Cause::KubeadmControlPlane, message));
    }
    Ok(())
}
