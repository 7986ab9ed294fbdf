//! Generates new secrets. All random numbers are from the operating system.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkd_contract::Timestamp;
use zeroize::Zeroizing;

use super::authority::{ADMIN_VALIDITY, Authority, generate_key};
use super::own::Chain;
use super::secrets::{Admin, Authorities, SCHEMA, Secrets};
use nkd_document::Spanned;
use nkd_model::{Algorithm, Cluster, KeyPair, Secret};

/// The groups of administrators. The Kubernetes version determines which one is used, and the secrets are
/// used with several versions.
pub(super) const ADMIN_GROUPS: [&str; 2] = ["system:masters", "kubeadm:cluster-admins"];

/// The common names (CN) of the authorities that nkd makes, the same as with kubeadm, in the order of
/// [`Authorities::each`].
pub(super) const NAMES: [&str; 3] = ["kubernetes", "etcd-ca", "front-proxy-ca"];

/// The size of a seed in bytes.
pub(super) const SEED_BYTES: usize = 32;

impl Secrets {
    /// Makes new secrets, with the existing authorities and keys of the user.
    pub fn generate(cluster: &Cluster) -> Result<Self> {
        let created = Timestamp::from_unix(Timestamp::now().unix());
        let pki = cluster.pki;
        let own = &cluster.own_keys;
        let authority = |own: &Option<Spanned<KeyPair>>, name| match own {
            Some(own) => Ok(own.value.clone()),
            None => Ok(Authority::new(name, pki.algorithm, created, pki.validity)?.pair),
        };
        let kubernetes: Result<_> = authority(&own.kubernetes, NAMES[0]);
        let kubernetes = kubernetes?;
        Ok(Self {
            schema: SCHEMA,
            cluster: cluster.name.clone(),
            created,
            algorithm: pki.algorithm.name().to_owned(),
            validity_seconds: pki.validity.as_secs(),
            admin: admins(&kubernetes, created)?,
            authorities: Authorities {
                kubernetes,
                etcd: authority(&own.etcd, NAMES[1])?,
                front_proxy: authority(&own.front_proxy, NAMES[2])?,
            },
            service_account: match &own.service_account {
                Some(own) => own.value.clone(),
                None => service_account(cluster)?,
            },
            token_seed: seed()?,
            token_rotations: BTreeMap::new(),
            callback_seed: seed()?,
        })
    }
}

/// Whether an authority is valid as long as a new certificate of an administrator.
pub fn outlives_admin(authority: &KeyPair) -> bool {
    let needed =
        i64::try_from(Timestamp::now().unix()).unwrap_or(i64::MAX) + ADMIN_VALIDITY.whole_seconds();
    Chain::read(&authority.public).is_ok_and(|chain| chain.valid_until() >= needed)
}

/// New client certificates of the administrator, one for each group.
pub(super) fn admins(kubernetes: &KeyPair, created: Timestamp) -> Result<Vec<Admin>> {
    let authority = Authority::of(kubernetes)?;
    let until = Chain::read(&kubernetes.public).map_or(i64::MAX, |chain| chain.valid_until());
    let admin = |group: &&str| {
        let pair = authority.client("nkd-admin", group, created, until)?;
        Ok(Admin {
            group: (*group).to_owned(),
            pair,
        })
    };
    ADMIN_GROUPS.iter().map(admin).collect()
}

fn service_account(cluster: &Cluster) -> Result<KeyPair> {
    let key = generate_key(match cluster.pki.algorithm {
        Algorithm::EcdsaP256 if cluster.version.needs_rsa_service_account() => Algorithm::Rsa2048,
        algorithm => algorithm,
    })?;
    Ok(KeyPair {
        public: key.public_key_pem(),
        key: Secret::new(key.serialize_pem()),
    })
}

/// A new seed, in base64.
pub(super) fn seed() -> Result<Secret> {
    let bytes = Zeroizing::new(random::<SEED_BYTES>()?);
    Ok(Secret::new(STANDARD.encode(bytes)))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(bytes)
}
