//! Makes certificates with rcgen on AWS-LC, which is the best maintained library that also makes RSA
//! keys.

use anyhow::{Context, Result};
use nkd_contract::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
};
use time::{Duration, OffsetDateTime};

use nkd_model::{Algorithm, KeyPair, Secret};

/// How long before their creation certificates become valid, so that machines with a slow clock or in
/// another time zone also boot.
const BACKDATED: Duration = Duration::days(1);

/// How long an administrator's certificate is valid, as with kubeadm.
pub const ADMIN_VALIDITY: Duration = Duration::days(365);

/// An authority with its private key.
pub struct Authority {
    /// The certificate and the key.
    pub pair: KeyPair,
    issuer: Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    /// Makes a new authority.
    pub fn new(
        name: &str,
        algorithm: Algorithm,
        created: Timestamp,
        validity: std::time::Duration,
    ) -> Result<Self> {
        let key = generate_key(algorithm)?;
        let mut params = params(name, created, Duration::try_from(validity)?)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let certificate = params.self_signed(&key)?;
        let pair = KeyPair {
            public: certificate.pem(),
            key: Secret::new(key.serialize_pem()),
        };
        Ok(Self {
            pair,
            issuer: Issuer::new(params, key),
        })
    }

    /// Loads an existing authority. The first certificate is that of the authority.
    pub fn of(pair: &KeyPair) -> Result<Self> {
        let key = rcgen::KeyPair::from_pem(pair.key.expose()).context("an authority's key")?;
        let first = pair
            .public
            .split_inclusive("-----END CERTIFICATE-----")
            .next();
        let issuer = Issuer::from_ca_cert_pem(first.unwrap_or_default(), key)
            .context("an authority's certificate")?;
        let pair = pair.clone();
        Ok(Self { pair, issuer })
    }

    /// Signs a new client certificate. The certificate is valid for [`ADMIN_VALIDITY`], but at most until
    /// `until`, in seconds since the epoch, because it is not accepted after its authority has expired.
    pub fn client(
        &self,
        name: &str,
        group: &str,
        created: Timestamp,
        until: i64,
    ) -> Result<KeyPair> {
        let key = generate_key(Algorithm::EcdsaP256)?;
        let mut params = params(name, created, ADMIN_VALIDITY)?;
        if until < params.not_after.unix_timestamp() {
            params.not_after = OffsetDateTime::from_unix_timestamp(until)?;
        }
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(KeyPair {
            public: certificate.pem(),
            key: Secret::new(key.serialize_pem()),
        })
    }
}

/// Makes a private key.
pub fn generate_key(algorithm: Algorithm) -> Result<rcgen::KeyPair> {
    let rsa = |size| rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
    Ok(match algorithm {
        Algorithm::EcdsaP256 => rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        Algorithm::Rsa2048 => rsa(RsaKeySize::_2048),
        Algorithm::Rsa3072 => rsa(RsaKeySize::_3072),
        Algorithm::Rsa4096 => rsa(RsaKeySize::_4096),
    }?)
}

fn params(name: &str, created: Timestamp, validity: Duration) -> Result<CertificateParams> {
    let created = OffsetDateTime::from_unix_timestamp(i64::try_from(created.unix())?)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = created - BACKDATED;
    params.not_after = created + validity;
    Ok(params)
}
