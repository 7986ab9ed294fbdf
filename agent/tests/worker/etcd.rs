//! etcd forgets the member that a joining control plane was before. etcd is Debian's, the real one;
//! kubeadm's part, signing its client certificate, is played by a script.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use nkd_contract::{Cause, Role, Stage, paths};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use tempfile::TempDir;

use super::machine::Machine;
use super::receiver::{Authority, Receiver};

/// A real etcd of one member that runs until it is dropped.
struct Etcd {
    child: Child,
    directory: TempDir,
    address: &'static str,
}

impl Etcd {
    fn start(address: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        certificates(directory.path(), address);
        let at = |name: &str| directory.path().join(name).display().to_string();
        let (client, peer) = (
            format!("https://{address}:2379"),
            format!("https://{address}:2380"),
        );
        let child = Command::new("/usr/bin/etcd")
            .args(["--name", "cp0", "--data-dir", &at("data")])
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args([
                "--initial-cluster",
                &format!("cp0={peer}"),
                "--client-cert-auth",
            ])
            .args(["--trusted-ca-file", &at("ca.crt")])
            .args([
                "--cert-file",
                &at("server.crt"),
                "--key-file",
                &at("server.key"),
            ])
            .args(["--peer-trusted-ca-file", &at("ca.crt")])
            .args([
                "--peer-cert-file",
                &at("server.crt"),
                "--peer-key-file",
                &at("server.key"),
            ])
            // Two members, of which one never was, would be no quorum.
            .arg("--strict-reconfig-check=false")
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd of the Debian package etcd-server");
        let etcd = Self {
            child,
            directory,
            address,
        };
        etcd.ask("list", "{}");
        etcd
    }

    /// The JSON gateway, by another client than the agent's.
    fn ask(&self, what: &str, question: &str) -> String {
        let at = |name: &str| self.directory.path().join(name);
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--retry",
            "60",
            "--retry-delay",
            "1",
        ])
        .args(["--retry-all-errors", "--data", question])
        .arg("--cacert")
        .arg(at("ca.crt"))
        .arg("--cert")
        .arg(at("client.crt"))
        .arg("--key")
        .arg(at("client.key"))
        .arg(format!(
            "https://{}:2379/v3/cluster/member/{what}",
            self.address
        ));
        let output = curl.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An authority, and certificates of it for the server and for a client.
fn certificates(directory: &Path, address: &str) {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
        .distinguished_name
        .push(DnType::CommonName, "etcd-ca");
    let key = KeyPair::generate().unwrap();
    std::fs::write(
        directory.join("ca.crt"),
        parameters.self_signed(&key).unwrap().pem(),
    )
    .unwrap();
    let issuer = Issuer::new(parameters, key);
    for name in ["server", "client"] {
        let mut leaf = CertificateParams::new(vec![address.to_owned()]).unwrap();
        leaf.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &issuer).unwrap();
        std::fs::write(directory.join(format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A further control plane whose earlier one is where etcd is.
fn machine(etcd: &Etcd, endpoint: &Receiver, authority: &Authority) -> Machine {
    let machine = Machine::new();
    let from = etcd.directory.path().display();
    machine.program(
        "kubeadm",
        &format!(
            r#"case "$*" in "init phase certs etcd-healthcheck-client --config /run/nkd/etcd-client.yaml")
            for kind in crt key; do cp {from}/client.$kind $ROOT/etc/kubernetes/pki/etcd/healthcheck-client.$kind; done;;
            esac"#
        ),
    );
    let pem = std::fs::read_to_string(etcd.directory.path().join("ca.crt")).unwrap();
    machine.write(&format!("{}/etcd/ca.crt", paths::PKI), &pem);
    machine.plan(|plan| {
        plan.role = Role::JoinControlPlane;
        plan.certificate_authority.clone_from(&authority.pem);
        plan.endpoint = endpoint.address.to_string();
        plan.control_planes_before = vec![format!("{}:6443", etcd.address)];
        plan.machine.addresses = vec!["127.0.0.1".parse().unwrap()];
        plan.runs_etcd = true;
        // Nobody serves the API where etcd is.
        plan.budgets.extend([(Stage::Gate, 1), (Stage::Kubeadm, 0)]);
    });
    machine
}

#[test]
fn the_member_of_an_earlier_attempt_is_removed_before_it_joins_anew() {
    let etcd = Etcd::start("127.0.0.9");
    etcd.ask(
        "add",
        r#"{"peerURLs": ["https://127.0.0.1:2380"], "isLearner": true}"#,
    );
    assert_eq!(etcd.ask("list", "{}").matches("peerURLs").count(), 2);
    let authority = Authority::new();
    let endpoint = Receiver::listen("127.0.0.1:0".parse().unwrap(), &[], Some(&authority));
    let machine = machine(&etcd, &endpoint, &authority);
    machine.install();
    assert_eq!(machine.failure().0, Some(Stage::Ready));
    let members = etcd.ask("list", "{}");
    assert_eq!(members.matches("peerURLs").count(), 1, "{members}");
    assert!(members.contains("cp0"), "{members}");
    let said = machine.read(paths::EVENTS);
    assert!(said.contains("of an earlier attempt from etcd"), "{said}");
}

#[test]
fn an_etcd_that_cannot_be_asked_is_left_to_kubeadm() {
    let etcd = Etcd::start("127.0.0.10");
    let authority = Authority::new();
    let endpoint = Receiver::listen("127.0.0.1:0".parse().unwrap(), &[], Some(&authority));
    let machine = machine(&etcd, &endpoint, &authority);
    drop(etcd);
    machine.program(
        "kubeadm",
        "mkdir -p $ROOT/etc/kubernetes/pki/etcd; cd $ROOT/etc/kubernetes/pki/etcd
         openssl req -x509 -newkey rsa:2048 -nodes -keyout healthcheck-client.key -out healthcheck-client.crt -subj /CN=client 2>/dev/null",
    );
    machine.install();
    assert_eq!(machine.failure().0, Some(Stage::Ready));
    let warned = machine.warnings().into_iter();
    let warned: Vec<_> = warned
        .filter(|(cause, _)| *cause == Cause::KubeadmEtcd)
        .collect();
    assert!(
        warned[0].1.contains("https://127.0.0.10:2379: "),
        "{warned:?}"
    );
    assert!(
        machine
            .calls_of("kubeadm")
            .iter()
            .any(|call| call.starts_with("kubeadm join"))
    );
}
