use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};

/// The first bytes of compressed bundles (RFC 8878, 3.1.1).
pub const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The largest window a compressed bundle may need, as a power of two: 8 MiB, which RFC 8878
/// recommends that every decoder support.
const WINDOW_LOG: u32 = 23;

/// What a bundle is read from.
pub trait Source: Read {
    /// Skips bytes. Skipping beyond the end is no error.
    ///
    /// # Errors
    /// The source cannot be read.
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        io::copy(&mut self.take(bytes), &mut io::sink()).map(drop)
    }
}

impl Source for File {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = i64::try_from(bytes).map_err(io::Error::other)?;
        self.seek(SeekFrom::Current(bytes)).map(drop)
    }
}

impl Source for &[u8] {}

impl<S: Source + ?Sized> Source for Box<S> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        (**self).skip(bytes)
    }
}

/// A source whose first bytes have already been read.
struct Peeked<S> {
    seen: io::Cursor<Vec<u8>>,
    rest: S,
    /// Whether reading `rest` failed.
    failed: bool,
}

impl<S: Source> Read for Peeked<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.seen.read(into)? {
            0 => self.rest.read(into).inspect_err(|_| self.failed = true),
            read => Ok(read),
        }
    }
}

impl<S: Source> Source for Peeked<S> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let seen = io::copy(&mut (&mut self.seen).take(bytes), &mut io::sink())?;
        self.rest.skip(bytes - seen)
    }
}

struct Zstd<S: Source>(zstd::stream::read::Decoder<'static, BufReader<Peeked<S>>>);

impl<S: Source> Read for Zstd<S> {
    /// Data that cannot be decompressed is an error of the kind `InvalidData`; errors of the source are passed
    /// on.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|error| {
            let unreadable = self.0.get_ref().get_ref().failed;
            if unreadable || error.kind() == ErrorKind::UnexpectedEof {
                return error;
            }
            io::Error::new(ErrorKind::InvalidData, error)
        })
    }
}

impl<S: Source> Source for Zstd<S> {}

/// The bytes of a source, decompressed if they are compressed.
///
/// # Errors
/// The first bytes cannot be read.
pub fn open<'a>(mut source: impl Source + Send + 'a) -> io::Result<Box<dyn Source + Send + 'a>> {
    let mut seen = Vec::new();
    (&mut source).take(4).read_to_end(&mut seen)?;
    let compressed = seen == ZSTD_MAGIC;
    let peeked = Peeked {
        seen: io::Cursor::new(seen),
        rest: source,
        failed: false,
    };
    if !compressed {
        return Ok(Box::new(peeked));
    }
    let input = BufReader::with_capacity(128 << 10, peeked);
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(WINDOW_LOG)?;
    Ok(Box::new(Zstd(decoder)))
}
