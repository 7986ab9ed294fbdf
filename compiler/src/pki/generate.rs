//! New secrets, all from the operating system's random numbers.

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkd_contract::Timestamp;

use super::authority::{Authority, generate_key};
use super::secrets::SCHEMA;
use super::{Admin, Authorities, KeyPair, Secret, Secrets};
use crate::cluster_file::domain::{Algorithm, Cluster};

/// Groups an administrator can be in; which of them depends on the Kubernetes version, and the
/// secrets outlive a version.
const ADMIN_GROUPS: [&str; 2] = ["system:masters", "kubeadm:cluster-admins"];

impl Secrets {
    /// Makes new secrets.
    pub fn generate(cluster: &Cluster) -> Result<Self> {
        let created = Timestamp::from_unix(Timestamp::now().unix());
        let pki = cluster.pki;
        let authority = |name| Authority::new(name, pki.algorithm, created, pki.validity);
        let kubernetes = authority("kubernetes")?;
        let admin = |group: &&str| {
            let pair = kubernetes.client("nkd-admin", group, created)?;
            Ok(Admin {
                group: (*group).to_owned(),
                pair,
            })
        };
        let service_account = generate_key(match pki.algorithm {
            Algorithm::EcdsaP256 if cluster.version.needs_rsa_service_account() => {
                Algorithm::Rsa2048
            }
            Algorithm::EcdsaP256 => Algorithm::EcdsaP256,
            rsa => rsa,
        })?;
        Ok(Self {
            schema: SCHEMA,
            cluster: cluster.name.clone(),
            created,
            algorithm: pki.algorithm.name().to_owned(),
            validity_seconds: pki.validity.as_secs(),
            admin: ADMIN_GROUPS.iter().map(admin).collect::<Result<_>>()?,
            authorities: Authorities {
                kubernetes: kubernetes.pair,
                etcd: authority("etcd-ca")?.pair,
                front_proxy: authority("front-proxy-ca")?.pair,
            },
            service_account: KeyPair {
                public: service_account.public_key_pem(),
                key: Secret::new(service_account.serialize_pem()),
            },
            worker_token: Secret::new(format!("{}.{}", token_part(6)?, token_part(16)?)),
            callback_seed: Secret::new(STANDARD.encode(random::<32>()?)),
        })
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(bytes)
}

/// Random `[a-z0-9]`, as bootstrap tokens are made of.
fn token_part(length: usize) -> Result<String> {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut part = String::with_capacity(length);
    while part.len() < length {
        let [byte] = random::<1>()?;
        // 252 is 7 * 36: above it, some letters would be likelier than others.
        if byte < 252 {
            part.push(char::from(ALPHABET[usize::from(byte % 36)]));
        }
    }
    Ok(part)
}
