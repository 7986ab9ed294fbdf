//! etcd's write-ahead log (etcd, `server/storage/wal`).

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

/// The kinds of records (etcd, `wal.go`). Raft writes entries and states. The others are written when the
/// log is created.
const METADATA: u8 = 1;
const ENTRY: u8 = 2;
const STATE: u8 = 3;
const CHECKSUM: u8 = 4;
const SNAPSHOT: u8 = 5;

/// The part of a record's header that is its length in bytes. The byte above it is the size of the
/// padding, and its first bit shows whether there is any (etcd, `encoder.go`, `encodeFrameSize`).
const LENGTH: u64 = (1 << 56) - 1;
const PADDED: u64 = 1 << 63;
const PADDING: u64 = 0b111;
/// The protobuf tag of a record's first field, its kind, which is a number below 128.
const KIND: u8 = 0x08;

/// Whether a log was created and nothing was ever written to it. A power cut right after etcd's first
/// start leaves such a log. etcd then starts as a member and waits for a leader that cannot exist. But
/// etcd has acknowledged nothing to any client or peer, so the log can be deleted.
///
/// A log that cannot be read, or that is not in etcd's format, does not count as blank.
pub(in super::super) fn is_blank(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else {
        return false;
    };
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut logs = files.filter(|path| path.extension().is_some_and(|kind| kind == "wal"));
    // etcd makes the second file of a log when the first one is full.
    match (logs.next(), logs.next()) {
        (Some(only), None) => File::open(only).and_then(holds_nothing).unwrap_or(false),
        _ => false,
    }
}

fn holds_nothing(file: File) -> io::Result<bool> {
    let mut file = BufReader::new(file);
    let mut is_created = false;
    loop {
        match next_kind(&mut file)? {
            Some(CHECKSUM | METADATA | SNAPSHOT) => is_created = true,
            Some(ENTRY | STATE) => return Ok(false),
            Some(_) => return Err(ErrorKind::InvalidData.into()),
            None => return Ok(is_created),
        }
    }
}

/// The kind of the next record. `None` at the end of the file, or at the beginning of the space that etcd
/// has reserved.
fn next_kind(file: &mut BufReader<File>) -> io::Result<Option<u8>> {
    let mut header = [0; 8];
    match file.read_exact(&mut header) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let header = u64::from_le_bytes(header);
    if header == 0 {
        return Ok(None);
    }
    let padding = match header & PADDED {
        0 => 0,
        _ => header >> 56 & PADDING,
    };
    let mut record = [0; 2];
    file.read_exact(&mut record)?;
    let rest = (header & LENGTH).checked_sub(2).map(|rest| rest + padding);
    match (record, rest) {
        ([KIND, kind], Some(rest)) if io::copy(&mut file.take(rest), &mut io::sink())? == rest => {
            Ok(Some(kind))
        }
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as etcd frames it: its kind, a checksum and data, padded to a multiple of 8 bytes.
    fn record(kind: u8, data: &[u8]) -> Vec<u8> {
        let mut record = vec![KIND, kind, 0x10, 7, 0x1a, u8::try_from(data.len()).unwrap()];
        record.extend(data);
        let length = record.len() as u64;
        let padding = (8 - length % 8) % 8;
        let mark = if padding == 0 {
            0
        } else {
            PADDED | padding << 56
        };
        let mut frame = (length | mark).to_le_bytes().to_vec();
        frame.extend(record);
        frame.resize(frame.len() + usize::try_from(padding).unwrap(), 0);
        frame
    }

    fn created() -> Vec<u8> {
        let records = [
            (CHECKSUM, ""),
            (METADATA, "of a member"),
            (SNAPSHOT, "none"),
        ];
        let records = records.map(|(kind, data)| record(kind, data.as_bytes()));
        records.concat()
    }

    fn is_blank_with(files: &[(&str, &[u8])]) -> bool {
        let directory = tempfile::tempdir().unwrap();
        for (name, contents) in files {
            fs::write(directory.path().join(name), contents).unwrap();
        }
        is_blank(directory.path())
    }

    fn holds(records: &[u8]) -> bool {
        let mut log = [&created(), records].concat();
        // The space that etcd sets aside.
        log.resize(4096, 0);
        !is_blank_with(&[("0000000000000000-0000000000000000.wal", &log)])
    }

    #[test]
    fn a_log_is_blank_until_raft_writes_to_it() {
        assert!(!holds(b""));
        assert!(holds(&record(ENTRY, b"a configuration change")));
        assert!(holds(&record(STATE, b"a vote")));
    }

    #[test]
    fn what_is_not_a_whole_new_log_is_not_called_blank() {
        assert!(holds(&record(9, b"of a later etcd")));
        assert!(holds(b"\x01rubbish"));
        assert!(!is_blank_with(&[]));
        assert!(!is_blank_with(&[("0.wal", b"")]));
        assert!(!is_blank_with(&[("0.wal", &[0; 4096])]));
        assert!(!is_blank_with(&[
            ("0.wal", &created()),
            ("1.wal", &created())
        ]));
        assert!(!is_blank_with(&[("0.tmp", &created())]));
        assert!(!is_blank(Path::new("/nowhere")));
        let cut_in_a_record = &created()[..30];
        assert!(!is_blank_with(&[("0.wal", cut_in_a_record)]));
    }
}
