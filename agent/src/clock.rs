//! `nkd-agent clock`: checks the clock on every boot, also when the node is already installed.

use std::fs;

use anyhow::Context as _;
use nkd_contract::{Plan, Timestamp};

use crate::install::read_plan;
use crate::stages::{KUBELET_CREDENTIALS, clock};
use crate::system::{Root, tls};

/// Sets the clock if the cluster's certificates are not valid yet.
///
/// # Errors
/// The clock cannot be set, or there is no readable plan. The worker process reports the latter.
pub(crate) fn raise(root: &Root) -> anyhow::Result<()> {
    let (plan, _) = read_plan(root)?;
    let valid = certificates_valid_from(root, &plan);
    let raised = clock::raise(root, valid).context("cannot set the clock")?;
    if let Some((from, to)) = raised {
        log::warn!(
            "the clock was at {from}, earlier than the cluster's certificates; set it to {to}"
        );
    }
    Ok(())
}

/// The time from which the cluster's certificates are valid. Those of kubeadm are valid from the same
/// time as their authority, which is earlier than the plan's floor. That of kubelet is valid from the
/// time at which the cluster signed it, most recently at its renewal.
///
/// A clock that a time server has set may still be correct if it is earlier, because the clock of the
/// control plane that signed kubelet's certificate may have been ahead.
fn certificates_valid_from(root: &Root, plan: &Plan) -> Timestamp {
    let kubelet = fs::read(root.path(KUBELET_CREDENTIALS)).ok();
    let kubelet = kubelet
        .and_then(|pem| tls::valid_from(&plan.certificate_authority, &pem, Timestamp::now()));
    kubelet.map_or(plan.clock_floor, |kubelet| kubelet.max(plan.clock_floor))
}
