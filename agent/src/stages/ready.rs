//! `ready`: the Node object of this node is Ready. The stage reads it with the credentials of kubelet.

use std::time::{Duration, Instant};

use nkd_contract::Cause;
use serde_json::Value;

use super::api::{Api, ApiError, readiness};
use super::{Fault, Node};

/// How long one attempt waits.
const WINDOW: Duration = Duration::from_secs(60);

/// A part of kubelet's message if the runtime has no network (kubelet, `runtimeState.networkErrors`; CRI,
/// `NetworkReady`).
const NO_NETWORK: &str = "NetworkReady=false";

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let window = WINDOW.min(node.plan.budget(node.stage));
    let mut deadline = Instant::now() + window;
    let mut has_waited = false;
    let mut not_ready: Option<(Api, Value)> = None;
    let ready = node.poll_until(
        |fault| {
            // An administrator may apply a network add-on at any time.
            if fault.cause == Cause::ReadyNoNetwork {
                has_waited = true;
                deadline = Instant::now() + window;
            }
            deadline
        },
        |node| look(node, &mut not_ready),
    );
    node.advanced |= has_waited;
    ready
}

/// Checks once. `not_ready` is the Node object of the last check, if there was one.
fn look(node: &Node<'_>, not_ready: &mut Option<(Api, Value)>) -> Result<(), Fault> {
    let api = match not_ready.take() {
        Some((api, object)) => {
            // The request below reports whatever fails here.
            let _ = api.wait_for_change(&object);
            api
        }
        None => Api::as_kubelet(node)
            .ok_or_else(|| Fault::new(Cause::ReadyUnreachable, "kubelet has no credentials yet"))?
            .map_err(fault)?,
    };
    let object = api.node(&node.plan.node).map_err(fault)?;
    readiness(&object).map_err(|reason| {
        *not_ready = Some((api, object));
        let cause = if reason.contains(NO_NETWORK) {
            Cause::ReadyNoNetwork
        } else {
            Cause::ReadyNotYet
        };
        Fault::new(cause, reason)
    })
}

fn fault(error: ApiError) -> Fault {
    match error {
        ApiError::Status(404) => {
            let message = "kubelet has not registered the node yet";
            Fault::new(Cause::ReadyUnreachable, message)
        }
        error => Fault::of(Cause::ReadyUnreachable, error),
    }
}
