//! Whom to trust.

use anyhow::{Context as _, bail};
use ureq::tls::{PemItem, RootCerts, parse_pem};

/// The authorities of a PEM text, and no others; without a text the public web's.
///
/// # Errors
/// The text is damaged or has no certificate: the public web's must not stand in.
pub fn roots(pem: Option<&str>) -> anyhow::Result<RootCerts> {
    let Some(pem) = pem else {
        return Ok(RootCerts::WebPki);
    };
    let mut certificates = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        if let PemItem::Certificate(certificate) = item.context("the certificate authority")? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        bail!("the certificate authority has no certificate");
    }
    Ok(RootCerts::from(certificates))
}
