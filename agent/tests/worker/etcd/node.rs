//! A further control plane, whose kubeadm is played by a script.

use std::net::SocketAddr;
use std::process::Command;

use nkd_contract::{Image, Kubeadm, Role, Stage, paths};

use super::super::machine::Machine;
use super::super::receiver::{Answer, Authority, Receiver};
use super::server::{Etcd, OWN, Pki};

/// A machine that joins as a control plane, and an endpoint that says yes to everything.
pub struct ControlPlane {
    pub machine: Machine,
    pub authority: Authority,
}

impl ControlPlane {
    /// Its etcd is to join these.
    pub fn beside(pki: &Pki, others: &[&Etcd]) -> Self {
        Self::whose_endpoint_says(pki, others, &[])
    }

    /// The same, with an endpoint that gives these answers first.
    pub fn whose_endpoint_says(pki: &Pki, others: &[&Etcd], answers: &[Answer]) -> Self {
        let authority = Authority::new();
        let any = "127.0.0.1:0".parse().unwrap();
        let endpoint = Receiver::listen(any, answers, Some(&authority));
        Self::of(pki, others, authority, endpoint.address)
    }

    /// The same, with an endpoint that is somebody else's to serve.
    pub fn of(pki: &Pki, others: &[&Etcd], authority: Authority, endpoint: SocketAddr) -> Self {
        let machine = Machine::new();
        let image = "example.org/etcd:3.4";
        machine.write("/images/etcd.tar", &format!("{image}\n"));
        machine.program("kubeadm", &kubeadm(pki, others[0].address));
        let pem = std::fs::read_to_string(pki.path("ca.crt")).unwrap();
        machine.write(&format!("{}/etcd/ca.crt", paths::PKI), &pem);
        machine.plan(|plan| {
            plan.role = Role::JoinControlPlane;
            plan.certificate_authority.clone_from(&authority.pem);
            plan.endpoint = endpoint.to_string();
            let mut apis = others.iter().map(|etcd| format!("{}:6443", etcd.address));
            plan.control_planes_before = apis.by_ref().take(1).collect();
            plan.control_planes_after = apis.collect();
            plan.runs_etcd = true;
            plan.patches_argument = Some("/etc/nkd/patches".to_owned());
            plan.kubeadm = Some(Kubeadm {
                api_version: "kubeadm.k8s.io/v1beta2".to_owned(),
                image_repository: "example.org".to_owned(),
                etcd_image: image.to_owned(),
                patches: None,
            });
            plan.machine.addresses = vec![OWN.parse().unwrap()];
            plan.images.required.push(Image {
                name: image.to_owned(),
                digest: None,
            });
            // Nobody serves the API where etcd is.
            plan.budgets
                .extend([(Stage::Gate, 12), (Stage::Kubeadm, 20)]);
        });
        Self { machine, authority }
    }

    /// As if an attempt had been cut off here that got as far as its kubelet.
    pub fn with_traces(self) -> Self {
        self.machine
            .write("/etc/kubernetes/kubelet.conf", "of an earlier attempt");
        self
    }

    /// With data of its own etcd.
    pub fn with_data(self) -> Self {
        self.machine.write("/var/lib/etcd/member/wal/0", "the log");
        self
    }

    pub fn data_are_here(&self) -> bool {
        self.machine.path("/var/lib/etcd/member").exists()
    }

    /// What kubeadm was called for, but for certificates.
    pub fn kubeadm(&self) -> Vec<String> {
        let calls = self.machine.calls_of("kubeadm").into_iter();
        calls
            .filter(|call| !call.contains(" certs "))
            .map(|call| {
                let words = call.split(' ').skip(1);
                let words: Vec<_> = words.take_while(|word| !word.starts_with('-')).collect();
                words.join(" ")
            })
            .collect()
    }
}

impl Drop for ControlPlane {
    /// Ends the etcd that the script has started, if any.
    fn drop(&mut self) {
        let pid = self.machine.read("/etcd.pid");
        if !pid.trim().is_empty() {
            let _ = Command::new("kill").args(["-KILL", pid.trim()]).status();
        }
    }
}

/// A stand-in for kubeadm and kubelet: it hands out certificates that were made before, and starts a
/// real etcd as the given configuration says. A reset writes down whom etcd has as members.
fn kubeadm(pki: &Pki, other: &str) -> String {
    let from = pki.directory.path().display();
    let name = nix::unistd::gethostname().unwrap();
    let name = name.to_str().unwrap();
    format!(
        r#"etcd=$ROOT/etc/kubernetes/pki/etcd
for config; do :; done
case "$*" in
"init phase certs etcd-healthcheck-client --config "*)
    mkdir -p $etcd
    for kind in crt key; do cp {from}/client.$kind $etcd/healthcheck-client.$kind; done;;
"init phase certs "*) ;;
"init phase kubeconfig kubelet --config "*)
    [ ! -e $ROOT/etc/kubernetes/kubelet.conf ] || exit 1
    echo signed > $ROOT/etc/kubernetes/kubelet.conf;;
"init phase kubelet-start --config "*)
    mkdir -p $ROOT/var/lib/kubelet
    echo written > $ROOT/var/lib/kubelet/config.yaml;;
"init phase etcd local --experimental-patches /etc/nkd/patches --config "*)
    [ -s $ROOT/etc/kubernetes/kubelet.conf ] && [ -s $ROOT/var/lib/kubelet/config.yaml ] || exit 1
    argument() {{ sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" $ROOT/$config; }}
    mkdir -p $ROOT/etc/kubernetes/manifests $ROOT/var/lib/etcd
    echo a pod > $ROOT/etc/kubernetes/manifests/etcd.yaml
    [ ! -e $ROOT/no-etcd ] || exit 0
    setsid /usr/bin/etcd --name={name} --data-dir=$ROOT/var/lib/etcd \
        --listen-client-urls=https://{OWN}:2379 --advertise-client-urls=https://{OWN}:2379 \
        --listen-peer-urls=https://{OWN}:2380 --initial-advertise-peer-urls=https://{OWN}:2380 \
        --initial-cluster=$(argument initial-cluster) \
        --initial-cluster-state=$(argument initial-cluster-state) \
        --client-cert-auth --trusted-ca-file={from}/ca.crt \
        --cert-file={from}/server.crt --key-file={from}/server.key \
        --peer-client-cert-auth --peer-trusted-ca-file={from}/ca.crt \
        --peer-cert-file={from}/server.crt --peer-key-file={from}/server.key \
        >$ROOT/etcd.log 2>&1 </dev/null &
    echo $! > $ROOT/etcd.pid;;
"reset "*)
    curl -s --cacert {from}/ca.crt --cert {from}/client.crt --key {from}/client.key -d '{{}}' \
        https://{other}:2379/v3/cluster/member/list > $ROOT/members-at-reset
    [ ! -e $ROOT/etcd.pid ] || kill -KILL $(cat $ROOT/etcd.pid)
    rm -rf $ROOT/etc/kubernetes $ROOT/etcd.pid;;
esac"#
    )
}
