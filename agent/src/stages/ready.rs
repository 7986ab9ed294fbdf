//! `ready`: the node's own Node object is Ready, seen through the kubelet's credentials.

use std::time::Duration;

use nkd_contract::Cause;
use serde_json::Value;

use super::api::{Api, ApiError, readiness};
use super::{Fault, Node};

/// How long one attempt looks.
const WINDOW: Duration = Duration::from_secs(60);

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let mut not_ready: Option<(Api, Value)> = None;
    node.poll(WINDOW, |node| {
        let api = match not_ready.take() {
            Some((api, object)) => {
                // What goes wrong here, the question after it finds and says.
                let _ = api.wait_for_change(&object);
                api
            }
            None => Api::as_kubelet(node)
                .ok_or_else(|| {
                    Fault::new(Cause::ReadyUnreachable, "kubelet has no credentials yet")
                })?
                .map_err(ApiError::at_ready)?,
        };
        let object = api.node(&node.plan.node).map_err(ApiError::at_ready)?;
        readiness(&object).map_err(|reason| {
            not_ready = Some((api, object));
            Fault::new(Cause::ReadyNotYet, reason)
        })
    })
}
