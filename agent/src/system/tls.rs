//! Reads certificate authorities, and the times at which certificates become valid.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nkd_contract::Timestamp;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, Error, RootCertStore};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// The authorities of a PEM text. Without a text, the public certificate authorities.
///
/// # Errors
/// The text is damaged or has no certificate. The public authorities must then not be used
/// instead.
pub(crate) fn roots(pem: Option<&str>) -> anyhow::Result<RootCerts> {
    let Some(pem) = pem else {
        return Ok(RootCerts::WebPki);
    };
    let certificates = certificates(pem.as_bytes()).context("the certificate authority")?;
    if certificates.is_empty() {
        bail!("the certificate authority has no certificate");
    }
    Ok(RootCerts::from(certificates))
}

/// When a client certificate becomes valid, if it is not valid yet. Only the first certificate of the PEM
/// text counts. `None` if these authorities did not sign it, or if it cannot be read.
pub(crate) fn valid_from(
    authorities: &str,
    certificate: &[u8],
    now: Timestamp,
) -> Option<Timestamp> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(authorities.as_bytes()).ok()? {
        roots.add(CertificateDer::from(authority.der())).ok()?;
    }
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().ok()?;
    let certificates = certificates(certificate).ok()?;
    let certificate = CertificateDer::from(certificates.first()?.der());
    let verify = |time| verifier.verify_client_cert(&certificate, &[], time);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unix()));
    let Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) =
        verify(now)
    else {
        return None;
    };
    verify(not_before).ok()?;
    Some(Timestamp::from_unix(not_before.as_secs()))
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, ureq::Error> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item? {
            certificates.push(certificate);
        }
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_of_the_future_says_when_it_becomes_valid_if_it_is_of_the_cluster() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuers = [(); 2].map(|()| {
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            (pem, Issuer::new(params.clone(), key))
        });
        let [(authority, ours), (_, theirs)] = &issuers;
        let valid = Timestamp::from_unix(2_000_000_000);
        let mut params = CertificateParams::default();
        params.not_before = SystemTime::from(valid).into();
        let key = KeyPair::generate().unwrap();
        let signed = |issuer| params.signed_by(&key, issuer).unwrap().pem() + &key.serialize_pem();
        let from = |pem: String, now| {
            let now = Timestamp::from_unix(now);
            valid_from(authority, pem.as_bytes(), now)
        };
        assert_eq!(from(signed(ours), 1_999_999_999), Some(valid));
        assert_eq!(from(signed(ours), 2_000_000_000), None);
        assert_eq!(from(signed(theirs), 1_999_999_999), None);
        assert_eq!(from(String::new(), 0), None);
    }
}
