//! The event log, with one JSON object per line. The worker process appends to it, and all others read
//! it. The log is also the queue for callbacks, so its size is limited: if it grows too large, the least
//! important events are removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nkd_contract::{Event, Kind, Word};

use crate::system::attended;
use crate::system::files::{with_reserve, write_atomic};

/// If the log is larger than this number of bytes, it is reduced to half of that. An installation without
/// failures writes less than a fiftieth of it.
const BOUND: u64 = 1 << 20;

/// The order in which events of different kinds are removed from a log that is too large, the lowest
/// number first: progress, then attempts, then the ends of stages, then events of unknown kinds. Events
/// without a number are kept: they state how the installation ended.
const fn dispensability(kind: &Word<Kind>) -> Option<u8> {
    match kind {
        Word::Known(Kind::Progress) => Some(0),
        Word::Known(Kind::StageStarted | Kind::AttemptFailed) => Some(1),
        Word::Known(Kind::StageDone | Kind::Started) => Some(2),
        Word::Other(_) => Some(3),
        Word::Known(Kind::Ready | Kind::Failed) => None,
    }
}

/// The writer of the log. There is only one at a time.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
    last: u64,
}

impl EventLog {
    /// Opens the log, or creates an empty one. Removes an incomplete last line, which a power cut may
    /// have left. No reader has seen it, because readers only read complete lines.
    ///
    /// # Errors
    /// The file system returns an error.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = append_to(path)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        let mut reader = EventReader::new(path.to_owned());
        let last = reader.read()?.last().map_or(0, |event| event.sequence);
        attended(|| {
            file.set_len(reader.offset)?;
            file.sync_all()?;
            path.parent()
                .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            last,
        })
    }

    /// The sequence number of the last event, or 0 in an empty log.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Appends an event. The event is on the disk when this returns.
    ///
    /// # Errors
    /// The file system returns an error.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        attended(|| self.append_line(&line))?;
        self.last = event.sequence;
        if self.file.metadata()?.len() > BOUND {
            let events = EventReader::new(self.path.clone()).read()?;
            write_atomic(&self.path, &lightened(&events, BOUND / 2)?, 0o644)?;
            self.file = append_to(&self.path)?;
        }
        Ok(())
    }

    fn append_line(&mut self, line: &[u8]) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        with_reserve(&self.path, || {
            let written = self.file.write_all(line);
            // What a full disk took of a line would spoil the next.
            written.or_else(|error| self.file.set_len(length).and(Err(error)))
        })?;
        self.file.sync_data()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The lines of as many events as fit the bound. The first event is kept, because its id identifies the
/// log, and the last one, because it is the newest.
fn lightened(events: &[Event], bound: u64) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for event in events {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        lines.push((dispensability(&event.kind), line));
    }
    let mut size: u64 = lines.iter().map(|(_, line)| line.len() as u64).sum();
    let last = lines.len().saturating_sub(1);
    for lost in 0..=3 {
        for (dispensability, line) in lines.iter_mut().take(last).skip(1) {
            if size > bound && *dispensability == Some(lost) {
                size -= line.len() as u64;
                line.clear();
            }
        }
    }
    Ok(lines.into_iter().flat_map(|(_, line)| line).collect())
}

/// Reads the log from its beginning, and then the events that were added.
#[derive(Debug)]
pub struct EventReader {
    path: PathBuf,
    offset: u64,
    /// The file that was read last. It stays open, so that its inode number cannot be used again.
    file: Option<File>,
    /// The id of the log's first event.
    log: String,
    /// The sequence number of the last event that was returned.
    last: u64,
}

impl EventReader {
    /// A reader that begins with the first event. The log does not have to exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            offset: 0,
            file: None,
            log: String::new(),
            last: 0,
        }
    }

    /// The events that were added since the last call. A line that is not an event is ignored, with a
    /// warning.
    ///
    /// # Errors
    /// The file system returns an error.
    pub fn read(&mut self) -> io::Result<Vec<Event>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let earlier = self.file.as_ref().map(File::metadata).transpose()?;
        let same = earlier.is_some_and(|earlier| earlier.ino() == metadata.ino());
        if !same || metadata.len() < self.offset {
            self.file = Some(file.try_clone()?);
            self.offset = 0;
        }
        let from_start = self.offset == 0;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut file = BufReader::new(file);
        let mut events = Vec::new();
        let mut line = Vec::new();
        while file.by_ref().read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            self.offset += line.len() as u64;
            match serde_json::from_slice(&line) {
                Ok(event) => events.push(event),
                Err(error) => log::warn!("ignoring an unreadable line of the event log: {error}"),
            }
            line.clear();
        }
        if from_start {
            self.skip_known(&mut events);
        }
        if let Some(last) = events.last() {
            self.last = last.sequence;
        }
        Ok(events)
    }

    /// Skips events that were already returned, if the log was reduced. In another log, it skips nothing.
    fn skip_known(&mut self, events: &mut Vec<Event>) {
        let Some(first) = events.first() else {
            return;
        };
        if first.id == self.log {
            events.retain(|event| event.sequence > self.last);
        } else {
            self.log.clone_from(&first.id);
        }
    }
}

/// Waits for events that are added to the log.
#[derive(Debug)]
pub struct EventFollower {
    reader: EventReader,
    changes: Inotify,
}

impl EventFollower {
    /// A follower that begins with the first event. The log does not have to exist yet, but its directory
    /// must exist.
    ///
    /// # Errors
    /// The directory cannot be watched.
    pub fn new(path: PathBuf) -> io::Result<Self> {
        let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        // The directory, because the log itself may not be there yet.
        let directory = path.parent().unwrap_or_else(|| Path::new("/"));
        changes.add_watch(
            directory,
            AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO,
        )?;
        Ok(Self {
            reader: EventReader::new(path),
            changes,
        })
    }

    /// The events that were added since the last call. If there are none, waits for them for at most this
    /// time.
    ///
    /// # Errors
    /// The file system returns an error.
    pub fn next(&mut self, patience: Duration) -> io::Result<Vec<Event>> {
        let events = self.durable()?;
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
        self.durable()
    }

    /// The next events, which are on the disk when this returns. The writer syncs them too, but they can
    /// be read before that. If an event were reported and then lost in a power cut, the next event would
    /// get the same number.
    fn durable(&mut self) -> io::Result<Vec<Event>> {
        let events = self.reader.read()?;
        if let Some(file) = self.reader.file.as_ref().filter(|_| !events.is_empty()) {
            attended(|| file.sync_data())?;
        }
        Ok(events)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use nkd_contract::Timestamp;

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
            pool: None,
            role: Some(nkd_contract::Role::Init.into()),
            plan: Some("0".repeat(64)),
            kind: kind.into(),
            stage: None,
            attempt: 0,
            progress: None,
            cause: None,
            message: "something happened".into(),
            retry_after: None,
            unknown_fields: serde_json::Map::new(),
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

    /// Ids of the log's events of one kind.
    fn ids(path: &Path, kind: Kind) -> Vec<u64> {
        let events = EventReader::new(path.to_owned()).read().unwrap();
        let of_kind = events.iter().filter(|event| event.kind == kind);
        of_kind.map(|event| event.sequence).collect()
    }

    #[test]
    fn a_log_that_grows_too_large_loses_progress_before_outcomes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        let mut reader = EventReader::new(path.clone());
        let mut heard = Vec::new();
        let kinds = [Kind::StageStarted, Kind::AttemptFailed];
        let mut write = |sequence, kind| {
            let message = "x".repeat(2000);
            let event = Event {
                message,
                ..event(sequence, kind)
            };
            log.append(&event).unwrap();
            heard.extend(reader.read().unwrap().iter().map(|event| event.sequence));
            fs::metadata(&path).unwrap().len()
        };
        write(1, Kind::Started);
        for sequence in 2..=1000 {
            let kind = if sequence % 10 == 0 {
                kinds[usize::from(sequence % 20 == 0)]
            } else {
                Kind::Progress
            };
            assert!(write(sequence, kind) <= BOUND);
        }
        write(1001, Kind::Failed);
        // Whoever follows hears each event once, whatever becomes of it afterwards.
        assert_eq!(heard, (1..=1001).collect::<Vec<_>>());
        assert_eq!(ids(&path, Kind::Started), [1]);
        assert_eq!(ids(&path, Kind::Failed), [1001]);
        assert_eq!(ids(&path, Kind::StageStarted).len(), 50);
        assert_eq!(ids(&path, Kind::AttemptFailed).len(), 50);
        let progress = ids(&path, Kind::Progress);
        assert!(progress.len() < 500 && progress.last() == Some(&999));
        assert_eq!(EventLog::open(&path).unwrap().last(), 1001);
    }

    #[test]
    fn of_outcomes_alone_the_oldest_are_lost_but_never_how_it_began_and_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        for sequence in 1..=1000 {
            let kind = match sequence {
                1 => Kind::Started,
                2 => Kind::Failed,
                _ => Kind::AttemptFailed,
            };
            let message = "x".repeat(2000);
            let event = Event {
                message,
                ..event(sequence, kind)
            };
            log.append(&event).unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() <= BOUND);
        assert_eq!(ids(&path, Kind::Started), [1]);
        assert_eq!(ids(&path, Kind::Failed), [2]);
        assert_eq!(ids(&path, Kind::AttemptFailed).last(), Some(&1000));
    }

    #[test]
    fn events_of_a_later_release_survive_a_log_that_is_made_smaller_and_are_lost_last() {
        let mut events: Vec<_> = (1..=9)
            .map(|sequence| event(sequence, Kind::Progress))
            .collect();
        events[4].kind = Word::Other("stage-skipped".into());
        let novelty = serde_json::json!({ "a": [1] });
        events[4].unknown_fields.insert("novelty".into(), novelty);
        let kept = |bound| {
            let lines = String::from_utf8(lightened(&events, bound).unwrap()).unwrap();
            let events = lines.lines().map(serde_json::from_str);
            events.collect::<Result<Vec<Event>, _>>().unwrap()
        };
        let long = kept(u64::MAX).len();
        assert_eq!(long, events.len());
        let whole = serde_json::to_vec(&events).unwrap().len() as u64;
        assert!(kept(whole / 2).contains(&events[4]));
        assert_eq!(kept(0), [events[0].clone(), events[8].clone()]);
    }

    #[test]
    fn a_reader_takes_another_log_for_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut reader = EventReader::new(path.clone());
        EventLog::open(&path).unwrap();
        assert_eq!(reader.read().unwrap(), []);
        for name in ["a", "b"] {
            let first = Event {
                id: name.to_owned(),
                ..event(1, Kind::Started)
            };
            let line = serde_json::to_string(&first).unwrap() + "\n";
            write_atomic(&path, line.as_bytes(), 0o644).unwrap();
            assert_eq!(reader.read().unwrap(), [first]);
        }
    }

    #[test]
    fn a_log_that_was_made_smaller_again_and_again_loses_nothing_for_its_readers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut reader = EventReader::new(path.clone());
        let first = event(1, Kind::Started);
        for sequence in 2..50 {
            // Each time a new file; its inode may be that of one before.
            for bytes in ["", "x"] {
                write_atomic(&directory.path().join("other"), bytes.as_bytes(), 0o600).unwrap();
                let events = [first.clone(), event(sequence, Kind::AttemptFailed)];
                let lines = lightened(&events, BOUND).unwrap();
                write_atomic(&path, &lines, 0o644).unwrap();
            }
            let read = reader.read().unwrap();
            assert_eq!(read.last().map(|event| event.sequence), Some(sequence));
        }
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
