//! `clock`: certificates and tokens of the plan are valid by this machine's clock. A clock that
//! lost its battery is set to the moment the plan was made, which is good enough for TLS. If a time
//! service runs, it is given time to do better; a node doesn't fail for want of a time server.

use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use nkd_contract::{Cause, Timestamp};

use super::{Fault, Node};

/// How long timedated may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    raise_to_floor(node)?;
    let synchronized = node.poll(node.plan.budget(node.stage), |node| {
        match time_service(node) {
            Service::Synchronized => Ok(Ok(())),
            Service::Working => Err(unsynchronized("the time service hasn't set the clock yet")),
            Service::Absent(why) => Ok(Err(unsynchronized(why))),
        }
    });
    if let Err(fault) | Ok(Err(fault)) = synchronized {
        let now = Timestamp::from_unix(Timestamp::now().unix());
        let message = format!("going on with the clock at {now}: {}", fault.message);
        node.warn(&Fault::new(fault.cause, message));
    }
    // A time server may be wrong, too.
    raise_to_floor(node)
}

fn raise_to_floor(node: &mut Node<'_>) -> Result<(), Fault> {
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

fn unsynchronized(why: impl Into<String>) -> Fault {
    Fault::new(Cause::ClockUnsynchronized, why)
}

/// What keeps the clock right.
enum Service {
    Synchronized,
    Working,
    /// There is none, or it can't be asked.
    Absent(String),
}

/// What timedated says, which knows timesyncd and, by their `ntp-units.d`, chrony and others.
fn time_service(node: &Node<'_>) -> Service {
    let show = ["show", "--property=NTPSynchronized", "--property=NTP"];
    let timedatectl = node.root.command("timedatectl").args(show);
    let properties = match timedatectl.timeout(ANSWER).read() {
        Ok(properties) => properties,
        Err(error) => return Service::Absent(error.to_string()),
    };
    let is = |property: &str| properties.lines().any(|line| line.trim() == property);
    if is("NTPSynchronized=yes") {
        Service::Synchronized
    } else if is("NTP=yes") {
        Service::Working
    } else {
        Service::Absent("no time service runs".to_owned())
    }
}
