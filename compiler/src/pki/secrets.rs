use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use nkd_contract::{SIGNING_KEY_PREFIX, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use nkd_model::{KeyPair, Secret};

/// The version of the secrets file that this build reads and writes.
pub(crate) const SCHEMA: u32 = 1;

/// `secrets.json`: everything secret of a cluster. Whoever has it is the cluster's master; with
/// it, the same cluster file always compiles to the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secrets {
    /// Version of this document.
    pub schema: u32,
    /// Name of the cluster it was made for.
    pub cluster: String,
    /// When it was made: no node's clock may be before it.
    pub created: Timestamp,
    /// The authorities' kind of key, as in the cluster file.
    pub algorithm: String,
    /// How long the authorities are valid, in seconds.
    pub validity_seconds: u64,
    /// The authorities.
    pub authorities: Authorities,
    /// Signs service account tokens. RSA where the version it was made for takes no other.
    pub service_account: KeyPair,
    /// Client certificates of the administrator.
    pub admin: Vec<Admin>,
    /// What bootstrap tokens are derived from, in base64.
    pub token_seed: Secret,
    /// What each node's callback key is derived from, in base64.
    pub callback_seed: Secret,
}

/// The authorities that all control planes share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Authorities {
    /// Signs the API server's, kubelets' and administrators' certificates.
    pub kubernetes: KeyPair,
    /// Signs etcd's certificates.
    pub etcd: KeyPair,
    /// Signs the certificates of aggregated API servers' clients.
    pub front_proxy: KeyPair,
}

/// A client certificate of the administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Admin {
    /// The group it is in.
    pub group: String,
    /// Certificate and key.
    pub pair: KeyPair,
}

impl Authorities {
    /// Each with its path in the JSON document.
    pub(crate) fn each(&self) -> [(&'static str, &KeyPair); 3] {
        [
            ("authorities.kubernetes", &self.kubernetes),
            ("authorities.etcd", &self.etcd),
            ("authorities.frontProxy", &self.front_proxy),
        ]
    }
}

impl Secrets {
    /// Reads a secrets file. The error doesn't repeat its content.
    pub fn parse(json: &str) -> Result<Self, String> {
        /// What every version of the document has.
        #[derive(Deserialize)]
        struct Versioned {
            schema: u32,
        }
        if let Ok(Versioned { schema }) = serde_json::from_str(json)
            && schema != SCHEMA
        {
            return Err(format!(
                "the file has schema {schema}, but this version of nkd supports {SCHEMA}"
            ));
        }
        let secrets: Self = serde_json::from_str(json).map_err(|error| {
            format!(
                "not a secrets file (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        Ok(secrets)
    }

    /// Whether both are of one cluster: the same but for what can be rotated.
    pub(crate) fn belong_with(&self, other: &Self) -> bool {
        self.cluster == other.cluster
            && self.authorities == other.authorities
            && self.created == other.created
            && self.service_account == other.service_account
    }

    /// The file's text.
    pub(crate) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Whether the service account key is of RSA.
    pub(crate) fn has_rsa_service_account(&self) -> bool {
        rcgen::KeyPair::from_pem(self.service_account.key.expose())
            .is_ok_and(|key| key.is_compatible(&rcgen::PKCS_RSA_SHA256))
    }

    /// The administrator's client certificate in a group.
    pub(crate) fn admin(&self, group: &str) -> Result<&KeyPair> {
        let admin = self.admin.iter().find(|admin| admin.group == group);
        Ok(&admin
            .with_context(|| format!("the secrets contain no administrator in the group {group}"))?
            .pair)
    }

    /// A node's key for signing callbacks: HMAC-SHA-256 of cluster and node under the seed, so
    /// that a receiver needs the seed alone and a node knows only its own.
    pub(crate) fn callback_key(&self, node: &str) -> Result<Secret> {
        let key = self.derived(&self.callback_seed, &["nkd callback key", node])?;
        Ok(Secret::new(format!(
            "{SIGNING_KEY_PREFIX}{}",
            STANDARD.encode(key)
        )))
    }

    /// The bootstrap token of those that `scope` names; who has one can't tell another.
    pub fn token(&self, scope: &str) -> Result<Secret> {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        /// A token's ID and the secret after it.
        const LETTERS: usize = 6 + 16;
        let mut letters = Zeroizing::new(String::with_capacity(LETTERS + 1));
        for block in 0_u32.. {
            let block = block.to_string();
            let bytes = self.derived(&self.token_seed, &["nkd bootstrap token", scope, &block])?;
            // 252 is 7 * 36: above it, some letters would be likelier than others.
            let even = bytes.iter().filter(|byte| **byte < 252);
            let left = LETTERS - letters.len();
            letters.extend(
                even.take(left)
                    .map(|byte| char::from(ALPHABET[usize::from(byte % 36)])),
            );
            if letters.len() == LETTERS {
                break;
            }
        }
        letters.insert(6, '.');
        Ok(Secret::new(letters.as_str()))
    }

    /// HMAC-SHA-256 of a purpose, the cluster and what it is for, under a seed.
    fn derived(&self, seed: &Secret, what: &[&str]) -> Result<[u8; 32]> {
        let seed = Zeroizing::new(STANDARD.decode(seed.expose()).context("a seed")?);
        let mut mac = Hmac::<Sha256>::new_from_slice(&seed).context("a seed")?;
        let (purpose, rest) = what.split_first().context("a purpose")?;
        let parts = [*purpose, &self.cluster]
            .into_iter()
            .chain(rest.iter().copied());
        for (index, part) in parts.enumerate() {
            if index > 0 {
                mac.update(b"\0");
            }
            mac.update(part.as_bytes());
        }
        Ok(mac.finalize().into_bytes().into())
    }

    /// Every private text in it, for tests that look for leaks.
    pub fn private_texts(&self) -> Vec<&str> {
        let Authorities {
            kubernetes,
            etcd,
            front_proxy,
        } = &self.authorities;
        let pairs = [kubernetes, etcd, front_proxy, &self.service_account];
        let admins = self.admin.iter().map(|admin| &admin.pair);
        let keys = pairs
            .into_iter()
            .chain(admins)
            .map(|pair| pair.key.expose());
        keys.chain([self.token_seed.expose(), self.callback_seed.expose()])
            .collect()
    }
}
