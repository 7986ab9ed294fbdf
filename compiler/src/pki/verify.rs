//! Verifies that the parts of a secrets file are valid and belong together. The file may have been
//! edited, merged or restored by hand, and nodes compiled with it would fail only at boot.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkd_contract::Timestamp;
use zeroize::Zeroizing;

use super::generate::{ADMIN_GROUPS, NAMES, SEED_BYTES};
use super::own::{Chain, PrivateKey, Problem};
use super::pem;
use super::secrets::{Authorities, Secrets};
use nkd_document::Code;
use nkd_model::{KeyPair, Secret};

/// The least number of different bytes in a seed. Fewer than one random seed in 10^12 has fewer different
/// bytes, or is printable text.
const DIFFERENT_BYTES: usize = 16;

/// A problem with a part of a secrets file.
pub struct PartProblem {
    /// The part, as a path in the JSON document.
    pub part: String,
    /// The problem. Its message continues a sentence that begins with the name of the part.
    pub problem: Problem,
}

/// All problems of the secrets at a point in time. An expired certificate of an administrator is not a
/// problem, because nkd renews it.
pub fn problems(secrets: &Secrets, now: Timestamp) -> Vec<PartProblem> {
    let mut verification = Verification(Vec::new());
    let mut keys: Vec<(&str, PrivateKey)> = Vec::new();
    for (part, pair) in secrets.authorities.each() {
        if let Some(chain) = verification.chain(&format!("{part}.public"), &pair.public) {
            for problem in chain.problems(now) {
                verification.add(format!("{part}.public"), problem);
            }
            if let Some(key) = verification.key(part, pair) {
                verification.pair(part, &chain, &key);
                keys.push((part, key));
            }
        }
    }
    let account = &secrets.service_account;
    if let Some(key) = verification.key("serviceAccount", account) {
        if !is_public_key(&account.public, &key) {
            let message = "is not the public key of `serviceAccount.key`";
            verification.invalid("serviceAccount.public", message);
        }
        keys.push(("serviceAccount", key));
    }
    for (index, (part, key)) in keys.iter().enumerate() {
        let mut earlier = keys.iter().take(index);
        if let Some((other, _)) = earlier.find(|(_, other)| other.is_same(key)) {
            verification.invalid(
                format!("{part}.key"),
                format!("is the same key as `{other}`"),
            );
        }
    }
    verification.admins(secrets);
    verification.seeds(secrets);
    verification.0
}

/// For each authority, in the order of [`Authorities::each`]: the name of another authority, if its
/// certificate has the name that nkd gives to that one.
pub fn swapped(authorities: &Authorities) -> [Option<&'static str>; 3] {
    let [kubernetes, etcd, front_proxy] = authorities.each().map(|(_, pair)| pair);
    let another = |pair: &KeyPair, own: &str| {
        let name = Chain::read(&pair.public).ok()?.common_name()?;
        NAMES
            .into_iter()
            .find(|other| *other == name && *other != own)
    };
    [
        another(kubernetes, NAMES[0]),
        another(etcd, NAMES[1]),
        another(front_proxy, NAMES[2]),
    ]
}

struct Verification(Vec<PartProblem>);

impl Verification {
    fn add(&mut self, part: impl Into<String>, problem: Problem) {
        let part = part.into();
        self.0.push(PartProblem { part, problem });
    }

    fn invalid(&mut self, part: impl Into<String>, message: impl Into<String>) {
        self.add(part, Problem::new(Code::SecretsInvalid, message));
    }

    fn chain(&mut self, part: &str, text: &str) -> Option<Chain> {
        let problems = match Chain::read(text) {
            Ok(chain) => return Some(chain),
            Err(problems) => problems,
        };
        for problem in problems {
            self.add(part, problem);
        }
        None
    }

    fn key(&mut self, part: &str, pair: &KeyPair) -> Option<PrivateKey> {
        match PrivateKey::read(pair.key.expose()) {
            Ok(key) => Some(key),
            Err(problem) => {
                self.add(format!("{part}.key"), problem);
                None
            }
        }
    }

    fn pair(&mut self, part: &str, chain: &Chain, key: &PrivateKey) {
        if !chain.is_of(key) {
            let message = format!("is not the private key of the certificate in `{part}.public`");
            self.invalid(format!("{part}.key"), message);
        }
    }

    fn admins(&mut self, secrets: &Secrets) {
        for group in ADMIN_GROUPS {
            if !secrets.admin.iter().any(|admin| admin.group == group) {
                self.invalid(
                    "admin",
                    format!("has no certificate for the group `{group}`"),
                );
            }
        }
        let authority = Chain::read(&secrets.authorities.kubernetes.public).ok();
        for (index, admin) in secrets.admin.iter().enumerate() {
            let part = format!("admin[{index}].pair");
            let public = format!("{part}.public");
            let Some(chain) = self.chain(&public, &admin.pair.public) else {
                continue;
            };
            if let Some(key) = self.key(&part, &admin.pair) {
                self.pair(&part, &chain, &key);
            }
            if chain.organization().as_deref() != Some(&admin.group) {
                let message = "is a certificate for a different group than its entry";
                self.invalid(&public, message);
            }
            if authority
                .as_ref()
                .is_some_and(|authority| !chain.is_issued_below(authority))
            {
                let message = "is not issued by the authority in `authorities.kubernetes`";
                self.invalid(&public, message);
            }
        }
    }

    /// Checks the seeds, which protect tokens and callback keys. They must differ, because a receiver
    /// that has the seed of callback keys must not be able to derive tokens.
    fn seeds(&mut self, secrets: &Secrets) {
        for (part, seed) in [
            ("tokenSeed", &secrets.token_seed),
            ("callbackSeed", &secrets.callback_seed),
        ] {
            if let Some(message) = seed_problem(seed) {
                self.invalid(part, message);
            }
        }
        if secrets.token_seed == secrets.callback_seed {
            self.invalid("callbackSeed", "is the same as `tokenSeed`");
        }
    }
}

fn seed_problem(seed: &Secret) -> Option<String> {
    let Ok(bytes) = STANDARD.decode(seed.expose()).map(Zeroizing::new) else {
        return Some("is not base64".to_owned());
    };
    if bytes.len() != SEED_BYTES {
        let message = format!("has {} bytes instead of {SEED_BYTES}", bytes.len());
        return Some(message);
    }
    let different: std::collections::HashSet<_> = bytes.iter().collect();
    let steps: std::collections::HashSet<_> = bytes
        .windows(2)
        .map(|two| two[1].wrapping_sub(two[0]))
        .collect();
    let is_text = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let random = different.len() >= DIFFERENT_BYTES && steps.len() > 1 && !is_text;
    (!random).then(|| "is not random, so the values derived from it could be guessed".to_owned())
}

fn is_public_key(text: &str, key: &PrivateKey) -> bool {
    let (given, expected) = (pem::blocks(text), pem::blocks(&key.public()));
    given.is_some() && given == expected
}
