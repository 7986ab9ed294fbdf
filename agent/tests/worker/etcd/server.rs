//! Real etcds, Debian's, each at a loopback address of its own.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Where the machine under test is: the one address of its loopback interface.
pub const OWN: &str = "127.0.0.1";

/// Only one test at a time may have an etcd where the machine under test is.
pub fn own_address() -> File {
    let lock = File::create(std::env::temp_dir().join("nkd-etcd-at-own-address")).unwrap();
    lock.lock().unwrap();
    lock
}

/// An authority, with certificates of it for all of a cluster's etcds and for a client.
pub struct Pki {
    pub directory: TempDir,
}

impl Pki {
    pub fn new(addresses: &[&str]) -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        certificates(directory.path(), addresses);
        Arc::new(Self { directory })
    }

    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

/// A real etcd, which runs until it is dropped or stopped.
pub struct Etcd {
    child: Option<Child>,
    pki: Arc<Pki>,
    data: TempDir,
    name: String,
    pub address: &'static str,
    cluster: Vec<String>,
}

impl Etcd {
    /// The first member of a cluster.
    pub fn first(pki: &Arc<Pki>, address: &'static str) -> Self {
        let mut etcd = Self {
            child: None,
            pki: pki.clone(),
            data: tempfile::tempdir().unwrap(),
            name: format!("cp-{address}"),
            address,
            cluster: vec![format!("cp-{address}=https://{address}:2380")],
        };
        etcd.start();
        etcd.ask("cluster/member/list", &json!({}));
        etcd
    }

    /// Adds a further member with a vote, and starts it.
    pub fn another(&self, name: &str, address: &'static str) -> Self {
        self.add(address);
        let mut cluster = self.cluster.clone();
        cluster.push(format!("{name}=https://{address}:2380"));
        let mut etcd = Self {
            child: None,
            pki: self.pki.clone(),
            data: tempfile::tempdir().unwrap(),
            name: name.to_owned(),
            address,
            cluster,
        };
        etcd.start();
        // Both are told, for only who is healthy for five seconds counts when a third is added.
        self.put("started", name);
        etcd.put("started", name);
        std::thread::sleep(std::time::Duration::from_secs(6));
        etcd
    }

    pub fn start(&mut self) {
        let at = |path: &str| self.pki.path(path);
        let url = |port: u16| format!("https://{}:{port}", self.address);
        let state = if self.cluster.len() == 1 {
            "new"
        } else {
            "existing"
        };
        let arguments = [
            ("name", self.name.clone()),
            (
                "data-dir",
                self.data.path().join("data").display().to_string(),
            ),
            ("listen-client-urls", url(2379)),
            ("advertise-client-urls", url(2379)),
            ("listen-peer-urls", url(2380)),
            ("initial-advertise-peer-urls", url(2380)),
            ("initial-cluster", self.cluster.join(",")),
            ("initial-cluster-state", state.to_owned()),
            ("client-cert-auth", "true".to_owned()),
            ("trusted-ca-file", at("ca.crt")),
            ("cert-file", at("server.crt")),
            ("key-file", at("server.key")),
            ("peer-client-cert-auth", "true".to_owned()),
            ("peer-trusted-ca-file", at("ca.crt")),
            ("peer-cert-file", at("server.crt")),
            ("peer-key-file", at("server.key")),
        ];
        let mut etcd = Command::new("/usr/bin/etcd");
        etcd.args(arguments.map(|(name, value)| format!("--{name}={value}")));
        let child = etcd.stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("etcd of the Debian package etcd-server"));
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The JSON gateway, by another client than the agent's.
    pub fn ask(&self, what: &str, question: &Value) -> Value {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--retry", "60"])
            .args(["--retry-delay", "1", "--retry-all-errors"])
            .args(["--data", &question.to_string()])
            .args(["--cacert", &self.pki.path("ca.crt")])
            .args(["--cert", &self.pki.path("client.crt")])
            .args(["--key", &self.pki.path("client.key")])
            .arg(format!("https://{}:2379/v3/{what}", self.address));
        let output = curl.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The peer URLs of all members.
    pub fn peers(&self) -> Vec<String> {
        let answer = self.ask("cluster/member/list", &json!({}));
        let members = answer["members"].as_array().unwrap().iter();
        let url = |member: &Value| member["peerURLs"][0].as_str().unwrap().to_owned();
        members.map(url).collect()
    }

    /// Adds a member with a vote, as kubeadm does without learners.
    pub fn add(&self, address: &str) {
        let question = json!({"peerURLs": [format!("https://{address}:2380")]});
        self.ask("cluster/member/add", &question);
    }

    /// Writes a key, which takes a quorum.
    pub fn put(&self, key: &str, value: &str) {
        self.ask(
            "kv/put",
            &json!({"key": base64(key), "value": base64(value)}),
        );
    }

    /// Whether a key is there, by the word of a quorum.
    pub fn has(&self, key: &str) -> bool {
        let answer = self.ask("kv/range", &json!({"key": base64(key)}));
        answer["count"] == "1"
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn certificates(directory: &Path, addresses: &[&str]) {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
        .distinguished_name
        .push(DnType::CommonName, "etcd-ca");
    let key = KeyPair::generate().unwrap();
    let authority = parameters.self_signed(&key).unwrap().pem();
    fs::write(directory.join("ca.crt"), authority).unwrap();
    let issuer = Issuer::new(parameters, key);
    for name in ["server", "client"] {
        let names = addresses.iter().chain([&OWN]).map(ToString::to_string);
        let mut leaf = CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
        leaf.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &issuer).unwrap();
        fs::write(directory.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
