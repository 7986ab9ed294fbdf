//! `nkd-agent tokens`: bootstrap tokens live as long as the cluster file says, even where the clock was
//! wrong when they were made.
//!
//! kubeadm counts their life from the clock at `kubeadm init`. Where no time server has answered by then,
//! that clock may be months behind, and the tokens expire at the moment a time server sets it.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use nkd_contract::paths;

use crate::stages::{ADMIN_CONFIG, clock};
use crate::system::files::{remove, write_atomic};
use crate::system::{CommandError, Root, since_boot};

/// Says that the tokens are made, or were made, before a time server has set the clock, and until when
/// they are to be renewed, in seconds since boot. It does not outlive the boot.
const MADE_TOO_EARLY: &str = "/run/nkd/tokens-made-too-early";
/// For how long the tokens are renewed: as long as the shortest life of a token
/// (`spec.kubernetes.bootstrapTokens.ttl`). Tokens must not come back long after they have expired.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// How long kubeadm's phase may take.
const PHASE: Duration = Duration::from_secs(120);

/// Notes that the tokens of this node are made by a clock that no time server has set.
pub(crate) fn note_unsynchronized_clock(root: &Root) {
    let path = root.path(MADE_TOO_EARLY);
    if path.exists() {
        return;
    }
    let until = (since_boot() + PATIENCE).as_secs().to_string();
    // Without it the tokens may expire early, which is no reason not to make the cluster.
    if let Err(error) = write_atomic(&path, until.as_bytes(), 0o600) {
        log::warn!("{MADE_TOO_EARLY}: {error}");
    }
}

/// Has kubeadm make the tokens again, with their whole life from now on, if no time server had set the
/// clock when it made them.
///
/// # Errors
/// kubeadm fails, most often because the API isn't up; or the note of it can't be removed.
pub fn renew(root: &Root) -> anyhow::Result<()> {
    let path = root.path(MADE_TOO_EARLY);
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
        remove(&path).context(MADE_TOO_EARLY)?;
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
