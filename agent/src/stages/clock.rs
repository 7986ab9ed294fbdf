//! `clock`: certificates and tokens of the plan are valid by this machine's clock. A clock that
//! lost its battery is set to the moment the plan was made, which is good enough for TLS until a
//! time server answers.

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use nkd_contract::{Cause, Timestamp};

use super::{Fault, Node};

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let (now, floor) = (Timestamp::now(), node.plan.clock_floor);
    if now >= floor {
        return Ok(());
    }
    let seconds = i64::try_from(floor.unix()).unwrap_or(i64::MAX);
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, 0)).map_err(|error| {
        Fault::new(
            Cause::ClockBehind,
            format!("the clock says {now}, the cluster was made at {floor}, and setting it failed: {error}"),
        )
    })?;
    node.progress(format!("set the clock from {now} to {floor}"), None);
    Ok(())
}
