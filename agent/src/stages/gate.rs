//! `gate`: the cluster's API is up, belongs to this cluster and has everything that a joining node needs.
//! The earlier control planes have joined, or have used up their time. kubeadm itself does not wait long
//! enough for machines that are powered on together.

use std::time::Duration;

use nkd_contract::{Cause, Plan, Role, Stage};

use super::api::{Api, ApiCauses, ApiError};
use super::kubeadm::{self, EtcdCauses};
use super::{Fault, Node};
use crate::system::{self, TICK};

/// How long one attempt waits. It uses its connection only for that time, because behind a load balancer,
/// the next attempt may reach another API server.
const WINDOW: Duration = Duration::from_secs(60);

const CAUSES: ApiCauses = ApiCauses {
    unreachable: Cause::GateUnreachable,
    untrusted: Cause::GateUntrusted,
    not_ready: Cause::GateNotReady,
};
const ETCD_CAUSES: EtcdCauses = EtcdCauses {
    members: Cause::GateEtcdQuorum,
    quorum: Cause::GateEtcdQuorum,
};

const READY: &str = "/readyz";

/// The list of certificate signing requests. Tokens can read it after `kubeadm init` has permitted them
/// to request certificates. It does so after it has created the tokens, and after it has uploaded its own
/// configuration and that of kubelet (kubeadm, phases `upload-config` and `bootstrap-token`, the same
/// from 1.20 to 1.35). An earlier join would only wait and fail.
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests?limit=1";

/// The `ConfigMap` that `kubeadm init` publishes last, for clients without credentials. RBAC does not
/// allow tokens to read it.
const CLUSTER_INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// The gate waits for an earlier control plane for at most the budget divided by this number, and then
/// continues without it.
const PARTS: u32 = 6;

/// The limits of the longest pause between two checks. The mean pause is half as long.
const SMALL_CLUSTER: Duration = Duration::from_secs(2);
const LARGE_CLUSTER: Duration = Duration::from_secs(10);
/// The longest pause is the join spread divided by this number. The nodes of a large cluster then send
/// about 200 requests per second together.
const PAUSES: u32 = 5;

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    if node.plan.role == Role::Init {
        return Ok(());
    }
    let gate = node.poll(WINDOW, Gate::new)?;
    let mut has_waited = false;
    let mut open = gate.await_endpoint(node, &mut has_waited);
    // The API waits for etcd, and etcd may wait for this node.
    if open.is_err() && kubeadm::repair_quorum(node, ETCD_CAUSES).map_err(repair_failed)? {
        open = gate.await_endpoint(node, &mut has_waited);
    }
    open?;
    let plan = node.plan;
    for earlier in &plan.control_planes_before {
        gate.await_earlier(node, earlier);
    }
    if !plan.control_planes_before.is_empty() {
        // The API may have become unavailable while new members joined etcd.
        gate.await_endpoint(node, &mut has_waited)?;
    }
    if has_waited || node.attempt > 1 {
        step_aside(node);
    }
    Ok(())
}

/// Spreads the joins of nodes that have waited for the same moment. A node for which the cluster is
/// already up joins at once.
fn step_aside(node: &mut Node<'_>) {
    let delay = system::random(Duration::from_secs(node.plan.join_spread));
    if delay < TICK {
        return;
    }
    let message = format!(
        "joining in {} s, because other nodes have waited for the cluster too",
        delay.as_secs()
    );
    node.progress(message, None);
    system::sleep(delay);
}

/// The longest pause between two checks.
fn longest_pause(plan: &Plan) -> Duration {
    let spread = Duration::from_secs(plan.join_spread);
    (spread / PAUSES).clamp(SMALL_CLUSTER, LARGE_CLUSTER)
}

/// The fault of restoring etcd's quorum, for which the gate uses code of the stage `kubeadm`.
fn repair_failed(fault: Fault) -> Fault {
    fault.reported_by(Stage::Gate, Cause::GateEtcdQuorum)
}

/// A client with the node's bootstrap token, if it has one.
struct Gate {
    api: Api,
    has_token: bool,
}

impl Gate {
    fn new(node: &Node<'_>) -> Result<Self, Fault> {
        let token = kubeadm::token(node);
        let has_token = token.is_some();
        let api = token.map_or_else(
            || Api::anonymous(node.plan),
            |token| Api::with_token(node.plan, &token),
        );
        let api = api.map_err(|error| error.fault(&CAUSES, &node.plan.endpoint, "TLS"))?;
        Ok(Self { api, has_token })
    }

    fn await_endpoint(&self, node: &mut Node<'_>, has_waited: &mut bool) -> Result<(), Fault> {
        let longest = longest_pause(node.plan);
        node.poll_shared(WINDOW, longest, |node| {
            let endpoint = &node.plan.endpoint;
            let open = self.look(endpoint, &[READY, REQUESTS], &[READY, CLUSTER_INFO]);
            *has_waited |= open.is_err();
            open
        })
    }

    /// Waits for an earlier control plane, because etcd accepts one new member at a time. The agent waits
    /// for each one separately, so that control planes still join in order if one of them never comes up.
    fn await_earlier(&self, node: &mut Node<'_>, earlier: &str) {
        let patience = node.plan.budget(node.stage) / PARTS;
        let longest = longest_pause(node.plan);
        // A control plane is ready when its etcd member is.
        let ready = node.poll_shared(patience, longest, |_| {
            self.look(earlier, &[READY], &[READY])
        });
        if let Err(fault) = ready {
            let seconds = patience.as_secs();
            let context = format!("continuing after {seconds} s without an earlier control plane");
            node.warn(&fault.context(context));
        }
    }

    /// Whether an API server answers all of these requests.
    ///
    /// If an API server refuses the token, sends requests without it. If the answers show that `kubeadm
    /// init` has finished, the token will not be accepted later either, which the stage `kubeadm`
    /// reports. If the API server does not answer without a token, `kubeadm init` may still create the
    /// token.
    fn look(&self, endpoint: &str, with_token: &[&str], to_anybody: &[&str]) -> Result<(), Fault> {
        let api = self.api.clone().at(endpoint);
        if self.has_token {
            match all(&api, with_token) {
                Err((_, ApiError::Status(401))) => {}
                answered => {
                    return answered.map_err(|(path, error)| error.fault(&CAUSES, endpoint, path));
                }
            }
        }
        all(&api.without_token(), to_anybody).map_err(|(path, error)| match error {
            ApiError::Status(401 | 403 | 404) if self.has_token => token_is_unknown(endpoint),
            error => error.fault(&CAUSES, endpoint, path),
        })
    }
}

/// The first path without a successful answer, and the reason.
fn all<'a>(api: &Api, paths: &[&'a str]) -> Result<(), (&'a str, ApiError)> {
    for path in paths {
        api.get(path).map_err(|error| (*path, error))?;
    }
    Ok(())
}

fn token_is_unknown(endpoint: &str) -> Fault {
    let message = format!(
        "{endpoint} answers 401 to this node's bootstrap token: `kubeadm init` has not created it yet, \
         or it has expired"
    );
    Fault::new(Cause::GateToken, message)
}
