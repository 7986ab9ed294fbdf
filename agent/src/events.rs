//! The event log: one JSON object a line, only ever appended to. The worker writes it, everybody
//! else follows it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nkd_contract::Event;

/// The log's writer; there is one at a time.
#[derive(Debug)]
pub struct EventLog {
    file: File,
    last: u64,
}

impl EventLog {
    /// Opens the log, or makes an empty one. What a power cut left of a last line is cut off: it
    /// was never seen by anybody, for readers take whole lines only.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        let mut reader = EventReader::new(path.to_owned());
        let last = reader.read()?.last().map_or(0, |event| event.sequence);
        file.set_len(reader.offset)?;
        file.sync_all()?;
        Ok(Self { file, last })
    }

    /// The last event's sequence; 0 in an empty log.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Appends an event; it is on the disk when this returns.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.last = event.sequence;
        Ok(())
    }
}

/// Reads the log from its beginning, and then what was added.
#[derive(Debug)]
pub struct EventReader {
    path: PathBuf,
    offset: u64,
}

impl EventReader {
    /// A reader that begins with the first event. There need not be a log yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, offset: 0 }
    }

    /// The events that were added since the last call. A line that isn't an event this agent
    /// knows is passed over, with a warning.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn read(&mut self) -> io::Result<Vec<Event>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < self.offset {
            // Somebody put another log there.
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut file = BufReader::new(file);
        let mut events = Vec::new();
        let mut line = Vec::new();
        while file.by_ref().read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            self.offset += line.len() as u64;
            match serde_json::from_slice(&line) {
                Ok(event) => events.push(event),
                Err(error) => log::warn!("passed over a line of the event log: {error}"),
            }
            line.clear();
        }
        Ok(events)
    }
}

/// Waits for what is added to the log.
#[derive(Debug)]
pub struct EventFollower {
    reader: EventReader,
    changes: Inotify,
}

impl EventFollower {
    /// A follower that begins with the first event. There need not be a log yet, but its
    /// directory must be there.
    ///
    /// # Errors
    /// The directory can't be watched.
    pub fn new(path: PathBuf) -> io::Result<Self> {
        let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        // The directory, because the log itself may not be there yet.
        let directory = path.parent().unwrap_or_else(|| Path::new("/"));
        changes.add_watch(
            directory,
            AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE,
        )?;
        Ok(Self {
            reader: EventReader::new(path),
            changes,
        })
    }

    /// The events that were added since the last call; when there are none, waits for some at
    /// most this long.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn next(&mut self, patience: Duration) -> io::Result<Vec<Event>> {
        let events = self.reader.read()?;
        if !events.is_empty() {
            return Ok(events);
        }
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut wanted = [PollFd::new(self.changes.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        // What changed doesn't matter, only that something did.
        while self.changes.read_events().is_ok() {}
        self.reader.read()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use nkd_contract::{Kind, Timestamp};

    use super::*;

    /// An event like one of the worker's.
    pub(crate) fn event(sequence: u64, kind: Kind) -> Event {
        Event {
            sequence,
            id: format!("id-{sequence}"),
            time: Timestamp::from_unix(1_700_000_000 + sequence),
            boot: "boot".into(),
            cluster: Some("demo".into()),
            node: "cp1".into(),
            role: Some(nkd_contract::Role::Init),
            plan: Some("0".repeat(64)),
            kind,
            stage: None,
            attempt: 0,
            progress: None,
            cause: None,
            message: "something happened".into(),
            retry_after: None,
        }
    }

    #[test]
    fn the_sequence_goes_on_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nkd/events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        assert_eq!(log.last(), 0);
        log.append(&event(1, Kind::Started)).unwrap();
        log.append(&event(2, Kind::StageStarted)).unwrap();
        assert_eq!(EventLog::open(&path).unwrap().last(), 2);
    }

    #[test]
    fn half_a_line_from_a_power_cut_is_never_read_and_then_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        EventLog::open(&path)
            .unwrap()
            .append(&event(1, Kind::Started))
            .unwrap();
        let mut whole = fs::read(&path).unwrap();
        let length = whole.len();
        whole.extend_from_slice(b"{\"sequence\":2,\"id\":");
        fs::write(&path, &whole).unwrap();

        assert_eq!(EventReader::new(path.clone()).read().unwrap().len(), 1);
        assert_eq!(EventLog::open(&path).unwrap().last(), 1);
        assert_eq!(fs::read(&path).unwrap().len(), length);
    }

    #[test]
    fn a_damaged_line_hides_only_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        log.append(&event(1, Kind::Started)).unwrap();
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"\0\0\0\n")
            .unwrap();
        log.append(&event(2, Kind::Ready)).unwrap();
        let events = EventReader::new(path).read().unwrap();
        assert_eq!(
            events
                .iter()
                .map(|event| event.sequence)
                .collect::<Vec<_>>(),
            [1, 2]
        );
    }

    #[test]
    fn a_follower_hears_of_a_log_that_is_made_later_and_added_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut follower = EventFollower::new(path.clone()).unwrap();
        assert!(follower.next(Duration::ZERO).unwrap().is_empty());
        let writer = std::thread::spawn(move || {
            let mut log = EventLog::open(&path).unwrap();
            log.append(&event(1, Kind::Started)).unwrap();
        });
        let mut heard = Vec::new();
        while heard.is_empty() {
            heard = follower.next(Duration::from_secs(10)).unwrap();
        }
        writer.join().unwrap();
        assert_eq!(heard[0].sequence, 1);
    }
}
