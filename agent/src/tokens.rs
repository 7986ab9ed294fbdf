//! `nkd-agent tokens`: bootstrap tokens have the lifetime in the cluster file, even if the clock was
//! wrong when they were created.
//!
//! kubeadm computes when a token expires from the clock at `kubeadm init`. If no time server has answered by
//! then, the clock may be months behind, and the tokens expire at the moment a time server sets it.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use nkd_contract::paths;

use crate::stages::ADMIN_CONFIG;
use crate::stages::clock::{self, TOKENS_MADE_TOO_EARLY};
use crate::system::files::remove;
use crate::system::{CommandError, Root, since_boot};

/// The time limit for kubeadm's phase.
const PHASE: Duration = Duration::from_secs(120);

/// Runs kubeadm to create the tokens again, with their whole lifetime from now on, if no time server had
/// set the clock when they were created.
///
/// # Errors
/// kubeadm fails, most often because the API is not up, or the record cannot be removed.
pub(crate) fn renew(root: &Root) -> anyhow::Result<()> {
    let path = root.path(TOKENS_MADE_TOO_EARLY);
    let Ok(until) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let until: u64 = until.trim().parse().unwrap_or_default();
    let is_over = since_boot().as_secs() > until;
    // Without the kubeconfig, kubeadm makes them only later, by the clock as it is now.
    if !is_over && root.path(ADMIN_CONFIG).exists() {
        make_again(root)?;
    }
    // Until a time server has set the clock, it may be wrong again.
    if is_over || clock::is_synchronized(root) {
        remove(&path).context(TOKENS_MADE_TOO_EARLY)?;
    }
    Ok(())
}

fn make_again(root: &Root) -> Result<(), CommandError> {
    root.command("kubeadm")
        .args(["init", "phase", "bootstrap-token", "--skip-token-print"])
        .args(["--config", paths::KUBEADM, "--kubeconfig", ADMIN_CONFIG])
        .timeout(PHASE)
        .run()?;
    log::info!("the clock was set after the bootstrap tokens were made; kubeadm has renewed them");
    Ok(())
}
