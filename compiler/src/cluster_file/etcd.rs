//! `spec.kubernetes.etcd.external`: an existing etcd cluster.

use schemars::JsonSchema;
use serde::Deserialize;

use super::checks;
use super::checks::Text;
use super::files::Files;
use super::patterns;
use crate::pki::own::{Chain, PrivateKey};
use nkd_document::{Code, Diagnostics, Spanned};
use nkd_model as model;

/// `spec.kubernetes.etcd.external`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalEtcd {
    /// The https URLs of the etcd members, at least one.
    #[serde(default)]
    #[schemars(length(min = 1), inner(regex(pattern = patterns::HTTPS_URL)))]
    pub endpoints: Vec<Text>,
    /// A file of the PEM certificates of the authority that signs etcd's certificates.
    #[schemars(required)]
    pub ca_file: Option<Text>,
    /// A file of the API server's client certificate, as PEM.
    #[schemars(required)]
    pub cert_file: Option<Text>,
    /// A file of the client certificate's key, as PEM.
    #[schemars(required)]
    pub key_file: Option<Text>,
}

/// Checks the settings of the external etcd.
pub fn external(
    file: Option<Spanned<ExternalEtcd>>,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Option<model::ExternalEtcd> {
    let Spanned { span, value: file } = file?;
    if file.endpoints.is_empty() {
        to.report(Code::Etcd, span, "`endpoints` is empty");
    }
    let mut endpoints = Vec::new();
    for text in file.endpoints {
        let Some(url) = checks::url(&text, to) else {
            continue;
        };
        let Spanned { span, value: text } = text;
        // The API server shows its client certificate, so there has to be TLS.
        if endpoints.contains(&text) {
            to.report(Code::Etcd, span, format!("duplicate endpoint `{text}`"));
        }
        if !url.is_https() {
            to.report(Code::Etcd, span, format!("`{text}` is not an https URL"));
        }
        endpoints.push(text);
    }
    let authority = file.ca_file.and_then(|name| files.certificates(&name, to));
    let certificate = file
        .cert_file
        .and_then(|name| files.certificates(&name, to));
    let key_span = file.key_file.as_ref().map(|name| name.span);
    let key = file.key_file.and_then(|name| files.private_key(&name, to));
    if let (Some(certificate), Some(key), Some(span)) = (&certificate, &key, key_span)
        && let (Ok(chain), Ok(own)) = (Chain::read(certificate), PrivateKey::read(key.expose()))
        && !chain.is_of(&own)
    {
        let message = "the private key does not belong to the certificate in `certFile`";
        to.report(Code::KeyMismatch, span, message);
    }
    Some(model::ExternalEtcd {
        endpoints,
        authority: authority?,
        certificate: certificate?,
        key: key?,
    })
}
