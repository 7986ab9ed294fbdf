//! A joining node: runs `kubeadm join`.

use std::time::Duration;

use nkd_contract::{Cause, Plan, Role, paths};
use serde_json::json;

use super::files::{
    self, INSTANCE_SETTINGS, KUBELET_BOOTSTRAP_CONFIG, KUBELET_FLAGS, QUORUM_REPAIR,
};
use super::{
    API_CAUSES, Api, ETCD_CAUSES, Fault, Node, control_plane_runs, discovery, etcd, kubeadm,
    own_api_answers, patches, reset, restore,
};
use crate::runtimes;
use crate::stages::OrFault as _;
use crate::stages::api::{self, ApiError};

/// How long it may take until an API server accepts a token that another one has stored.
const TOKEN: Duration = Duration::from_secs(15);
/// The label that `kubeadm join --control-plane` sets when its etcd has joined.
const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";
/// The annotation from which later runs of kubeadm read a node's CRI socket (kubeadm,
/// `constants.AnnotationKubeadmCRISocket`).
const CRI_SOCKET: &str = "kubeadm.alpha.kubernetes.io/cri-socket";

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let traces = files::has_traces(node);
    if traces && is_done(node)? {
        node.progress("the node has already joined", None);
        return finish_worker(node);
    }
    if is_stacked(node) || node.plan.pool.is_some() {
        name_is_free(node)?;
    }
    if is_stacked(node) {
        etcd::leave(node, traces)?;
    }
    if traces || files::has_traces(node) {
        reset(node)?;
    }
    restore(node)?;
    token_is_known(node)?;
    discovery::write(node)?;
    let mut arguments = vec!["join", "--config", paths::KUBEADM];
    if node.plan.pool.is_some() {
        // The configuration is the same on all machines of the pool.
        arguments.extend(["--node-name", &node.plan.node]);
    }
    arguments.extend(patches(node.plan));
    let joined = kubeadm(node, &arguments);
    // kubeadm may give up on a kubelet that is only slow.
    if joined.is_err() && has_joined(node).unwrap_or(false) {
        node.progress("kubeadm failed, but the node has joined", None);
        return finish_worker(node);
    }
    joined
}

/// Finishes the join of a worker that was interrupted after kubelet had got its credentials. Like
/// `kubeadm join`, it writes the node's CRI socket into the Node object, which `kubeadm upgrade node`
/// requires, and removes kubelet's bootstrap token from the disk. kubeadm would refuse a second join
/// while the node is Ready, and a reset would end the pods that already run on it.
fn finish_worker(node: &mut Node<'_>) -> Result<(), Fault> {
    if node.plan.role != Role::JoinWorker {
        // Its label comes after all that.
        return Ok(());
    }
    if !files::is_whole(node, INSTANCE_SETTINGS) {
        annotate_cri_socket(node)?;
    }
    files::remove_named(node, KUBELET_BOOTSTRAP_CONFIG).or_fault(Cause::KubeadmFailed)
}

fn annotate_cri_socket(node: &mut Node<'_>) -> Result<(), Fault> {
    let Some(api) = Api::as_kubelet(node) else {
        let message = "kubelet's credentials are missing";
        return Err(Fault::new(Cause::KubeadmFailed, message));
    };
    let plan = node.plan;
    let failed =
        |error: ApiError| error.fault(&API_CAUSES, &plan.endpoint, "this node's own object");
    let api = api.map_err(failed)?;
    let object = api.node(&plan.node).map_err(failed)?;
    if object["metadata"]["annotations"][CRI_SOCKET].is_string() {
        return Ok(());
    }
    node.progress(
        "kubeadm was interrupted before its last step; completing it",
        None,
    );
    let annotations = json!({CRI_SOCKET: annotated_socket(plan)});
    let change = json!({"metadata": {"annotations": annotations}});
    api.patch_node(&plan.node, &change).map_err(|error| {
        error.fault(
            &API_CAUSES,
            &plan.endpoint,
            "a change of this node's own object",
        )
    })
}

/// A node's CRI socket, in the form that kubeadm of its version writes: from 1.24 on with a scheme.
fn annotated_socket(plan: &Plan) -> String {
    if plan.kubernetes_minor() < 24 {
        plan.runtime.cri_endpoint(false)
    } else {
        runtimes::of(plan.runtime).cri_socket()
    }
}

/// Whether kubeadm runs an etcd on this node that joins etcd on other control planes.
pub(super) fn is_stacked(node: &Node<'_>) -> bool {
    node.plan.role == Role::JoinControlPlane && node.plan.runs_etcd
}

/// Whether the node has joined. If the API does not answer because the quorum of etcd is missing because
/// of this node, the agent restores the quorum first.
fn is_done(node: &mut Node<'_>) -> Result<bool, Fault> {
    match has_joined(node) {
        Err(fault) if is_stacked(node) && fault.cause != Cause::KubeadmControlPlane => {
            if etcd::repair_quorum(node, ETCD_CAUSES)? {
                has_joined(node)
            } else {
                Err(fault)
            }
        }
        joined => joined,
    }
}

/// Checks the token. With an unknown token, kubeadm would send requests for five minutes, and then report
/// another error.
fn token_is_known(node: &mut Node<'_>) -> Result<(), Fault> {
    let Some(token) = discovery::token(node) else {
        return Ok(());
    };
    node.poll(TOKEN, |node| {
        let api = Api::with_token(node.plan, &token);
        match api.and_then(|api| api.node(&node.plan.node)) {
            Err(ApiError::Status(401)) => {
                let message = "the API answers 401 Unauthorized to this node's bootstrap token";
                Err(Fault::new(Cause::KubeadmToken, message))
            }
            // kubeadm reports all other errors.
            _ => Ok(()),
        }
    })
}

/// Checks that the node's name is free, as kubeadm does, but before the member with this name is removed
/// from etcd. After an interrupted attempt, the Ready Node object may be the one of this machine.
///
/// In an open pool, nkd has not checked that all names differ. kubeadm refuses a name only if its node is
/// Ready. The agent also refuses it if a kubelet still reports its node, because both machines would run the
/// node's pods, and if its node is a control plane.
pub(super) fn name_is_free(node: &Node<'_>) -> Result<(), Fault> {
    let name = &node.plan.node;
    let token = discovery::token(node);
    // kubeadm reports all other errors.
    let object = token.and_then(|token| Api::with_token(node.plan, &token).ok()?.node(name).ok());
    let Some(object) = object.filter(|object| !api::is_of_this_boot(object)) else {
        return Ok(());
    };
    let is_open = node.plan.pool.is_some();
    let labels = &object["metadata"]["labels"];
    let holder = match api::readiness(&object) {
        Ok(()) => "a Ready node",
        Err(_) if is_open && labels.get(CONTROL_PLANE_LABEL).is_some() => "a control plane",
        Err(_) if is_open && api::is_reported(&object) => "a running kubelet of a node",
        Err(_) => return Ok(()),
    };
    let message = format!("the cluster already has {holder} {name}");
    Err(Fault::new(Cause::KubeadmNameTaken, message))
}

/// Whether this node is a member of the cluster. The agent asks the cluster, with the credentials of
/// kubelet. Without credentials, or if a power cut has torn its settings, kubelet cannot run, and the
/// node does not count as a member.
///
/// # Errors
/// The cluster does not answer, or the node is one of its control planes and does not come up.
/// Nothing may be deleted then.
fn has_joined(node: &mut Node<'_>) -> Result<bool, Fault> {
    let endpoint = &node.plan.endpoint;
    if files::exists(node, QUORUM_REPAIR)
        || !files::kubelet_is_whole(node)
        || [INSTANCE_SETTINGS, KUBELET_FLAGS]
            .into_iter()
            .any(|path| files::is_torn(node, path))
    {
        return Ok(false);
    }
    let Some(api) = Api::as_kubelet(node) else {
        return Ok(false);
    };
    match api.and_then(|api| api.node(&node.plan.node)) {
        Ok(_) if node.plan.role == Role::JoinWorker => Ok(true),
        Ok(object) => {
            let labels = &object["metadata"]["labels"];
            if labels.get(CONTROL_PLANE_LABEL).is_none() {
                return Ok(false);
            }
            labelled_has_joined(node)
        }
        Err(ApiError::Status(401 | 403 | 404)) => Ok(false),
        Err(error) => Err(error.fault(&API_CAUSES, endpoint, "this node's own object")),
    }
}

/// Whether a node with the label of a control plane is one. If etcd does not list it as a started member,
/// or if its data are missing, the label is from an earlier installation of the machine. If a power cut
/// has torn its files, the node cannot be a control plane again either.
fn labelled_has_joined(node: &mut Node<'_>) -> Result<bool, Fault> {
    if files::control_plane_is_whole(node) && own_api_answers(node).is_ok() {
        return Ok(true);
    }
    if files::is_anything_torn(node) {
        return Ok(false);
    }
    if is_stacked(node) && !(files::has_etcd_data(node) && etcd::is_started_member(node)?) {
        return Ok(false);
    }
    if control_plane_runs(node) {
        return Ok(true);
    }
    let message = "this node is a control plane of the cluster, but its API server doesn't come up; it is \
                   not reset";
    Err(Fault::new(Cause::KubeadmControlPlane, message))
}
