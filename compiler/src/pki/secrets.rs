use std::collections::BTreeMap;

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

/// `secrets.json`: all secrets of a cluster. They give full access to the cluster. With them, the same
/// cluster file always compiles to the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secrets {
    /// Version of this document.
    pub schema: u32,
    /// The name of the cluster for which the secrets were made.
    pub cluster: String,
    /// When the secrets were made. No node's clock may be earlier.
    pub created: Timestamp,
    /// The algorithm of the authorities' keys, as in the cluster file.
    pub algorithm: String,
    /// How long the authorities are valid, in seconds.
    pub validity_seconds: u64,
    /// The authorities.
    pub authorities: Authorities,
    /// Signs service account tokens. It is an RSA key if the Kubernetes version of the first compilation
    /// requires one.
    pub service_account: KeyPair,
    /// Client certificates of the administrator.
    pub admin: Vec<Admin>,
    /// The seed of bootstrap tokens, in base64.
    pub token_seed: Secret,
    /// How often the token of a scope has been rotated by itself since the seed was made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub token_rotations: BTreeMap<String, u32>,
    /// The seed of the nodes' callback keys, in base64.
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
    /// Signs the client certificates with which API servers connect to aggregated API servers.
    pub front_proxy: KeyPair,
}

/// A client certificate of the administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Admin {
    /// The group of the administrator.
    pub group: String,
    /// The certificate and the key.
    pub pair: KeyPair,
}

impl Authorities {
    /// All authorities, each with its path in the JSON document.
    pub(crate) fn each(&self) -> [(&'static str, &KeyPair); 3] {
        [
            ("authorities.kubernetes", &self.kubernetes),
            ("authorities.etcd", &self.etcd),
            ("authorities.frontProxy", &self.front_proxy),
        ]
    }
}

impl Secrets {
    /// Parses a secrets file. The error does not contain the content of the file.
    pub fn parse(json: &str) -> Result<Self, String> {
        /// The fields that every version of the document has.
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

    /// Whether both belong to one cluster: they only differ in secrets that can be rotated.
    pub(crate) fn belong_with(&self, other: &Self) -> bool {
        self.cluster == other.cluster
            && self.authorities == other.authorities
            && self.created == other.created
            && self.service_account == other.service_account
    }

    /// The text of the file.
    pub(crate) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Whether the service account key is an RSA key.
    pub(crate) fn has_rsa_service_account(&self) -> bool {
        rcgen::KeyPair::from_pem(self.service_account.key.expose())
            .is_ok_and(|key| key.is_compatible(&rcgen::PKCS_RSA_SHA256))
    }

    /// The administrator's client certificate for a group.
    pub(crate) fn admin(&self, group: &str) -> Result<&KeyPair> {
        let admin = self.admin.iter().find(|admin| admin.group == group);
        Ok(&admin
            .with_context(|| format!("the secrets contain no administrator in the group {group}"))?
            .pair)
    }

    /// The key with which a node signs callbacks: the HMAC-SHA-256 of cluster and node with the seed. A
    /// receiver only needs the seed, and a node has only its own key.
    pub(crate) fn callback_key(&self, node: &str) -> Result<Secret> {
        let key = self.derived(&self.callback_seed, &["nkd callback key", node])?;
        Ok(Secret::new(format!(
            "{SIGNING_KEY_PREFIX}{}",
            STANDARD.encode(key)
        )))
    }

    /// The bootstrap token of the nodes in `scope`. No token can be derived from another one.
    pub fn token(&self, scope: &str) -> Result<Secret> {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        /// The ID and the secret of a token.
        const LETTERS: usize = 6 + 16;
        let mut letters = Zeroizing::new(String::with_capacity(LETTERS + 1));
        let rotation = self.token_rotations.get(scope).map(u32::to_string);
        for block in 0_u32.. {
            let block = block.to_string();
            let mut parts = vec!["nkd bootstrap token", scope];
            parts.extend(rotation.as_deref());
            parts.push(&block);
            let bytes = self.derived(&self.token_seed, &parts)?;
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

    /// The HMAC-SHA-256 of a purpose, the cluster and a name, with a seed.
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

    /// All private texts, for tests that look for leaks.
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
