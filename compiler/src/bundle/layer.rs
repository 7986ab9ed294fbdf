//! Layers, which are unpacked to compare them with the image configuration.

use std::io::{self, Write};

use nkd_bundle::{Digest, Hasher};

/// The size in bytes to which every layer may unpack, however small it is.
const ALWAYS: u64 = 1 << 30;
/// Beyond that, how many times its own size a layer may have when unpacked. Real layers stay below 20.
const TIMES: u64 = 100;

/// Receives the bytes of a layer, and detects its compression.
pub struct LayerInspector {
    unpacked: Unpacked,
    size: u64,
}

enum Unpacked {
    /// Too few bytes to detect the compression.
    Begin(Vec<u8>),
    Plain(Counted),
    Gzip(flate2::write::MultiGzDecoder<Counted>),
    Zstd(zstd::stream::write::Decoder<'static, Counted>),
}

/// Counts and hashes the unpacked bytes.
#[derive(Default)]
struct Counted {
    hasher: Hasher,
    size: u64,
    limit: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            let message = format!("more than {} bytes after decompression", self.limit);
            return Err(io::Error::other(message));
        }
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    None,
    /// Compressed with gzip.
    Gzip,
    /// Compressed with zstd.
    Zstd,
}

impl Compression {
    /// The media type of a layer with this compression (OCI image specification, "Media types").
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

impl LayerInspector {
    /// A layer with this number of bytes.
    pub fn new(size: u64) -> Self {
        Self {
            unpacked: Unpacked::Begin(Vec::new()),
            size,
        }
    }

    /// The compression, and the digest of the unpacked layer.
    ///
    /// # Errors
    /// The layer is truncated.
    pub fn finish(mut self) -> io::Result<(Compression, Digest)> {
        if let Unpacked::Begin(begin) = &mut self.unpacked {
            let begin = std::mem::take(begin);
            self.decide(&begin)?;
        }
        Ok(match self.unpacked {
            Unpacked::Begin(_) => (Compression::None, Hasher::default().finish()),
            Unpacked::Plain(counted) => (Compression::None, counted.hasher.finish()),
            Unpacked::Gzip(decoder) => (Compression::Gzip, decoder.finish()?.hasher.finish()),
            Unpacked::Zstd(mut decoder) => {
                decoder.flush()?;
                (Compression::Zstd, decoder.into_inner().hasher.finish())
            }
        })
    }

    fn decide(&mut self, begin: &[u8]) -> io::Result<()> {
        let counted = Counted {
            limit: ALWAYS.saturating_add(self.size.saturating_mul(TIMES)),
            ..Counted::default()
        };
        self.unpacked = if begin.starts_with(&[0x1f, 0x8b]) {
            Unpacked::Gzip(flate2::write::MultiGzDecoder::new(counted))
        } else if begin.starts_with(&nkd_bundle::ZSTD_MAGIC) {
            Unpacked::Zstd(zstd::stream::write::Decoder::new(counted)?)
        } else {
            Unpacked::Plain(counted)
        };
        self.write_all(begin)
    }
}

impl Write for LayerInspector {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.unpacked {
            Unpacked::Begin(begin) => {
                begin.extend_from_slice(bytes);
                if begin.len() >= 4 {
                    let begin = std::mem::take(begin);
                    self.decide(&begin)?;
                }
            }
            Unpacked::Plain(counted) => counted.write_all(bytes)?,
            Unpacked::Gzip(decoder) => decoder.write_all(bytes)?,
            Unpacked::Zstd(decoder) => decoder.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
