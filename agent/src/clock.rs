//! `nkd-agent clock`: checks the clock on every boot, also when the node is already installed.

use std::fs;

use anyhow::Context as _;
use nkd_contract::{Plan, Timestamp};

use crate::install::read_plan;
use crate::stages::{KUBELET_CREDENTIALS, clock};
use crate::system::{Root, tls};

/// Sets a clock by which the cluster's certificates aren't valid yet.
///
/// # Errors
/// There is no plan that can be read, which the worker reports, or cannot set the clock.
pub(crate) fn raise(root: &Root) -> anyhow::Result<()> {
    let (plan, _) = read_plan(root)?;
    let valid = certificates_valid_from(root, &plan);
    let raised = clock::raise(root, valid).context("cannot set the clock")?;
    if let Some((from, to)) = raised {
        log::warn!("the clock was at {from}, earlier than the cluster's certificates; set it to {to}");
    }
    Ok(())
}

/// From when on the cluster's certificates are valid. kubeadm's become valid with their authority, which is
/// before the plan's floor; kubelet's when the cluster has signed it, last at its renewal.
///
/// This is no reason to set a clock that a time server has set: the control plane that signed kubelet's
/// certificate may have been ahead.
fn certificates_valid_from(root: &Root, plan: &Plan) -> Timestamp {
    let kubelet = fs::read(root.path(KUBELET_CREDENTIALS)).ok();
    let kubelet = kubelet
        .and_then(|pem| tls::valid_from(&plan.certificate_authority, &pem, Timestamp::now()));
    kubelet.map_or(plan.clock_floor, |kubelet| kubelet.max(plan.clock_floor))
}
