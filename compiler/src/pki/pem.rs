//! Reads and writes PEM, as openssl, cfssl and cloud consoles write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::der::asn1::{AnyRef, OctetStringRef};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

use nkd_model::Secret;

/// Identifiers of keys and curves: rsaEncryption (RFC 3279, 2.3.1), id-ecPublicKey, secp256r1 and secp384r1 (RFC
/// 5480, 2.1.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// A block: its label and its content.
pub type Block = (String, Zeroizing<Vec<u8>>);

/// All blocks of a text. Text between the blocks is ignored. `None` if a block is truncated or is not
/// base64.
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

/// The possible PKCS#8 forms of a private key's block. PKCS#8 is the form that all other code accepts. An
/// EC key may omit its curve, so there is one form for each supported curve, and only the right one can
/// be parsed.
pub fn as_pkcs8(label: &str, contents: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let forms = match label {
        "RSA PRIVATE KEY" => vec![wrap(RSA, AnyRef::NULL, contents)],
        "EC PRIVATE KEY" => [P256, P384]
            .iter()
            .map(|curve| wrap(EC, curve.into(), contents))
            .collect(),
        _ => vec![Some(Zeroizing::new(contents.to_vec()))],
    };
    forms.into_iter().flatten().collect()
}

/// A key as `PrivateKeyInfo` (RFC 5208), or `None` if it is too long for DER.
fn wrap(oid: ObjectIdentifier, parameters: AnyRef<'_>, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let algorithm = AlgorithmIdentifierRef {
        oid,
        parameters: Some(parameters),
    };
    let key = OctetStringRef::new(key).ok()?;
    let document = SecretDocument::encode_msg(&PrivateKeyInfoRef::new(algorithm, key)).ok()?;
    Some(document.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::as_pkcs8;

    #[test]
    fn older_forms_of_keys_are_wrapped_as_openssl_does() {
        let forms = |label| -> Vec<String> {
            let forms = as_pkcs8(label, b"key");
            forms
                .iter()
                .map(|der| base16ct::lower::encode_string(der))
                .collect()
        };
        let rsa = "301702010030 0d06092a864886f70d0101010500 04036b6579";
        let p256 = "301d02010030 1306072a8648ce3d020106082a8648ce3d030107 04036b6579";
        let p384 = "301a02010030 1006072a8648ce3d020106052b81040022 04036b6579";
        let bare = |text: &str| text.replace(' ', "");
        assert_eq!(forms("RSA PRIVATE KEY"), [bare(rsa)]);
        assert_eq!(forms("EC PRIVATE KEY"), [bare(p256), bare(p384)]);
        assert_eq!(forms("PRIVATE KEY"), ["6b6579"]);
    }
}
