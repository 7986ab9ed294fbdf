//! The part of the reporter that sends HTTP callbacks.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use nkd_contract::{Event, ReportTarget, paths};

use super::LONGEST_DELAY;
use super::cursor::{Cursor, Done};
use super::delivery::{Delivery, Sent};
use super::pulse::Pulse;
use crate::events::EventFollower;
use crate::system::{Backoff, Root, TICK};

/// The credential that holds the [`ReportTarget`].
const CREDENTIAL: &str = "report.json";

/// Sends the events of the log to the target in order, each one until it is accepted or refused.
#[derive(Debug)]
pub(super) struct Callbacks {
    /// `None` if no callbacks are configured, or if none can be sent.
    delivery: Option<Delivery>,
    cursor: PathBuf,
}

impl Callbacks {
    /// Callbacks to the target that systemd passes to this process. A target that cannot be used is not
    /// an error, because D-Bus works without a target.
    pub(super) fn new(root: &Root) -> Self {
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY");
        let delivery = target(directory)
            .and_then(|target| target.as_ref().map(Delivery::new).transpose())
            .unwrap_or_else(|error| {
                log::error!("no callbacks can be sent: {error:#}");
                None
            });
        match &delivery {
            Some(delivery) => log::info!("sending callbacks to {}", delivery.host()),
            None => log::info!("no callbacks are sent"),
        }
        Self {
            delivery,
            cursor: root.path(paths::DELIVERED),
        }
    }

    /// Sends callbacks without end.
    ///
    /// # Errors
    /// The event log cannot be read.
    pub(super) fn run(self, mut events: EventFollower, pulse: &Pulse) -> anyhow::Result<()> {
        let mut cursor = Cursor::open(self.cursor);
        loop {
            pulse.beat();
            for event in events.next(TICK).context("reading the event log")? {
                let Some(delivery) = &self.delivery else {
                    continue;
                };
                if cursor.wants(&event) {
                    let done = deliver(delivery, &event, pulse);
                    if let Err(error) = cursor.done(&event, done) {
                        log::warn!("writing {}: {error}", paths::DELIVERED);
                    }
                }
            }
        }
    }
}

/// Sends an event until it is accepted or refused.
fn deliver(delivery: &Delivery, event: &Event, pulse: &Pulse) -> Done {
    let mut backoff = Backoff::new(LONGEST_DELAY);
    loop {
        pulse.beat();
        match delivery.send(event) {
            Sent::Accepted => return Done::Delivered,
            Sent::Gone => {
                log::warn!("the receiver is gone (410): no more callbacks are sent");
                return Done::Gone;
            }
            Sent::Refused { status, answer } => {
                log::warn!(
                    "the receiver refused event {}: {status} {answer}",
                    event.sequence
                );
                return Done::Refused(status);
            }
            Sent::Later {
                reason,
                retry_after,
            } => {
                let wait = backoff.next(retry_after);
                log::info!(
                    "event {} could not be sent: {reason}; trying again in {} s",
                    event.sequence,
                    wait.as_secs(),
                );
                sleep(wait, pulse);
            }
        }
    }
}

fn sleep(wait: Duration, pulse: &Pulse) {
    let end = Instant::now() + wait;
    loop {
        pulse.beat();
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(TICK));
    }
}

/// The target in the directory of credentials. The unit passes `null` if Ignition has delivered none.
fn target(directory: Option<OsString>) -> anyhow::Result<Option<ReportTarget>> {
    let Some(directory) = directory else {
        return Ok(None);
    };
    let json = match fs::read(Path::new(&directory).join(CREDENTIAL)) {
        Ok(json) => json,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("reading the credential report.json"),
    };
    // What serde says may quote what it read, and that may be the key.
    serde_json::from_slice(&json)
        .map_err(|error| anyhow::anyhow!("report.json is malformed at line {}", error.line()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target_of(json: &str) -> anyhow::Result<Option<ReportTarget>> {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(CREDENTIAL), json).unwrap();
        target(Some(directory.path().as_os_str().to_owned()))
    }

    #[test]
    fn without_a_delivered_target_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(target(None).unwrap(), None);
        assert_eq!(target(Some(directory.path().into())).unwrap(), None);
        assert_eq!(target_of("null").unwrap(), None);
    }

    #[test]
    fn an_error_in_the_target_does_not_show_its_key() {
        let error = target_of(r#""whsec_c2VjcmV0""#).unwrap_err();
        assert_eq!(format!("{error:#}"), "report.json is malformed at line 1");
    }
}
