//! `kubeadm`: `kubeadm init` or `kubeadm join`, repeated until it succeeds.
//!
//! kubeadm cannot resume: a second run fails at the files of the first. So each attempt first examines
//! the files on the disk. A node that has finished has a marker, and is never changed again. If a node
//! may have joined, the agent first asks the cluster. A control plane that still comes up is kept,
//! because other nodes may have joined it. The agent resets only what certainly belongs to a failed
//! attempt, and resets nothing while the cluster does not answer.

mod discovery;
mod etcd;
mod files;
mod init;
mod join;
pub(super) mod ports;

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use nkd_contract::{Cause, Plan, Role, Stage, paths};

use super::addons::Applied;
use super::api::{Api, ApiCauses, ApiError};
use super::{Fault, Node, OrFault as _, images, sync};
use crate::runtimes;
use crate::system::files::{copy_tree, write_atomic};
use crate::system::{CommandError, attended};
use files::{ETCD_DATA, INIT_REPAIR, QUORUM_REPAIR};

pub(super) use discovery::token;
pub(super) use etcd::EtcdCauses;
pub(crate) use files::{ADMIN_CONFIG, MEMBER};

/// The time limit for kubeadm. `kubeadm init` usually takes less than a minute, but several minutes on
/// slow disks.
const KUBEADM: Duration = Duration::from_secs(15 * 60);
const RESET: Duration = Duration::from_secs(5 * 60);
/// The time limit for the static pods of an earlier attempt to come up again: as long as kubeadm itself
/// waits for them (`timeoutForControlPlane`).
const CONTROL_PLANE: Duration = Duration::from_secs(4 * 60);

const API_CAUSES: ApiCauses = ApiCauses {
    unreachable: Cause::KubeadmUnreachable,
    untrusted: Cause::KubeadmUntrusted,
    not_ready: Cause::KubeadmNotReady,
};
const ETCD_CAUSES: EtcdCauses = EtcdCauses {
    members: Cause::KubeadmEtcd,
    quorum: Cause::KubeadmEtcdQuorum,
};

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    if files::is_member(node) {
        node.progress("kubeadm has already finished on this node", None);
        return Ok(());
    }
    // kubeadm starts kubelet, but leaves it to others to have it started on later boots.
    let enable = node.root.command("systemctl");
    enable
        .args(["enable", "kubelet.service"])
        .run()
        .map_err(|error| Fault::of_command(Cause::KubeadmFailed, error))?;
    match node.plan.role {
        Role::Init => {
            Applied::forget(node.root).or_fault(Cause::KubeadmFailed)?;
            init::run(node)
        }
        Role::JoinControlPlane | Role::JoinWorker => join::run(node),
    }?;
    // The mark must not survive a power cut that loses the files it stands for.
    sync(node.root, node.plan)?;
    images::settle_unsynced(node).map_err(images_failed)?;
    let authority = node.plan.certificate_authority.as_bytes();
    write_atomic(&node.root.path(MEMBER), authority, 0o644)
        .context(MEMBER)
        .or_fault(Cause::KubeadmFailed)
}

/// Whether kubeadm has ever begun on this node, whatever the agent's state is.
pub(super) fn has_begun(node: &Node<'_>) -> bool {
    files::is_member(node) || files::has_traces(node)
}

/// Restores the quorum of etcd if it is missing because of this node only, so that the cluster's API can
/// come up. Returns whether it was restored.
///
/// # Errors
/// etcd still has no leader.
pub(super) fn repair_quorum(node: &mut Node<'_>, causes: EtcdCauses) -> Result<bool, Fault> {
    Ok(join::is_stacked(node) && etcd::repair_quorum(node, causes)?)
}

/// Whether the control plane of an earlier attempt works on this machine itself, to whichever machine the
/// endpoint leads. Nodes may have joined it, so the agent waits until it comes up.
fn control_plane_runs(node: &mut Node<'_>) -> bool {
    if !files::control_plane_is_whole(node) {
        return false;
    }
    start_kubelet(node);
    let healthy = node.poll(CONTROL_PLANE, own_api_answers);
    healthy.is_ok()
}

fn own_api_answers(node: &Node<'_>) -> Result<(), Fault> {
    let endpoint = own_api(node.plan);
    let ask = |api: Api| api.at(&endpoint).get("/readyz");
    let mut answer = Api::anonymous(node.plan).and_then(ask);
    // An API server that refuses anonymous requests answers its kubelet.
    if matches!(answer, Err(ApiError::Status(401 | 403)))
        && let Some(kubelet) = Api::as_kubelet(node)
    {
        answer = kubelet.and_then(ask);
    }
    answer
        .map(drop)
        .map_err(|error| error.fault(&API_CAUSES, &endpoint, "/readyz"))
}

/// Starts kubelet, which runs static pods without an API.
fn start_kubelet(node: &Node<'_>) {
    let start = node.root.command("systemctl");
    if let Err(error) = start.args(["start", "kubelet.service"]).run() {
        log::warn!("{:#}", anyhow::Error::from(error));
    }
}

/// The address and port of this machine's own API server.
fn own_api(plan: &Plan) -> String {
    let port = plan.machine.api_port();
    let address = plan.machine.addresses.first();
    address.map_or_else(
        || plan.endpoint.clone(),
        |address| SocketAddr::new(*address, port).to_string(),
    )
}

/// Removes what an earlier attempt has left.
///
/// kubeadm's own phase for etcd is always skipped. If kubeadm does not run etcd, the phase would still
/// empty `/var/lib/etcd`, which belongs to another program. If kubeadm runs etcd, the phase removes the
/// member without checking the result, and deletes the data in any case. On a joining control plane, the
/// agent has already removed the member and checked that it is gone. On the init node there is no other
/// member, and the phase could only wait for an API that may be down.
fn reset(node: &mut Node<'_>) -> Result<(), Fault> {
    node.progress("cleaning up after an earlier attempt", None);
    let socket = runtimes::of(node.plan.runtime).cri_socket();
    node.root
        .command("kubeadm")
        .args(["reset", "--force", "--cri-socket", &socket])
        .args(["--skip-phases=remove-etcd-member"])
        .timeout(RESET)
        .run()
        .map_err(|error| Fault::of_command(Cause::KubeadmReset, error))?;
    images::discard_unsynced(node).map_err(images_failed)?;
    if node.plan.runs_etcd {
        match attended(|| fs::remove_dir_all(node.root.path(ETCD_DATA))) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Fault::of(Cause::KubeadmReset, error).context(ETCD_DATA));
            }
            _ => {}
        }
    }
    // Otherwise a power cut could bring back the data of the removed member beside those of the next one.
    sync(node.root, node.plan)?;
    for mark in [QUORUM_REPAIR, INIT_REPAIR] {
        files::remove_named(node, mark).or_fault(Cause::KubeadmReset)?;
    }
    Ok(())
}

/// Copies the delivered files for kubeadm and kubelet. Without the cluster's own authorities, kubeadm
/// would create others. kubelet needs the static pods of nkd, such as kube-vip.
fn restore(node: &Node<'_>) -> Result<(), Fault> {
    restore_pki(node)?;
    copy_delivered(node, paths::MANIFESTS, paths::KUBERNETES_MANIFESTS)
}

fn restore_pki(node: &Node<'_>) -> Result<(), Fault> {
    copy_delivered(node, paths::PKI, paths::KUBERNETES_PKI)
}

fn copy_delivered(node: &Node<'_>, delivered: &str, place: &str) -> Result<(), Fault> {
    let from = node.root.path(delivered);
    if !from.exists() {
        return Ok(());
    }
    copy_tree(&from, &node.root.path(place))
        .with_context(|| format!("copying {delivered} to {place}"))
        .or_fault(Cause::KubeadmFailed)
}

/// The argument for a kubeadm whose configuration cannot name the directory of its patches.
fn patches(plan: &Plan) -> impl Iterator<Item = &str> {
    let directory = plan.patches_argument.as_deref();
    directory
        .into_iter()
        .flat_map(|directory| ["--experimental-patches", directory])
}

fn kubeadm(node: &Node<'_>, arguments: &[&str]) -> Result<(), Fault> {
    node.root
        .command("kubeadm")
        .args(arguments)
        .timeout(KUBEADM)
        .run()
        .map_err(fault_of)
}

/// The fault of handling the images that kubeadm has pulled, for which this stage uses code of the stage
/// `images`.
fn images_failed(fault: Fault) -> Fault {
    fault.reported_by(Stage::Kubeadm, Cause::KubeadmImages)
}

/// The fault of a failed kubeadm, with the error lines among its last lines if there are any.
fn fault_of(error: CommandError) -> Fault {
    let cause = cause_of(&error);
    let errors: Vec<_> = error
        .tail()
        .iter()
        .map(|line| line.trim())
        .filter(|line| line.starts_with("error") || line.starts_with("[ERROR"))
        .collect();
    if errors.is_empty() {
        return Fault::of_command(cause, error);
    }
    Fault::new(cause, errors.join(" | "))
}

/// The cause of a failure, from the last lines of kubeadm.
fn cause_of(error: &CommandError) -> Cause {
    let has_words = |words: &str| error.tail().iter().any(|line| line.contains(words));
    if matches!(error, CommandError::TimedOut { .. }) {
        Cause::KubeadmTimeout
    } else if has_words("[ERROR ") {
        Cause::KubeadmPreflight
    } else if has_words("Unauthorized") {
        // The gate was passed, so the cluster has all of its tokens, and this one isn't among them.
        Cause::KubeadmToken
    } else if has_words("already exists in the cluster") {
        Cause::KubeadmNameTaken
    } else {
        Cause::KubeadmFailed
    }
}
