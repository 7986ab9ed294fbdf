use std::io;
use std::path::PathBuf;

use nkd_contract::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::system::files::{read_if_exists, write_atomic};

/// The number of refused events that are stored. The journal has all of them.
const REFUSED: usize = 100;

/// The progress of the delivery, which is stored on the disk so that it continues there after a restart.
#[derive(Debug)]
pub(super) struct Cursor {
    path: PathBuf,
    delivered: Delivered,
    /// The last event that was checked, to detect a new log.
    seen: u64,
}

/// `delivered.json`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Delivered {
    /// The id of the log's first event. Sequence numbers of another log have no meaning.
    log: String,
    /// The last event that was accepted or refused.
    sequence: u64,
    /// The receiver has answered 410. No further event of this log is sent.
    gone: bool,
    /// The events that the receiver has refused.
    refused: Vec<Refused>,
    /// Fields of a later release, which are kept for it.
    #[serde(flatten)]
    unknown_fields: Map<String, Value>,
}

/// An event that the receiver has refused.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    sequence: u64,
    id: String,
    status: u16,
    #[serde(flatten)]
    unknown_fields: Map<String, Value>,
}

/// The outcome of sending an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// The receiver has accepted it.
    Delivered,
    /// The receiver has refused it.
    Refused(u16),
    /// The receiver refuses all further events.
    Gone,
}

impl Cursor {
    /// The cursor in a file. If the file cannot be read, all events are sent again, because receivers
    /// drop repetitions.
    pub(super) fn open(path: PathBuf) -> Self {
        let delivered = read_if_exists(&path)
            .and_then(|contents| match contents {
                Some(contents) => serde_json::from_slice(&contents).map_err(io::Error::from),
                None => Ok(Delivered::default()),
            })
            .unwrap_or_else(|error| {
                log::warn!("{}: {error}; sending all events again", path.display());
                Delivered::default()
            });
        Self {
            path,
            delivered,
            seen: 0,
        }
    }

    /// Whether an event still has to be sent. Must be called for every event of the log, in order.
    pub(super) fn wants(&mut self, event: &Event) -> bool {
        let first = event.sequence <= self.seen || self.seen == 0;
        self.seen = event.sequence;
        if first && event.id != self.delivered.log {
            self.delivered = Delivered {
                log: event.id.clone(),
                ..Delivered::default()
            };
        }
        !self.delivered.gone && event.sequence > self.delivered.sequence
    }

    /// Records the outcome of an event.
    ///
    /// # Errors
    /// The file cannot be written. The event is then sent again after a restart.
    pub(super) fn done(&mut self, event: &Event, done: Done) -> io::Result<()> {
        match done {
            Done::Delivered => {}
            Done::Gone => self.delivered.gone = true,
            Done::Refused(status) => {
                let refused = &mut self.delivered.refused;
                refused.push(Refused {
                    sequence: event.sequence,
                    id: event.id.clone(),
                    status,
                    unknown_fields: Map::new(),
                });
                refused.drain(..refused.len().saturating_sub(REFUSED));
            }
        }
        self.delivered.sequence = event.sequence;
        let json = serde_json::to_vec(&self.delivered)?;
        write_atomic(&self.path, &json, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use nkd_contract::Kind;

    use super::*;
    use crate::events::tests::event;

    /// Which of a log's events are wanted by a cursor that was opened anew.
    fn wanted(path: &std::path::Path, log: &[Event]) -> Vec<u64> {
        let mut cursor = Cursor::open(path.to_owned());
        let wanted = log.iter().filter(|event| cursor.wants(event));
        wanted.map(|event| event.sequence).collect()
    }

    fn log(name: &str) -> Vec<Event> {
        let events = (1..=3).map(|sequence| event(sequence, Kind::Progress));
        let named = events.map(|event| Event {
            id: format!("{name}-{}", event.sequence),
            ..event
        });
        named.collect()
    }

    #[test]
    fn a_restart_goes_on_after_the_last_event_done_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nkd-reporter/delivered.json");
        let events = log("a");
        assert_eq!(wanted(&path, &events), [1, 2, 3]);

        let mut cursor = Cursor::open(path.clone());
        assert!(cursor.wants(&events[0]));
        cursor.done(&events[0], Done::Delivered).unwrap();
        assert!(cursor.wants(&events[1]));
        cursor.done(&events[1], Done::Refused(400)).unwrap();
        assert_eq!(wanted(&path, &events), [3]);
        let refused = Cursor::open(path).delivered.refused;
        assert_eq!(refused[0].status, 400);
        assert_eq!(refused[0].id, "a-2");
    }

    #[test]
    fn another_log_is_sent_from_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("delivered.json");
        let mut cursor = Cursor::open(path.clone());
        for event in &log("a") {
            assert!(cursor.wants(event));
            cursor.done(event, Done::Delivered).unwrap();
        }
        // Under the reporter's feet, and between two starts of it.
        assert!(cursor.wants(&log("b")[0]));
        assert_eq!(wanted(&path, &log("b")), [1, 2, 3]);
        assert_eq!(wanted(&path, &log("a")), [0; 0]);
    }

    #[test]
    fn nothing_is_sent_to_a_receiver_that_is_gone_but_a_new_log() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("delivered.json");
        let events = log("a");
        let mut cursor = Cursor::open(path.clone());
        assert!(cursor.wants(&events[0]));
        cursor.done(&events[0], Done::Gone).unwrap();
        assert!(!cursor.wants(&events[1]));
        assert_eq!(wanted(&path, &events), [0; 0]);
        assert_eq!(wanted(&path, &log("b")), [1, 2, 3]);
    }

    #[test]
    fn a_cursor_of_another_release_is_gone_on_with_and_keeps_what_is_unknown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("delivered.json");
        let frozen = include_str!("../../contract/tests/frozen/delivered.json");
        let mut written: Value = serde_json::from_str(frozen).unwrap();
        written["log"] = "a-1".into();
        written["sequence"] = 1.into();
        written["novelty"] = serde_json::json!({ "a": [1] });
        written["refused"][0]["novelty"] = 7.into();
        std::fs::write(&path, written.to_string()).unwrap();
        assert_eq!(wanted(&path, &log("a")), [2, 3]);

        let mut cursor = Cursor::open(path.clone());
        for event in &log("a")[..2] {
            cursor.wants(event);
        }
        cursor.done(&log("a")[1], Done::Delivered).unwrap();
        written["sequence"] = 2.into();
        let kept = std::fs::read(&path).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), written);
    }

    #[test]
    fn a_damaged_cursor_means_to_send_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("delivered.json");
        std::fs::write(&path, b"{\"log\":").unwrap();
        assert_eq!(wanted(&path, &log("a")), [1, 2, 3]);
    }
}
