//! The testbed's own certificate authorities, and servers with their certificates.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use packages::command;

/// A certificate authority, and a server with a certificate of it.
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) server: Arc<ServerConfig>,
}

/// The certificate of the authority, and the server's certificate and key, in the directory.
pub(crate) const AUTHORITY: &str = "ca.pem";
pub(crate) const CERTIFICATE: &str = "leaf.pem";
pub(crate) const KEY: &str = "leaf.key";

/// Makes new files for both in a directory. The server, at an address or a name, has a certificate of its own,
/// because clients refuse the certificate of an authority for a server.
pub(crate) fn new(directory: &Path, address: &str) -> Result<Authority> {
    let (ca, key) = (directory.join(AUTHORITY), directory.join("ca.key"));
    let constraints = ["-addext", "keyUsage=critical,keyCertSign"];
    certificate(&ca, &key, "testbed authority", &constraints)?;
    Ok(Authority {
        pem: std::fs::read_to_string(&ca)?,
        server: server(directory, (&ca, &key), address)?,
    })
}

/// A server at an address or a name with a certificate of this authority; makes its files in a directory.
pub(crate) fn server(
    directory: &Path,
    (ca, ca_key): (&Path, &Path),
    address: &str,
) -> Result<Arc<ServerConfig>> {
    let (leaf, leaf_key) = (directory.join(CERTIFICATE), directory.join(KEY));
    let (ca, ca_key) = (ca.to_string_lossy(), ca_key.to_string_lossy());
    let kind = match address.parse::<IpAddr>() {
        Ok(_) => "IP",
        Err(_) => "DNS",
    };
    let name = format!("subjectAltName={kind}:{address}");
    let signed = ["-CA", &ca, "-CAkey", &ca_key, "-addext", &name];
    let no_authority = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let more = [signed.as_slice(), &no_authority].concat();
    certificate(&leaf, &leaf_key, "testbed server", &more)?;

    let chain = vec![CertificateDer::from_pem_file(&leaf).context("the server's certificate")?];
    let key = PrivateKeyDer::from_pem_file(&leaf_key).context("the server's key")?;
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(server))
}

fn certificate(file: &Path, key: &Path, name: &str, more: &[&str]) -> Result<()> {
    let (file, key) = (file.to_string_lossy(), key.to_string_lossy());
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
        &key,
        "-out",
        &file,
    ];
    command::run("openssl", [arguments.as_slice(), more].concat()).map(drop)
}
