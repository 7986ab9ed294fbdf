use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::SIGNING_KEY_PREFIX;

/// What a signature of this scheme begins with (Standard Webhooks, "Signature scheme").
const SCHEME: &str = "v1,";

/// A node's key, which signs callbacks and verifies them, as Standard Webhooks 1.0 prescribe for symmetric keys. It
/// is read from its text, `whsec_` and base64, and never shown.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

/// A text that is not a [`SigningKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing key is not a webhook key")]
pub struct KeyError;

impl SigningKey {
    /// The `webhook-signature` of a message with this `webhook-id` and this `webhook-timestamp`, in seconds since
    /// the epoch.
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mac = self.mac(id, timestamp, body).finalize().into_bytes();
        format!("{SCHEME}{}", STANDARD.encode(mac))
    }

    /// Whether one of the signatures in a `webhook-signature` is this key's. There may be several, separated by
    /// spaces; those of other schemes are ignored. Takes the same time for all wrong signatures.
    pub fn verify(&self, id: &str, timestamp: u64, body: &[u8], signatures: &str) -> bool {
        let mac = self.mac(id, timestamp, body);
        let mut signatures = signatures.split(' ').filter_map(|signature| {
            let signature = signature.strip_prefix(SCHEME)?;
            STANDARD.decode(signature).ok()
        });
        signatures.any(|signature| mac.clone().verify_slice(&signature).is_ok())
    }

    fn mac(&self, id: &str, timestamp: u64, body: &[u8]) -> Hmac<Sha256> {
        self.0
            .clone()
            .chain_update(format!("{id}.{timestamp}."))
            .chain_update(body)
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let base64 = text.strip_prefix(SIGNING_KEY_PREFIX).ok_or(KeyError)?;
        let bytes = STANDARD.decode(base64).map_err(|_| KeyError)?;
        if bytes.is_empty() {
            return Err(KeyError);
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| KeyError)
    }
}

impl AsRef<Self> for SigningKey {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}
