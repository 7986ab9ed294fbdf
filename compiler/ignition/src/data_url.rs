use std::cell::RefCell;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

thread_local! {
    /// A compressor for each thread, because creating one takes longer than compressing a small file.
    static COMPRESSOR: RefCell<Compress> =
        RefCell::new(Compress::new(Compression::best(), false));
}

/// The header of RFC 1952: deflate, no flags, no time, best compression, unknown system. It is always the
/// same.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];

/// All but the "unreserved" characters of RFC 2396, as Butane writes data URLs.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

const BASE64: &str = ";base64";
/// The bytes that a gzip resource needs in addition to its URL: Butane counts the value of `compression`.
const GZIP: &str = "gzip";

/// The shortest data URL of a content and Ignition's name for its compression: percent-encoded
/// text, base64, or gzip in base64.
pub fn encode(content: impl AsRef<[u8]>) -> (String, &'static str) {
    let content = content.as_ref();
    let shortest = plain_length(content).min(base64_length(content));
    match gzip(content) {
        Some(zipped) if zipped.len() + GZIP.len() < shortest => (zipped, GZIP),
        _ => (encode_as_is(content), ""),
    }
}

/// The shortest data URL of a content without compression.
pub fn encode_as_is(content: &[u8]) -> String {
    if base64_length(content) < plain_length(content) {
        format!("data:{BASE64},{}", STANDARD.encode(content))
    } else {
        plain(content)
    }
}

/// The length of a data URL of percent-encoded text.
fn plain_length(content: &[u8]) -> usize {
    let encoded = percent_encode(content, RESERVED);
    "data:,".len() + encoded.map(str::len).sum::<usize>()
}

/// The length of a data URL of base64.
fn base64_length(content: &[u8]) -> usize {
    "data:;base64,".len() + content.len().div_ceil(3) * 4
}

/// The data URL of a text that stays readable.
pub fn plain(content: impl AsRef<[u8]>) -> String {
    format!("data:,{}", percent_encode(content.as_ref(), RESERVED))
}

/// A content as a data URL of base64 of gzip.
pub fn gzip(content: impl AsRef<[u8]>) -> Option<String> {
    let content = content.as_ref();
    let mut zipped = GZIP_HEADER.to_vec();
    let mut checksum = Crc::new();
    checksum.update(content);
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        // Deflate's worst case: stored blocks.
        zipped.reserve(content.len() + content.len() / 1000 + 64);
        let finish = FlushCompress::Finish;
        let status = compressor.compress_vec(content, &mut zipped, finish);
        matches!(status, Ok(Status::StreamEnd)).then_some(())
    })?;
    zipped.extend(checksum.sum().to_le_bytes());
    zipped.extend(checksum.amount().to_le_bytes());
    Some(format!("data:{BASE64},{}", STANDARD.encode(zipped)))
}

/// The most bytes that a data URL may unpack to. A few hundred kilobytes of gzip can unpack to gigabytes, and
/// Ignition unpacks in the memory of the machine that boots.
pub const LIMIT: usize = 64 << 20;

/// What is wrong with the data of a data URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is no data URL, or its data are neither percent-encoded text nor base64.
    Encoding,
    /// The data are not gzip.
    Gzip,
    /// The data unpack to more than [`LIMIT`].
    TooLarge,
}

/// The bytes of a data URL (RFC 2397); `None` for anything else, and for more than [`LIMIT`].
pub fn decode(url: &str, compression: &str) -> Option<Vec<u8>> {
    unpack(url, compression).ok()
}

/// The bytes of a data URL (RFC 2397).
///
/// # Errors
/// When it is none, or its data are not what they should be.
pub fn unpack(url: &str, compression: &str) -> Result<Vec<u8>, Fault> {
    let bytes = data(url).ok_or(Fault::Encoding)?;
    if compression != GZIP {
        return Ok(bytes);
    }
    // Text shrinks to a third or a quarter.
    let mut content = Vec::with_capacity(4 * bytes.len());
    // One byte more shows that there is more.
    let mut unpacked = GzDecoder::new(bytes.as_slice()).take(LIMIT as u64 + 1);
    unpacked
        .read_to_end(&mut content)
        .map_err(|_| Fault::Gzip)?;
    if content.len() > LIMIT {
        return Err(Fault::TooLarge);
    }
    Ok(content)
}

fn data(url: &str) -> Option<Vec<u8>> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    if !has_good_escapes(data) {
        return None;
    }
    let bytes: Vec<u8> = percent_decode_str(data).collect();
    if head.ends_with(BASE64) {
        STANDARD.decode(bytes).ok()
    } else {
        Some(bytes)
    }
}

/// Whether two hexadecimal digits follow every `%`. A decoder that accepts other `%` would return another
/// content than the one that was written.
pub(crate) fn has_good_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use proptest::prelude::*;

    use super::{
        Fault, LIMIT, STANDARD, base64_length, decode, encode, plain, plain_length, unpack,
    };

    #[test]
    fn the_shortest_of_three_encodings_is_taken() {
        assert_eq!(encode("a b\n"), ("data:,a%20b%0A".to_owned(), ""));
        assert_eq!(
            encode([0xFF, 0, 0xFE, 0xFF, 0, 0xFE]),
            ("data:;base64,/wD+/wD+".to_owned(), "")
        );
        assert_eq!(encode("# ".repeat(1000)).1, "gzip");
        assert_eq!(encode(""), ("data:,".to_owned(), ""));
    }

    #[test]
    fn data_urls_of_others_are_understood() {
        let text = Some(b"a b".to_vec());
        assert_eq!(decode("data:text/plain;charset=utf-8,a%20b", ""), text);
        assert_eq!(decode("data:text/plain;base64,YSBi", ""), text);
        assert_eq!(decode("https://example.org/a,b", ""), None);
        for bad in ["data:,%", "data:,%4", "data:,%zz", "data:,%+1"] {
            assert_eq!(decode(bad, ""), None, "{bad}");
        }
    }

    #[test]
    fn what_unpacks_to_too_much_is_not_unpacked() {
        for (more, length) in [(0, Ok(LIMIT)), (1, Err(Fault::TooLarge))] {
            let (url, compression) = encode(vec![0; LIMIT + more]);
            assert_eq!(
                unpack(&url, compression).map(|content| content.len()),
                length
            );
        }
        assert_eq!(unpack("data:,abc", "gzip"), Err(Fault::Gzip));
    }

    proptest! {
        #[test]
        fn lengths_are_those_of_the_urls(content: Vec<u8>) {
            prop_assert_eq!(plain_length(&content), plain(&content).len());
            let base64 = format!("data:;base64,{}", STANDARD.encode(&content));
            prop_assert_eq!(base64_length(&content), base64.len());
        }

        #[test]
        fn any_content_comes_back(content: Vec<u8>) {
            let (url, compression) = encode(&content);
            prop_assert_eq!(decode(&url, compression), Some(content));
        }
    }
}
