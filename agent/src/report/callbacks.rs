//! The part of the reporter that sends HTTP callbacks.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use log::Level;
use nkd_contract::{Event, ReportTarget, paths};

use super::LONGEST_DELAY;
use super::cursor::{Cursor, Done};
use super::delivery::{Delivery, Sent};
use super::pulse::Pulse;
use crate::events::EventFollower;
use crate::system::{Backoff, Root, TICK};

/// The credential that holds the [`ReportTarget`].
const CREDENTIAL: &str = "report.json";

/// How long an event that the receiver refuses is sent again. Long enough for the node's clock to be set,
/// and for a person to give the receiver the right key; but later events wait for it.
const REFUSALS: Duration = Duration::from_secs(3600);

/// Sends the event log to the target, in order, each event until it is accepted or was refused for
/// [`REFUSALS`].
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
                    let done = deliver(delivery, &event, REFUSALS, pulse);
                    if let Err(error) = cursor.done(&event, done) {
                        log::warn!("writing {}: {error}", paths::DELIVERED);
                    }
                }
            }
        }
    }
}

/// Sends an event until it is done with, each time with the current time and a new signature. An event that
/// the receiver has refused for so long without any other answer is given up.
fn deliver(delivery: &Delivery, event: &Event, refusals: Duration, pulse: &Pulse) -> Done {
    let mut backoff = Backoff::new(LONGEST_DELAY);
    let mut refused_since = None;
    loop {
        pulse.beat();
        let (level, reason, retry_after) = match delivery.send(event) {
            Sent::Accepted => return Done::Delivered,
            Sent::Gone => {
                log::warn!("the receiver is gone (410): no more callbacks are sent");
                return Done::Gone;
            }
            Sent::Refused {
                status,
                answer,
                retry_after,
            } => {
                let since = *refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= refusals {
                    log::error!(
                        "event {} is lost for the receiver, which refused it for {} s: {status} {answer}",
                        event.sequence,
                        since.elapsed().as_secs(),
                    );
                    return Done::Refused(status);
                }
                let reason = format!("the receiver refused it: {status} {answer}");
                (Level::Warn, reason, retry_after)
            }
            Sent::Later {
                reason,
                retry_after,
            } => {
                refused_since = None;
                (Level::Info, reason, retry_after)
            }
        };
        let wait = backoff.next(retry_after);
        log::log!(
            level,
            "event {} could not be sent: {reason}; trying again in {} s",
            event.sequence,
            wait.as_secs(),
        );
        sleep(wait, pulse);
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
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use nkd_contract::Kind;

    use super::*;
    use crate::events::tests::event;

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

    /// A receiver that gives these answers, one on each connection, and its target.
    fn receiver(statuses: &'static [u16]) -> ReportTarget {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for status in statuses {
                let mut stream = listener.accept().unwrap().0;
                let mut request = [0; 4096];
                let mut length = 0;
                while !request[..length].ends_with(b"}}") {
                    length += stream.read(&mut request[length..]).unwrap();
                }
                let head = "content-length: 0\r\nconnection: close";
                write!(stream, "HTTP/1.1 {status} Status\r\n{head}\r\n\r\n").unwrap();
            }
        });
        ReportTarget {
            url,
            certificate_authority: None,
            signing_key: "whsec_dGhlIHNpZ25pbmcga2V5IG9mIHRoZSBub2Rl".to_owned(),
        }
    }

    fn delivered(statuses: &'static [u16], refusals: Duration) -> Done {
        let delivery = Delivery::new(&receiver(statuses)).unwrap();
        let pulse = Pulse::new("callbacks");
        deliver(&delivery, &event(1, Kind::Progress), refusals, &pulse)
    }

    #[test]
    fn an_event_is_given_up_when_it_was_refused_for_so_long_and_never_for_another_reason() {
        let long = Duration::from_secs(60);
        assert_eq!(delivered(&[401, 204], long), Done::Delivered);
        assert_eq!(delivered(&[401, 204], Duration::ZERO), Done::Refused(401));
        let none = Duration::ZERO;
        assert_eq!(delivered(&[503, 503, 204], none), Done::Delivered);
        assert_eq!(delivered(&[503, 400, 204], none), Done::Refused(400));
    }

    #[test]
    fn a_receiver_that_is_unsure_starts_the_time_of_refusals_again() {
        let limit = Duration::from_millis(1);
        assert_eq!(
            delivered(&[403, 503, 403, 503, 204], limit),
            Done::Delivered
        );
    }
}
