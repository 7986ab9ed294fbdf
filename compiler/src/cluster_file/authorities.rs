//! `spec.pki.authorities` and `spec.pki.serviceAccount`: existing authorities and keys.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nkd_contract::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::checks::Text;
use super::files::Files;
use super::patterns;
use crate::kubeadm;
use crate::pki::constraints;
use crate::pki::own::{Chain, PrivateKey, Problem};
use nkd_document::{Code, Diagnostics, Span, Spanned};
use nkd_model::version::Version;
use nkd_model::{Algorithm, Cluster, KeyPair, OwnKeys};

/// `spec.pki`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pki {
    /// The algorithm of the certificate authorities' keys.
    #[schemars(extend("default" = "ecdsa-p256"))]
    pub algorithm: Algorithm,
    /// How long the certificate authorities are valid, such as 365d; from 1d to 100y.
    #[schemars(extend("default" = "10y", "examples" = ["10y"]))]
    #[schemars(regex(pattern = patterns::DURATION))]
    pub validity: Text,
    /// Existing certificate authorities. nkd makes the others.
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
    /// Signs the client certificates with which API servers connect to aggregated API servers.
    pub front_proxy: Option<Spanned<Authority>>,
}

/// A certificate authority
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    /// A file of the authority's PEM certificate, followed by the certificates of its issuers, the root
    /// last.
    #[schemars(required)]
    pub cert_file: Option<Text>,
    /// A file of the authority's PEM key, RSA or EC, not encrypted.
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

/// Checks the authorities and keys.
pub fn own_keys(
    file: Pki,
    version: Option<Version>,
    external_etcd: bool,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> OwnKeys {
    let Authorities {
        kubernetes,
        etcd,
        front_proxy,
    } = file.authorities;
    if external_etcd && let Some(etcd) = &etcd {
        let message = "an authority for etcd cannot be used together with an external etcd";
        to.report(Code::SharedAuthority, etcd.span, message);
    }
    let mut authority = |file: Option<Spanned<Authority>>| authority(&file?.value, files, to);
    let kubernetes = authority(kubernetes);
    let etcd = authority(etcd);
    let front_proxy = authority(front_proxy);
    if let Some(authority) = &kubernetes {
        signs_alone(authority, to);
    }
    let key_file = file.service_account.and_then(|account| account.key_file);
    let service_account = key_file.and_then(|name| service_account_key(&name, version, files, to));
    let own = OwnKeys {
        kubernetes,
        etcd,
        front_proxy,
        service_account,
    };
    each_its_own(&own, to);
    own
}

fn authority(
    file: &Authority,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Option<Spanned<KeyPair>> {
    let (certificate, key) = (file.cert_file.as_ref(), file.key_file.as_ref());
    let chain = certificate.and_then(|name| {
        let text = files.text(name, to)?;
        let chain = Chain::read(text).and_then(|chain| {
            let problems = chain.problems(Timestamp::now());
            problems.is_empty().then_some(chain).ok_or(problems)
        });
        report(chain, name, to)
    });
    let key = key.and_then(|name| private_key(name, files, to));
    let (chain, (key, key_file)) = (chain?, key?);
    if !chain.is_of(&key) {
        let message = format!(
            "the private key in `{}` does not belong to this certificate",
            key_file.value
        );
        to.report(Code::KeyMismatch, key_file.span, message);
        return None;
    }
    Some(Spanned::new(chain.with(key), certificate?.span))
}

/// kubeadm gives `ca.crt` to the controller manager to sign with, which does not start if this file has several
/// certificates.
fn signs_alone(kubernetes: &Spanned<KeyPair>, to: &mut Diagnostics) {
    let Ok(chain) = Chain::read(&kubernetes.value.public) else {
        return;
    };
    let count = chain.count();
    if count > 1 {
        let message = format!(
            "the controller manager signs with a file of one certificate, but the authority of Kubernetes has {count}"
        );
        to.report(Code::SigningChain, kubernetes.span, message);
    }
}

fn private_key<'a>(
    name: &'a Text,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Option<(PrivateKey, &'a Text)> {
    let key = PrivateKey::read(files.text(name, to)?).map_err(|problem| vec![problem]);
    Some((report(key, name, to)?, name))
}

fn service_account_key(
    name: &Text,
    version: Option<Version>,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Option<Spanned<KeyPair>> {
    let (key, _) = private_key(name, files, to)?;
    if let Some(version) = version
        && version.needs_rsa_service_account()
        && !key.is_rsa()
    {
        let message = format!("Kubernetes {version} requires an RSA key here");
        to.report(Code::KeyKind, name.span, message);
        return None;
    }
    Some(Spanned::new(key.alone(), name.span))
}

/// Reports problems at the place where the cluster file names the file.
fn report<T>(result: Result<T, Vec<Problem>>, name: &Text, to: &mut Diagnostics) -> Option<T> {
    let problems = match result {
        Ok(value) => return Some(value),
        Err(problems) => problems,
    };
    for Problem { code, message } in problems {
        to.report(code, name.span, format!("`{}` {message}", name.value));
    }
    None
}

/// Reports authorities that cannot sign the certificates of a cluster.
pub fn fit_names(cluster: &Cluster, to: &mut Diagnostics) {
    let own = &cluster.own_keys;
    for (authority, names) in [
        (&own.kubernetes, api_names(cluster)),
        (&own.etcd, etcd_names(cluster)),
        (&own.front_proxy, Vec::new()),
    ] {
        if let Some(authority) = authority
            && let Ok(chain) = Chain::read(&authority.value.public)
            && let Some(Problem { code, message }) = constraints::problem(&chain, &names)
        {
            to.report(code, authority.span, format!("this authority {message}"));
        }
    }
}

/// The names in the certificates of API servers (kubeadm, `GetAPIServerAltNames`).
fn api_names(cluster: &Cluster) -> Vec<String> {
    let service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let mut names: Vec<String> = service.map(str::to_owned).into();
    names.push(format!("kubernetes.default.svc.{}", cluster.dns_domain));
    let first = cluster.service_subnets.first();
    names.extend(first.map(|subnet| second_address(subnet).to_string()));
    names.extend(cluster.control_planes().map(|node| node.name.clone()));
    names.extend(kubeadm::cert_sans(cluster));
    names
}

/// The names in the certificates of etcd (kubeadm, `GetEtcdAltNames` and `GetEtcdPeerAltNames`).
fn etcd_names(cluster: &Cluster) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    for node in cluster.control_planes() {
        names.push(node.name.clone());
        names.extend(node.address.map(|address| address.to_string()));
    }
    names
}

/// The address of the API server's service: the one after the address of the network.
fn second_address(subnet: &IpNet) -> IpAddr {
    match subnet.network() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() | 1).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() | 1).into(),
    }
}

/// Reports authorities that share a key. A certificate of one would be accepted wherever the other one is
/// trusted: every kubelet would have full access to etcd.
fn each_its_own(own: &OwnKeys, to: &mut Diagnostics) {
    let all = [
        &own.kubernetes,
        &own.etcd,
        &own.front_proxy,
        &own.service_account,
    ];
    let mut seen: Vec<&KeyPair> = Vec::new();
    let mut twice: Vec<Span> = Vec::new();
    for pair in all.into_iter().flatten() {
        if seen.iter().any(|earlier| earlier.key == pair.value.key) {
            twice.push(pair.span);
        }
        seen.push(&pair.value);
    }
    for span in twice {
        let message = "this key is already used by another authority or for service accounts";
        to.report(Code::SharedAuthority, span, message);
    }
}
