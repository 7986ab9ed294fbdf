use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

const PLAIN: &str = "data:,";
const BASE64: &str = "data:;base64,";

/// The shortest data URL of a text and Ignition's name for its compression: percent-encoded text,
/// or gzip in base64 when that is shorter.
pub fn encode(text: &str) -> (String, &'static str) {
    let plain = plain(text);
    match gzip(text) {
        Some(zipped) if zipped.len() < plain.len() => (zipped, "gzip"),
        _ => (plain, ""),
    }
}

/// A text as a data URL of percent-encoded text.
pub fn plain(text: &str) -> String {
    let mut url = String::from(PLAIN);
    for byte in text.bytes() {
        // What Ignition's validator takes as it is.
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()/:=+,;@&$?".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// A text as a data URL of base64 of gzip.
pub fn gzip(text: &str) -> Option<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).ok()?;
    Some(format!(
        "{BASE64}{}",
        STANDARD.encode(encoder.finish().ok()?)
    ))
}

/// The bytes of a data URL as nkd and Butane write them; `None` for anything else.
pub fn decode(url: &str, compression: &str) -> Option<Vec<u8>> {
    let bytes = if let Some(encoded) = url.strip_prefix(BASE64) {
        STANDARD.decode(encoded).ok()?
    } else {
        percent_decode(url.strip_prefix(PLAIN)?)?
    };
    if compression != "gzip" {
        return Some(bytes);
    }
    let mut text = Vec::new();
    GzDecoder::new(bytes.as_slice())
        .read_to_end(&mut text)
        .ok()?;
    Some(text)
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decode, encode};

    #[test]
    fn long_repetitive_text_is_compressed_and_short_text_stays_readable() {
        assert_eq!(encode("a b\n"), ("data:,a%20b%0A".to_owned(), ""));
        assert_eq!(encode(&"# ".repeat(1000)).1, "gzip");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in ".*") {
            let (url, compression) = encode(&text);
            prop_assert_eq!(decode(&url, compression), Some(text.into_bytes()));
        }
    }
}
