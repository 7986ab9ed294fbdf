use std::fmt;

use serde::{Deserialize, Serialize};

/// What a signing key's text starts with (Standard Webhooks, "Signature scheme": symmetric keys
/// are base64 with the prefix `whsec_`).
pub const SIGNING_KEY_PREFIX: &str = "whsec_";

/// `/etc/nkd/report.json`: where the reporter sends events. A file of its own, because the
/// reporter may read this and nothing else that was delivered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportTarget {
    /// `http` or `https` URL that takes `POST`s.
    pub url: String,
    /// PEM certificates to trust for `https`; the public web's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// The node's own key, `whsec_` and base64: signs each callback.
    pub signing_key: String,
}

impl fmt::Debug for ReportTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportTarget")
            .field("url", &self.url)
            .field("certificate_authority", &self.certificate_authority)
            .field("signing_key", &"(secret)")
            .finish()
    }
}
