//! Which certificates the agent can verify a server with. The agent uses rustls with ring and webpki: it takes
//! the name and the key of each trusted certificate, whose dates and flags then do not matter, and verifies the
//! certificate of the server completely. If a trusted certificate is the server's own, that includes itself.

use std::net::IpAddr;

use nkd_contract::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::own::{Chain, Problem, expiry, name};
use nkd_document::Code;

/// Why the agent would refuse a server, whatever certificates it has, if it trusts only these. Nothing if one
/// of them can be used.
pub fn problems(trusted: &Chain, server: Option<&str>, now: Timestamp) -> Vec<Problem> {
    let mut problems = Vec::new();
    for certificate in trusted.certificates() {
        let Some(problem) = problem(&certificate, server, now) else {
            return Vec::new();
        };
        let name = name(certificate.subject());
        let message = format!("contains a certificate of {name} that {problem}");
        problems.push(Problem::new(Code::TrustAnchor, message));
    }
    problems
}

fn problem(
    certificate: &X509Certificate<'_>,
    server: Option<&str>,
    now: Timestamp,
) -> Option<String> {
    if !has_supported_key(certificate.public_key()) {
        return Some("has a key that the agent does not support".to_owned());
    }
    let is_self_signed = certificate.issuer().as_raw() == certificate.subject().as_raw();
    let server = server.filter(|server| is_self_signed && names(certificate, server))?;
    if !is_authority(certificate) {
        return expiry(certificate, now);
    }
    (!is_meant_to_sign(certificate)).then(|| {
        format!("belongs to the server {server} itself, but has the CA flag: the agent refuses such a server")
    })
}

/// Whether ring verifies signatures of this key (rustls, `crypto::ring`).
fn has_supported_key(key: &SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref();
        let curve = curve.and_then(|curve| curve.as_oid().ok());
        return curve.is_some_and(|curve| curve == OID_EC_P256 || curve == OID_NIST_EC_P384);
    }
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        return match key.parsed() {
            Ok(PublicKey::RSA(key)) => (2048..=8192).contains(&key.key_size()),
            _ => false,
        };
    }
    *algorithm == OID_SIG_ED25519
}

fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    let constraints = certificate.basic_constraints().ok().flatten();
    constraints.is_some_and(|constraints| constraints.value.ca)
}

/// Whether the key usage names the signing of certificates. `openssl req -x509` sets the CA flag by default, but
/// no key usage.
fn is_meant_to_sign(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.key_usage().ok().flatten();
    usage.is_some_and(|usage| usage.value.key_cert_sign())
}

/// Whether a certificate has the name or the address of a server (RFC 6125, 6.4).
fn names(certificate: &X509Certificate<'_>, server: &str) -> bool {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.as_slice());
    let address: Option<IpAddr> = server.parse().ok();
    names
        .unwrap_or_default()
        .iter()
        .any(|name| match (name, address) {
            (GeneralName::DNSName(name), None) => is_name_of(name, server),
            (GeneralName::IPAddress(bytes), Some(IpAddr::V4(address))) => {
                *bytes == address.octets()
            }
            (GeneralName::IPAddress(bytes), Some(IpAddr::V6(address))) => {
                *bytes == address.octets()
            }
            _ => false,
        })
}

fn is_name_of(name: &str, server: &str) -> bool {
    let of_wildcard = name.strip_prefix("*.").zip(server.split_once('.'));
    name.eq_ignore_ascii_case(server)
        || of_wildcard.is_some_and(|(domain, (_, rest))| domain.eq_ignore_ascii_case(rest))
}
