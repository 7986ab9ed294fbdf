use nkd_document::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Text;
use crate::model::Algorithm;

/// `spec.pki`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pki {
    /// The algorithm of the certificate authorities' keys.
    #[schemars(extend("default" = "ecdsa-p256"))]
    pub algorithm: Algorithm,
    /// How long the certificate authorities are valid, such as 365d; from 1d to 100y.
    #[schemars(extend("default" = "10y"))]
    pub validity: Text,
    /// Existing certificate authorities. nkd makes those that are absent.
    #[serde(default)]
    pub authorities: Authorities,
    /// An existing key that signs service accounts' tokens.
    pub service_account: Option<ServiceAccount>,
}

/// `spec.pki.authorities`
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authorities {
    /// Signs the certificates of API servers, kubelets and administrators.
    pub kubernetes: Option<Spanned<Authority>>,
    /// Signs etcd's certificates.
    pub etcd: Option<Spanned<Authority>>,
    /// Signs the certificates of aggregated API servers' clients.
    pub front_proxy: Option<Spanned<Authority>>,
}

/// A certificate authority
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    /// A file of its PEM certificate, then its issuers' certificates, the root last.
    #[schemars(required)]
    pub cert_file: Option<Text>,
    /// A file of its PEM key, RSA or EC, not encrypted.
    #[schemars(required)]
    pub key_file: Option<Text>,
}

/// `spec.pki.serviceAccount`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccount {
    /// A file of the PEM key, not encrypted. Before Kubernetes 1.26 it must be an RSA key.
    #[schemars(required)]
    pub key_file: Option<Text>,
}
