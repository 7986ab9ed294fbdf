//! PEM, as openssl, cfssl and cloud consoles write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

use crate::model::Secret;

/// Object identifiers of PKCS#8, with their length and tag: rsaEncryption and NULL, then
/// id-ecPublicKey and the curve (RFC 3279, RFC 5480).
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] =
    b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";

/// One block: its label and what is in it.
pub type Block = (String, Zeroizing<Vec<u8>>);

/// All blocks of a text; what stands between them is a comment. `None` when one is cut off or
/// isn't base64.
pub fn blocks(text: &str) -> Option<Vec<Block>> {
    Pem::iter_from_buffer(text.as_bytes())
        .map(|block| {
            let block = block.ok()?;
            Some((block.label, Zeroizing::new(block.contents)))
        })
        .collect()
}

/// Writes a block.
pub fn write(label: &str, contents: &[u8]) -> Secret {
    let base64 = Zeroizing::new(STANDARD.encode(contents));
    let mut text = format!("-----BEGIN {label}-----\n");
    text.reserve(base64.len() * 2 + 64);
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    Secret::new(text)
}

/// What a private key's block can be in PKCS#8: the form that everything downstream takes.
pub fn as_pkcs8(label: &str, contents: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    match label {
        "RSA PRIVATE KEY" => vec![wrap(RSA, contents)],
        // The curve may be left out inside: whoever reads it tries.
        "EC PRIVATE KEY" => vec![wrap(P256, contents), wrap(P384, contents)],
        _ => vec![Zeroizing::new(contents.to_vec())],
    }
}

/// `PrivateKeyInfo` (RFC 5208) around a key.
fn wrap(algorithm: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let inner = tagged(0x04, key);
    let mut body = Zeroizing::new(Vec::with_capacity(inner.len() + algorithm.len() + 3));
    body.extend_from_slice(b"\x02\x01\x00");
    body.extend_from_slice(algorithm);
    body.extend_from_slice(&inner);
    tagged(0x30, &body)
}

/// Tag, length and value in DER.
fn tagged(tag: u8, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut der = Zeroizing::new(Vec::with_capacity(value.len() + 10));
    der.push(tag);
    let length = value.len().to_be_bytes();
    let length = &length[length.iter().take_while(|it| **it == 0).count()..];
    match length {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        long => {
            der.extend(u8::try_from(long.len()).map(|count| 0x80 | count));
            der.extend_from_slice(long);
        }
    }
    der.extend_from_slice(value);
    der
}
