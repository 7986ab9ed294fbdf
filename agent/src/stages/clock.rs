//! `clock`: the plan's certificates and tokens are valid at the time of this machine's clock. If the
//! battery of the clock is empty, the stage sets the clock to the plan's floor, or to the latest time
//! that this node has recorded, which is sufficient for TLS. If a time service runs, the stage waits for
//! it, but does not fail without it.

use std::fs;
use std::time::Duration;

use anyhow::anyhow;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use nkd_contract::{Cause, Role, Timestamp, paths};

use super::api::KUBELET_CREDENTIALS;
use super::{Fault, Node};
use crate::system::files::write_atomic;
use crate::system::{Root, since_boot};

/// The time limit for an answer from timedated.
const ANSWER: Duration = Duration::from_secs(10);
/// Files whose modification times are certainly in the past: those of the agent, kubelet's certificate,
/// the data of etcd on a control plane, and the file that systemd-timesyncd keeps for this purpose.
const SEEN: [&str; 5] = [
    paths::STATE,
    paths::COMPLETE,
    KUBELET_CREDENTIALS,
    "/var/lib/etcd/member/snap/db",
    "/var/lib/systemd/timesync/clock",
];

/// A file that marks tokens as created before a time server had set the clock. It contains the time until
/// which they are renewed, in seconds since boot, and exists only during this boot.
pub(crate) const TOKENS_MADE_TOO_EARLY: &str = "/run/nkd/tokens-made-too-early";
/// How long the tokens are renewed: as long as the shortest lifetime of a token
/// (`spec.kubernetes.bootstrapTokens.ttl`). Tokens must not come back long after they have expired.
const TOKENS_PATIENCE: Duration = Duration::from_secs(24 * 3600);

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    raise_to_floor(node)?;
    let synchronized = node.poll(node.plan.budget(node.stage), |node| {
        match time_service(node.root) {
            Service::Synchronized => Ok(Ok(())),
            Service::Working => {
                let message = "the time service has not set the clock yet";
                Err(Fault::new(Cause::ClockUnsynchronized, message))
            }
            Service::Absent(why) => Ok(Err(Fault::of(Cause::ClockUnsynchronized, why))),
        }
    });
    if let Err(fault) | Ok(Err(fault)) = synchronized {
        let now = Timestamp::from_unix(Timestamp::now().unix());
        node.warn(&fault.context(format!("continuing with the clock at {now}")));
        if node.plan.role == Role::Init {
            note_tokens_made_too_early(node.root);
        }
    }
    // The time server may have set a wrong time.
    raise_to_floor(node)
}

/// Records that the tokens are created at the time of a clock that no time server has set.
fn note_tokens_made_too_early(root: &Root) {
    let path = root.path(TOKENS_MADE_TOO_EARLY);
    if path.exists() {
        return;
    }
    let until = (since_boot() + TOKENS_PATIENCE).as_secs().to_string();
    // Without this file the tokens may expire early, but the cluster can still be made.
    if let Err(error) = write_atomic(&path, until.as_bytes(), 0o600) {
        log::warn!("{TOKENS_MADE_TOO_EARLY}: {error}");
    }
}

fn raise_to_floor(node: &mut Node<'_>) -> Result<(), Fault> {
    let floor = node.plan.clock_floor;
    let raised = raise(node.root, floor).map_err(|error| {
        let now = Timestamp::now();
        let message = format!(
            "the clock is at {now}, earlier than the creation of the cluster at {floor}, and cannot be set"
        );
        Fault::of(Cause::ClockBehind, error).context(message)
    })?;
    if let Some((from, to)) = raised {
        node.progress(format!("set the clock from {from} to {to}"), None);
    }
    Ok(())
}

/// If the clock is earlier than a moment that is certainly in the past, sets it to this moment, or to the
/// latest time that this node has recorded, whichever is later. Returns the old and the new time. Does
/// not change any other clock, because a clock that may be right must not be set to the time of a file
/// from the future.
///
/// # Errors
/// The kernel refuses to set the clock.
pub(crate) fn raise(root: &Root, past: Timestamp) -> nix::Result<Option<(Timestamp, Timestamp)>> {
    let now = Timestamp::now();
    if now >= past {
        return Ok(None);
    }
    let to = last_seen(root).map_or(past, |seen| seen.max(past));
    let seconds = i64::try_from(to.unix()).unwrap_or(i64::MAX);
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, 0))?;
    Ok(Some((now, to)))
}

fn last_seen(root: &Root) -> Option<Timestamp> {
    let changed = |path| fs::metadata(root.path(path)).ok()?.modified().ok();
    SEEN.into_iter().filter_map(changed).max().map(Into::into)
}

/// The state of the time service.
enum Service {
    Synchronized,
    Working,
    /// No time service runs, or its state is unknown.
    Absent(anyhow::Error),
}

/// Whether a time server has set the clock on this boot.
pub(crate) fn is_synchronized(root: &Root) -> bool {
    matches!(time_service(root), Service::Synchronized)
}

/// The state of the time service, as timedated reports it. timedated supports timesyncd and, through
/// `ntp-units.d`, chrony and others.
fn time_service(root: &Root) -> Service {
    let show = ["show", "--property=NTPSynchronized", "--property=NTP"];
    let timedatectl = root.command("timedatectl").args(show);
    let properties = match timedatectl.timeout(ANSWER).read() {
        Ok(properties) => properties,
        Err(error) => return Service::Absent(error.into()),
    };
    let is = |property: &str| properties.lines().any(|line| line.trim() == property);
    if is("NTPSynchronized=yes") {
        Service::Synchronized
    } else if is("NTP=yes") {
        Service::Working
    } else {
        Service::Absent(anyhow!("no time service is running"))
    }
}
