use std::fmt;

use serde::{Deserialize, Serialize};

/// The prefix of a signing key (Standard Webhooks, "Signature scheme": symmetric keys
/// are base64 with the prefix `whsec_`).
pub const SIGNING_KEY_PREFIX: &str = "whsec_";

/// `/etc/nkd/report.json`: where the reporter sends events. It is not part of the plan, because the
/// reporter may read this file and nothing else that was delivered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportTarget {
    /// The `http` or `https` URL to which events are sent with `POST`.
    pub url: String,
    /// The PEM certificates that are trusted for `https`; those of the public web if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// The key of this node that signs each callback: `whsec_` and base64.
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
