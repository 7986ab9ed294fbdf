use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::command;

/// A certificate authority, and a server it vouches for.
pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) server: Arc<ServerConfig>,
}

/// Makes both anew. A server's certificate of its own, because clients refuse authorities as
/// servers.
pub(super) fn new(directory: &Path, address: &str) -> Result<Authority> {
    let file = |name: &str| directory.join(name).display().to_string();
    let (ca, ca_key) = (file("ca.pem"), file("ca.key"));
    let (leaf, leaf_key) = (file("leaf.pem"), file("leaf.key"));
    certificate(
        &ca,
        &ca_key,
        "testbed authority",
        &["-addext", "keyUsage=critical,keyCertSign"],
    )?;
    let name = format!("subjectAltName=IP:{address}");
    let signed = ["-CA", &ca, "-CAkey", &ca_key, "-addext", &name];
    let no_authority = ["-addext", "basicConstraints=critical,CA:FALSE"];
    certificate(
        &leaf,
        &leaf_key,
        "testbed callbacks",
        &[signed.as_slice(), &no_authority].concat(),
    )?;

    let chain = vec![CertificateDer::from_pem_file(&leaf).context("the server's certificate")?];
    let key = PrivateKeyDer::from_pem_file(&leaf_key).context("the server's key")?;
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Authority {
        pem: std::fs::read_to_string(&ca)?,
        server: Arc::new(server),
    })
}

fn certificate(file: &str, key: &str, name: &str, more: &[&str]) -> Result<()> {
    let subject = format!("/CN={name}");
    let arguments = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-noenc",
        "-days",
        "30",
        "-subj",
        &subject,
        "-keyout",
        key,
        "-out",
        file,
    ];
    command::run("openssl", [arguments.as_slice(), more].concat()).map(drop)
}
