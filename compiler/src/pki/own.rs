//! The user's own authorities and keys, which are checked before nkd signs anything with them.

use std::fmt::Write as _;

use nkd_contract::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::pem;
use nkd_document::Code;
use nkd_model::{KeyPair, Secret};

/// A problem with a file. The message continues a sentence that begins with the file's name.
pub struct Problem {
    /// The code.
    pub code: Code,
    /// The message, without secrets.
    pub message: String,
}

impl Problem {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}

/// A private key.
pub struct PrivateKey {
    pair: rcgen::KeyPair,
    pem: Secret,
}

impl PrivateKey {
    /// Reads the one private key of a text: PKCS#8, PKCS#1 or SEC1.
    pub fn read(text: &str) -> Result<Self, Problem> {
        let problem = |message| Err(Problem::new(Code::Pem, message));
        if text.contains("ENCRYPTED") {
            let message = "contains an encrypted key, and nkd cannot decrypt it";
            return Err(Problem::new(Code::EncryptedKey, message));
        }
        let Some(mut blocks) = pem::blocks(text) else {
            return problem("contains truncated or damaged PEM");
        };
        // `openssl ecparam -genkey` writes the curve before the key.
        blocks.retain(|(label, _)| label != "EC PARAMETERS");
        let (label, contents) = match blocks.as_slice() {
            [] => return problem("contains no PEM private key"),
            [one] if one.0.ends_with("PRIVATE KEY") => one,
            [_] => return problem("contains something other than a private key"),
            _ => {
                return problem(
                    "contains more than one PEM block, but must contain one private key",
                );
            }
        };
        let usable = |der: &&zeroize::Zeroizing<Vec<u8>>| {
            let pair = rcgen::KeyPair::try_from(der.as_slice()).ok()?;
            let kinds = [
                &rcgen::PKCS_ECDSA_P256_SHA256,
                &rcgen::PKCS_ECDSA_P384_SHA384,
                &rcgen::PKCS_RSA_SHA256,
            ];
            kinds.contains(&pair.algorithm()).then_some(pair)
        };
        let forms = pem::as_pkcs8(label, contents);
        let found = forms.iter().find_map(|der| Some((usable(&der)?, der)));
        let Some((pair, der)) = found else {
            let message = "holds a key that is neither RSA of at least 2048 bits nor EC on P-256 \
                           or P-384";
            return Err(Problem::new(Code::KeyKind, message));
        };
        let pem = pem::write("PRIVATE KEY", der);
        Ok(Self { pair, pem })
    }

    /// Whether it is an RSA key.
    pub fn is_rsa(&self) -> bool {
        self.pair.is_compatible(&rcgen::PKCS_RSA_SHA256)
    }

    /// The public key, as PEM.
    pub fn public(&self) -> String {
        self.pair.public_key_pem()
    }

    /// Whether both are the same key.
    pub fn is_same(&self, other: &Self) -> bool {
        self.pair.public_key_raw() == other.pair.public_key_raw()
    }

    /// The key together with its public key.
    pub fn alone(self) -> KeyPair {
        KeyPair {
            public: self.pair.public_key_pem(),
            key: self.pem,
        }
    }
}

/// The certificate of an authority, then those of its issuers, up to a root.
pub struct Chain(Vec<Vec<u8>>);

impl Chain {
    /// Reads PEM certificates.
    pub fn read(text: &str) -> Result<Self, Vec<Problem>> {
        let problem = |message| Err(vec![Problem::new(Code::Pem, message)]);
        let Some(blocks) = pem::blocks(text) else {
            return problem("contains truncated or damaged PEM");
        };
        if blocks.is_empty() {
            return problem("contains no PEM certificate");
        }
        if blocks.iter().any(|(label, _)| label != "CERTIFICATE") {
            return problem("contains something other than certificates");
        }
        let blocks = blocks.into_iter();
        let chain = Self(blocks.map(|(_, contents)| contents.to_vec()).collect());
        if chain.certificates().count() != chain.0.len() {
            return problem("contains a damaged certificate");
        }
        Ok(chain)
    }

    /// The number of certificates.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = X509Certificate<'_>> {
        let whole = |der| X509Certificate::from_der(der).ok();
        let whole = move |der| whole(der).filter(|(rest, _)| rest.is_empty());
        self.0.iter().filter_map(move |der| Some(whole(der)?.1))
    }

    /// All problems that prevent it from being an authority of a cluster.
    pub fn problems(&self, now: Timestamp) -> Vec<Problem> {
        let mut problems = Vec::new();
        let all: Vec<_> = self.certificates().collect();
        for (below, certificate) in all.iter().enumerate() {
            let name = name(certificate.subject());
            let what = [may_sign(certificate, below), dates(certificate, now)];
            for (code, problem) in what.into_iter().flatten() {
                let message = format!("contains a certificate of {name} that {problem}");
                problems.push(Problem::new(code, message));
            }
            let problem = match all.get(below + 1) {
                Some(issuer) if !is_issued_by(certificate, issuer) => {
                    "is not issued by the next certificate in the file"
                }
                None if certificate.issuer().as_raw() != certificate.subject().as_raw() => {
                    "is the last one in the file, but is not self-signed"
                }
                _ => continue,
            };
            let message = format!("contains a certificate of {name} that {problem}");
            problems.push(Problem::new(Code::Chain, message));
        }
        if let Some(first) = all.first()
            && !can_be_written_again(first.subject())
        {
            let message = "has a name that nkd can't sign under: it takes each attribute once, \
                           as UTF-8, printable or IA5 text";
            problems.push(Problem::new(Code::NotAuthority, message));
        }
        problems
    }

    /// Whether a key belongs to the first certificate.
    pub fn is_of(&self, key: &PrivateKey) -> bool {
        let first = self.certificates().next();
        first.is_some_and(|certificate| {
            let public = &certificate.public_key().subject_public_key;
            *public.data == *key.pair.public_key_raw()
        })
    }

    /// Whether the first certificate is issued by the first certificate of an authority.
    pub fn is_issued_below(&self, authority: &Self) -> bool {
        let issuer = authority.certificates().next();
        let first = self.certificates().next();
        first
            .zip(issuer)
            .is_some_and(|(first, issuer)| is_issued_by(&first, &issuer))
    }

    /// The common name (CN) of the first certificate.
    pub fn common_name(&self) -> Option<String> {
        let first = self.certificates().next()?;
        let name = first.subject().iter_common_name().next()?.as_str().ok()?;
        Some(name.to_owned())
    }

    /// The organization (O) of the first certificate: the group that Kubernetes takes from it.
    pub fn organization(&self) -> Option<String> {
        let first = self.certificates().next()?;
        let name = first.subject().iter_organization().next()?.as_str().ok()?;
        Some(name.to_owned())
    }

    /// When the first certificate becomes valid, in seconds since the epoch.
    pub fn valid_from(&self) -> i64 {
        let first = self.certificates().next();
        first.map_or(0, |first| first.validity().not_before.timestamp())
    }

    /// The certificates together with a key.
    pub fn with(self, key: PrivateKey) -> KeyPair {
        KeyPair {
            public: self.to_pem(),
            key: key.pem,
        }
    }

    /// The certificates as PEM, without other text.
    pub fn to_pem(&self) -> String {
        let write = |der: &Vec<u8>| pem::write("CERTIFICATE", der).expose().to_owned();
        self.0.iter().map(write).collect()
    }

    /// Until when all certificates are valid, in seconds since the epoch.
    pub fn valid_until(&self) -> i64 {
        let certificates = self.certificates();
        let ends = certificates.map(|certificate| certificate.validity().not_after.timestamp());
        ends.min().unwrap_or(0)
    }
}

/// Whether a certificate may sign what kubeadm and nkd sign; `below` authorities follow it.
fn may_sign(certificate: &X509Certificate<'_>, below: usize) -> Option<(Code, String)> {
    let no = |message: &str| Some((Code::NotAuthority, message.to_owned()));
    let constraints = certificate.basic_constraints().ok().flatten();
    let Some(constraints) = constraints.filter(|constraints| constraints.value.ca) else {
        return no("is not an authority, because it has no CA flag");
    };
    let longest = constraints.value.path_len_constraint;
    let longest = longest.and_then(|longest| usize::try_from(longest).ok());
    if longest.is_some_and(|longest| longest < below) {
        return no("does not allow as many authorities below it as the file contains");
    }
    // Without the extension, every usage is allowed (RFC 5280, 4.2.1.3).
    match certificate.key_usage() {
        Ok(None) => {}
        Ok(Some(usage)) if usage.value.key_cert_sign() => {}
        _ => {
            return no(
                "must not sign certificates, because its key usage does not include keyCertSign",
            );
        }
    }
    match certificate.extended_key_usage() {
        Ok(None) => None,
        Ok(Some(usage)) if usage.value.any => None,
        Ok(Some(usage)) if usage.value.client_auth && usage.value.server_auth => None,
        _ => no("has an extended key usage that does not allow both servers and clients"),
    }
}

fn dates(certificate: &X509Certificate<'_>, now: Timestamp) -> Option<(Code, String)> {
    let start = certificate.validity().not_before;
    let problem = expiry(certificate, now).or_else(|| {
        let early = start.timestamp() > seconds(now);
        early.then(|| format!("is not valid before {}", moment(start)))
    })?;
    Some((Code::AuthorityDates, problem))
}

/// When a certificate has expired, if it has.
pub(super) fn expiry(certificate: &X509Certificate<'_>, now: Timestamp) -> Option<String> {
    let end = certificate.validity().not_after;
    (end.timestamp() < seconds(now)).then(|| format!("expired at {}", moment(end)))
}

fn seconds(time: Timestamp) -> i64 {
    i64::try_from(time.unix()).unwrap_or(i64::MAX)
}

fn moment(time: ASN1Time) -> Timestamp {
    Timestamp::from_unix(u64::try_from(time.timestamp()).unwrap_or(0))
}

fn is_issued_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && certificate
            .verify_signature(Some(issuer.public_key()))
            .is_ok()
}

/// A name, in a form for one line of text.
pub(super) fn name(name: &X509Name<'_>) -> String {
    let text = name.to_string().replace(char::is_control, "?");
    let mut shown = String::new();
    let _ = write!(shown, "`{}`", text.chars().take(100).collect::<String>());
    shown
}

/// Whether rcgen writes a name unchanged as an issuer: rcgen keeps only one attribute of each type.
fn can_be_written_again(name: &X509Name<'_>) -> bool {
    let mut seen = Vec::new();
    name.iter().all(|set| {
        let attributes: Vec<_> = set.iter().collect();
        let [one] = attributes.as_slice() else {
            return false;
        };
        let kinds = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String];
        let kind = one.attr_type().to_id_string();
        let again = seen.contains(&kind);
        seen.push(kind);
        !again && kinds.contains(&one.attr_value().header.tag())
    })
}
