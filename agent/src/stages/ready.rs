//! `ready`: the node's own Node object is Ready, seen through the kubelet's credentials.

use std::time::Duration;

use nkd_contract::Cause;

use super::api::{Api, readiness};
use super::{Fault, Node};

/// How long one attempt looks.
const WINDOW: Duration = Duration::from_secs(60);

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    node.poll(WINDOW, |node| {
        let api = Api::as_kubelet(node)
            .ok_or_else(|| Fault::new(Cause::ReadyUnreachable, "kubelet has no credentials yet"))?
            .map_err(super::api::ApiError::at_ready)?;
        let object = api
            .node(&node.plan.node)
            .map_err(super::api::ApiError::at_ready)?;
        readiness(&object).map_err(|reason| Fault::new(Cause::ReadyNotYet, reason))
    })
}
