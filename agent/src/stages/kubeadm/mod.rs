//! `kubeadm`: `kubeadm init` or `kubeadm join`, again and again from a clean start, and never
//! against a node that works.

mod discovery;
mod etcd;

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use nkd_contract::{Cause, Plan, Role, Runtime, paths};

use super::api::{self, Api, ApiError};
use super::{Fault, Node, images, sync};
use crate::system::CommandError;
use crate::system::files::{copy_tree, write_atomic};

/// A healthy `kubeadm init` takes less than a minute; on slow disks it takes many.
const KUBEADM: Duration = Duration::from_secs(15 * 60);
const RESET: Duration = Duration::from_secs(5 * 60);
/// How long the static pods of an earlier attempt may take to come up again: as long as kubeadm
/// itself waits for them (`timeoutForControlPlane`).
const CONTROL_PLANE: Duration = Duration::from_secs(4 * 60);

/// What kubeadm has written once a control plane can come up by itself. The scheduler's is the last
/// but etcd's own, which isn't there when etcd is external.
const CONTROL_PLANE_FILES: [&str; 3] = [
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
];
/// Says that kubeadm has come to its end here, and for the cluster of which authority. Whatever
/// happens later, such a node is never reset again: not when the agent has lost its state, and not
/// when its cluster is slow to come up.
pub(crate) const MEMBER: &str = "/etc/kubernetes/nkd-member.crt";
const KUBELET_CONFIG: &str = "/etc/kubernetes/kubelet.conf";
const ETCD_DATA: &str = "/var/lib/etcd/member";
/// Whatever kubeadm writes before its end.
const TRACES: [&str; 4] = [
    KUBELET_CONFIG,
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/var/lib/kubelet/config.yaml",
];
/// The label that `kubeadm join --control-plane` sets when its etcd has joined.
const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";
/// What the preflight of a second `kubeadm init` finds where the first one was cut off.
const ALREADY_THERE: &str = "FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml,\
    FileAvailable--etc-kubernetes-manifests-kube-controller-manager.yaml,\
    FileAvailable--etc-kubernetes-manifests-kube-scheduler.yaml,\
    FileAvailable--etc-kubernetes-manifests-etcd.yaml,\
    DirAvailable--var-lib-etcd,Port-10250,Port-10257,Port-10259,Port-2379,Port-2380";

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    if is_member(node) {
        node.progress("kubeadm has done its work here already", None);
        return Ok(());
    }
    match node.plan.role {
        Role::Init => init(node),
        Role::JoinControlPlane | Role::JoinWorker => join(node),
    }?;
    // The mark must not outlive what it stands for.
    sync(node.root, node.plan)?;
    images::settle_unsynced(node)?;
    let authority = node.plan.certificate_authority.as_bytes();
    write_atomic(&node.root.path(MEMBER), authority, 0o644)
        .map_err(|error| Fault::new(Cause::KubeadmFailed, format!("{MEMBER}: {error}")))
}

/// A person's own `kubeadm reset` takes kubelet's file away.
fn is_member(node: &Node<'_>) -> bool {
    let authority = fs::read(node.root.path(MEMBER));
    authority.is_ok_and(|it| it == node.plan.certificate_authority.as_bytes())
        && node.root.path(KUBELET_CONFIG).exists()
}

fn init(node: &mut Node<'_>) -> Result<(), Fault> {
    let mut arguments = vec!["init", "--config", paths::KUBEADM, "--skip-token-print"];
    let already_there;
    if control_plane_runs(node) {
        node.progress(
            "an earlier attempt's control plane runs; kubeadm goes on with it",
            None,
        );
        let port = node.plan.machine.api_port();
        already_there = format!("{ALREADY_THERE},Port-{port}");
        arguments.extend(["--ignore-preflight-errors", &already_there]);
    } else {
        may_begin(node)?;
        if has_traces(node) {
            reset(node)?;
        }
    }
    restore(node)?;
    kubeadm(node, &arguments)
}

/// A cluster is made once: not beside itself, where another control plane serves it already, and not
/// over its own data, once nodes may have joined.
fn may_begin(node: &Node<'_>) -> Result<(), Fault> {
    let plan = node.plan;
    let answers = |endpoint: &str| {
        let answer = Api::anonymous(plan).and_then(|api| api.at(endpoint).get("/readyz"));
        matches!(answer, Ok(_) | Err(ApiError::Status(_)))
    };
    let (endpoint, own) = (&plan.endpoint, own_api(plan));
    if *endpoint != own && answers(endpoint) && !answers(&own) {
        let message =
            format!("the cluster is served at {endpoint} already, and not by this machine");
        return Err(Fault::new(Cause::KubeadmClusterExists, message));
    }
    // The last thing but add-ons that init does, after the tokens (kubeadm, `kubelet-finalize`).
    let kubelet = fs::read_to_string(node.root.path(KUBELET_CONFIG));
    if kubelet.is_ok_and(|it| it.contains("kubelet-client-current.pem")) {
        let message = "the control plane of an earlier attempt doesn't come up, and is not reset, for \
                       nodes may have joined it";
        return Err(Fault::new(Cause::KubeadmControlPlane, message));
    }
    Ok(())
}

fn join(node: &mut Node<'_>) -> Result<(), Fault> {
    if has_traces(node) {
        if has_joined(node)? {
            node.progress("the node has joined already", None);
            return Ok(());
        }
        reset(node)?;
    }
    restore(node)?;
    if node.plan.role == Role::JoinControlPlane && node.plan.runs_etcd {
        name_is_free(node)?;
        etcd::forget_earlier_self(node)?;
    }
    discovery::write(node)?;
    let joined = kubeadm(node, &["join", "--config", paths::KUBEADM]);
    // kubeadm may give up on a kubelet that is only slow.
    if joined.is_err() && has_joined(node).unwrap_or(false) {
        node.progress("kubeadm failed, but the node has joined", None);
        return Ok(());
    }
    joined
}

/// As kubeadm will look itself, but before this node's name is taken off etcd's members.
fn name_is_free(node: &Node<'_>) -> Result<(), Fault> {
    let name = &node.plan.node;
    let token = discovery::token(node);
    // Whatever else is wrong, kubeadm says.
    let object = token.and_then(|token| Api::with_token(node.plan, &token).ok()?.node(name).ok());
    if object.is_some_and(|object| api::readiness(&object).is_ok()) {
        let message = format!("a Ready node {name} is in the cluster");
        return Err(Fault::new(Cause::KubeadmNameTaken, message));
    }
    Ok(())
}

/// Whether kubeadm has ever begun here, whatever the agent remembers.
pub(super) fn has_begun(node: &Node<'_>) -> bool {
    is_member(node) || has_traces(node)
}

fn has_traces(node: &Node<'_>) -> bool {
    let own_etcd = node.plan.runs_etcd.then_some(ETCD_DATA);
    TRACES
        .into_iter()
        .chain(own_etcd)
        .any(|path| node.root.path(path).exists())
}

/// Whether the control plane that an earlier attempt began on this machine works, whoever else is
/// reached by the endpoint. Nodes may have joined it, so it is given time.
fn control_plane_runs(node: &mut Node<'_>) -> bool {
    if !CONTROL_PLANE_FILES
        .iter()
        .all(|path| node.root.path(path).exists())
    {
        return false;
    }
    if let Err(error) = node
        .root
        .command("systemctl")
        .args(["start", "kubelet.service"])
        .run()
    {
        log::warn!("{error}");
    }
    let healthy = node.poll(CONTROL_PLANE, |node| {
        let own = own_api(node.plan);
        Api::anonymous(node.plan)
            .and_then(|api| api.at(&own).get("/readyz"))
            .map_err(|error| error.at_gate(&own, "/readyz"))
    });
    healthy.is_ok()
}

/// Where this machine's own API server listens.
fn own_api(plan: &Plan) -> String {
    let port = plan.machine.api_port();
    let address = plan.machine.addresses.first();
    address.map_or_else(
        || plan.endpoint.clone(),
        |address| SocketAddr::new(*address, port).to_string(),
    )
}

/// Whether this node is a member of the cluster, by the word of the cluster itself and with the
/// credentials its kubelet got. The label of a control plane may be of an earlier life; it is one
/// when its own API server works.
///
/// # Errors
/// The cluster can't be asked. Then nobody knows, and nothing may be thrown away.
fn has_joined(node: &mut Node<'_>) -> Result<bool, Fault> {
    let endpoint = &node.plan.endpoint;
    let Some(api) = Api::as_kubelet(node).filter(|_| node.root.path(KUBELET_CONFIG).exists())
    else {
        return Ok(false);
    };
    match api.and_then(|api| api.node(&node.plan.node)) {
        Ok(_) if node.plan.role == Role::JoinWorker => Ok(true),
        Ok(object) => {
            let labels = &object["metadata"]["labels"];
            Ok(labels.get(CONTROL_PLANE_LABEL).is_some() && control_plane_runs(node))
        }
        Err(ApiError::Status(401 | 403 | 404)) => Ok(false),
        Err(error) => Err(error.at_gate(endpoint, "this node's own object")),
    }
}

/// kubeadm knows dockershim by its bare path alone.
fn cri_socket(runtime: Runtime) -> String {
    runtime.cri_endpoint(runtime != Runtime::Docker)
}

fn reset(node: &mut Node<'_>) -> Result<(), Fault> {
    node.progress("cleaning up after an earlier attempt", None);
    let socket = cri_socket(node.plan.runtime);
    node.root
        .command("kubeadm")
        .args(["reset", "--force", "--cri-socket", &socket])
        // Without a manifest of etcd's, this phase would empty /var/lib/etcd, whoever has data there.
        .args(["--skip-phases=remove-etcd-member"])
        .timeout(RESET)
        .run()
        .map_err(|error| Fault::of_command(Cause::KubeadmReset, &error))?;
    images::discard_unsynced(node)?;
    // A reset that was cut off has taken etcd's manifest away; the next one then takes the data for
    // somebody else's and leaves them, and init refuses to begin.
    if !node.plan.runs_etcd {
        return Ok(());
    }
    match fs::remove_dir_all(node.root.path(ETCD_DATA)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Fault::new(
            Cause::KubeadmReset,
            format!("{ETCD_DATA}: {error}"),
        )),
        _ => Ok(()),
    }
}

/// kubeadm must find the cluster's own authorities, or it would make others, and kubelet the static
/// pods that carry the endpoint.
fn restore(node: &Node<'_>) -> Result<(), Fault> {
    for (delivered, place) in [
        (paths::PKI, paths::KUBERNETES_PKI),
        (paths::MANIFESTS, paths::KUBERNETES_MANIFESTS),
    ] {
        let from = node.root.path(delivered);
        if !from.exists() {
            continue;
        }
        copy_tree(&from, &node.root.path(place)).map_err(|error| {
            let message = format!("copying {delivered} to {place}: {error}");
            Fault::new(Cause::KubeadmFailed, message)
        })?;
    }
    Ok(())
}

fn kubeadm(node: &Node<'_>, arguments: &[&str]) -> Result<(), Fault> {
    // kubeadm starts the kubelet, but leaves it to others to have it started on later boots.
    node.root
        .command("systemctl")
        .args(["enable", "kubelet.service"])
        .run()
        .map_err(|error| Fault::of_command(Cause::KubeadmFailed, &error))?;
    node.root
        .command("kubeadm")
        .args(arguments)
        .timeout(KUBEADM)
        .run()
        .map_err(|error| fault_of(&error))
}

/// kubeadm's own errors alone, where its last words have some.
fn fault_of(error: &CommandError) -> Fault {
    let fault = Fault::of_command(cause_of(error), error);
    let errors: Vec<_> = error
        .tail()
        .iter()
        .map(|line| line.trim())
        .filter(|line| line.starts_with("error") || line.starts_with("[ERROR"))
        .collect();
    if errors.is_empty() {
        return fault;
    }
    Fault::new(fault.cause, errors.join(" | "))
}

/// What kubeadm's last words say of why it failed.
fn cause_of(error: &CommandError) -> Cause {
    let said = |words: &str| error.tail().iter().any(|line| line.contains(words));
    if matches!(error, CommandError::TimedOut { .. }) {
        Cause::KubeadmTimeout
    } else if said("[ERROR ") {
        Cause::KubeadmPreflight
    } else if said("Unauthorized") {
        // The gate has seen the cluster up, with all that was ever to know of tokens.
        Cause::KubeadmToken
    } else if said("already exists in the cluster") {
        Cause::KubeadmNameTaken
    } else {
        Cause::KubeadmFailed
    }
}
