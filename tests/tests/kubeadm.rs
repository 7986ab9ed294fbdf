//! The real kubeadm takes what nkd writes for it, without a machine: its own reading of each
//! node's documents, a dry run, and the phases that use the authorities and keys.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nkd::compile::{self, Request};
use nkd_contract::paths;
use nkd_document::Diagnostics;
use nkd_model::version::{KubeadmApi, Version};
use serde_json::{Value, json};
use testbed::requirements::{self, Purpose};
use testbed::{Cache, Kubernetes};

/// Three control planes behind kube-vip, with much that can be said of a node.
const CLUSTER: &str = "\
apiVersion: nkd.openeuler.org/v1alpha1
kind: Cluster
metadata: {name: real}
spec:
  kubernetes:
    version: VERSION
    endpoint: api.example.org:6443
    apiServer: {certSANs: [\"*.example.org\"]}
    kubeadm: [overlay.yaml]
  runtime: {name: RUNTIME}
  airgap: {images: /usr/share/nkd/images}
  pki: PKI
  pools:
    - name: gpu
      role: worker
      labels: {disk: ssd}
      taints: [{key: gpu, value: \"yes\", effect: NoSchedule}]
      kubelet: {maxPods: 50, systemReserved: {cpu: 100m, memory: 1Gi}, extraArgs: {v: \"2\"}}
  nodes:
    - {name: cp1, role: control-plane, address: 10.200.0.11, taints: []}
    - {name: cp2, role: control-plane, address: 10.200.0.12}
    - {name: w1, pool: gpu, address: 10.200.0.21}
";

/// Documents of the user's own, as kubeadm of this version reads them.
fn overlay(version: Version) -> String {
    let api = version.kubeadm_api();
    let argument = |name: &str, value: &str| match api {
        KubeadmApi::V1Beta2 | KubeadmApi::V1Beta3 => json!({ name: value }),
        KubeadmApi::V1Beta4 => json!([{ "name": name, "value": value }]),
    };
    let cluster = json!({
        "apiVersion": api.api_version(),
        "kind": "ClusterConfiguration",
        "apiServer": { "extraArgs": argument("audit-log-maxage", "7") },
        "etcd": { "local": { "extraArgs": argument("quota-backend-bytes", "4294967296") } },
    });
    let kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerLogMaxFiles": 3,
    });
    format!("{cluster}\n---\n{kubelet}\n")
}

/// Runs in a mount namespace of its own, with the files of a node where the agent would put them.
const SANDBOX: &str = r#"
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /etc/kubernetes /run/nkd
mount -t tmpfs tmpfs /etc/kubernetes
cp discovery.yaml /run/nkd/discovery.yaml
export PATH="$1:$PATH"
"#;

/// A directory with a compiled cluster's files.
struct Compiled {
    directory: tempfile::TempDir,
    programs: PathBuf,
}

impl Compiled {
    fn new(runtime: &str, pki: &str, prepare: impl FnOnce(&Path)) -> Self {
        requirements::ensure(Purpose::Tests).unwrap();
        let kubernetes = Kubernetes::chosen(&Cache::open().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path());
        let text = CLUSTER
            .replace("VERSION", kubernetes.version())
            .replace("RUNTIME", runtime)
            .replace("PKI", pki);
        let version = Version::parse(kubernetes.version()).unwrap();
        fs::write(directory.path().join("overlay.yaml"), overlay(version)).unwrap();
        let kubeconfig = unpack_nodes(directory.path(), &text);
        // The agent makes it of the plan; kubeadm wants the file to be there.
        let discovery = directory.path().join("discovery.yaml");
        fs::write(discovery, kubeconfig).unwrap();
        let programs = kubernetes.program("kubeadm");
        let programs = programs.parent().unwrap().to_owned();
        Self {
            directory,
            programs,
        }
    }

    /// What a script with `kubeadm` in its path prints, on standard output and error.
    fn run(&self, script: &str) -> String {
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg(format!("{SANDBOX}{script}"))
            .arg("sh")
            .arg(&self.programs)
            .current_dir(&self.directory)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(output.status.success(), "{script}\n{text}");
        text
    }
}

/// Compiles a cluster file and unpacks each node's files into a directory of its name. Gives the
/// administrator's kubeconfig.
fn unpack_nodes(directory: &Path, cluster_file: &str) -> String {
    let path = directory.join("cluster.yaml");
    fs::write(&path, cluster_file).unwrap();
    let request = Request {
        cluster_file: &path,
        out: None,
        secrets: None,
        nodes: &[],
    };
    let mut diagnostics = Diagnostics::new();
    let compiled = compile::compile(&request, &mut diagnostics)
        .unwrap_or_else(|failure| panic!("{failure:?}\n{diagnostics}"));
    for node in &compiled.nodes {
        unpack(&directory.join(&node.name), &node.ignition);
    }
    compiled.kubeconfig
}

fn unpack(root: &Path, ignition: &str) {
    let config: Value = serde_json::from_str(ignition).unwrap();
    for file in config["storage"]["files"].as_array().unwrap() {
        let path = root.join(file["path"].as_str().unwrap().trim_start_matches('/'));
        let contents = &file["contents"];
        let compression = contents["compression"].as_str().unwrap_or_default();
        let source = contents["source"].as_str().unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, nkd_ignition::decode(source, compression).unwrap()).unwrap();
    }
}

#[test]
fn a_control_planes_plan_has_the_images_that_kubeadm_lists() {
    requirements::ensure(Purpose::Tests).unwrap();
    let kubernetes = Kubernetes::chosen(&Cache::open().unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = format!(
        "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {{name: real}}\n\
         spec:\n  kubernetes: {{version: {}}}\n  nodes:\n    \
         - {{name: cp1, role: control-plane, address: 10.200.0.11}}\n",
        kubernetes.version()
    );
    unpack_nodes(directory.path(), &cluster_file);
    let plan = directory.path().join("cp1").join(&paths::PLAN[1..]);
    let plan: Value = serde_json::from_slice(&fs::read(plan).unwrap()).unwrap();
    let required = plan["images"]["required"].as_array().unwrap();
    let planned: BTreeSet<_> = required
        .iter()
        .map(|image| image["name"].as_str().unwrap())
        .collect();
    let listed = kubernetes.image_names().iter().map(String::as_str);
    assert_eq!(planned, listed.collect());
}

#[test]
fn kubeadm_reads_every_nodes_documents_without_a_warning() {
    for runtime in ["containerd", "crio", "isulad", "docker"] {
        let cluster = Compiled::new(runtime, "{}", |_| {});
        for node in ["cp1", "cp2", "w1"] {
            let documents = format!("{node}/etc/nkd/kubeadm.yaml");
            let said = cluster.run(&format!(
                "kubeadm config migrate --old-config {documents} --new-config migrated.yaml"
            ));
            // There is no Docker here to ask for its cgroups.
            let warnings = said.lines().filter(|line| !line.contains("docker info"));
            assert_eq!(warnings.count(), 0, "{runtime}, {node}: {said}");
            let migrated =
                fs::read_to_string(cluster.directory.path().join("migrated.yaml")).unwrap();
            assert!(migrated.contains(&format!("name: {node}\n")), "{migrated}");
        }
    }
}

/// The dry run makes authorities of its own: with some in place, that of 1.20 looks for them in its
/// own directory of drafts and fails. What kubeadm does with ours is what the phases show.
#[test]
fn a_dry_run_of_init_goes_through() {
    let cluster = Compiled::new("containerd", "{}", |_| {});
    let said = cluster.run(
        "kubeadm init --dry-run --ignore-preflight-errors=all --config cp1/etc/nkd/kubeadm.yaml",
    );
    for expected in [
        "Your Kubernetes control-plane has initialized successfully!",
        "kubeadm join api.example.org:6443",
        "--audit-log-maxage=7",
    ] {
        assert!(said.contains(expected), "no `{expected}` in\n{said}");
    }
    // The user says that the control plane may run everything.
    for role in ["master", "control-plane"] {
        assert!(!said.contains(&format!("node-role.kubernetes.io/{role}:NoSchedule")));
    }
}

/// kubeadm's part of the PKI, from the authorities a control plane is given.
const PHASES: &str = r#"
cp -r $NODE/etc/nkd/pki /etc/kubernetes/pki

for phase in 'certs all' 'kubeconfig all' 'control-plane all' 'etcd local'; do
    kubeadm init phase $phase --config cp1/etc/nkd/kubeadm.yaml
done
cd /etc/kubernetes/pki
for name in ca.crt ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key etcd/ca.crt etcd/ca.key; do
    cmp $name "$OLDPWD/$NODE/etc/nkd/pki/$name"
done
verify() { openssl verify -x509_strict -purpose $1 -CAfile $2 $3; }
verify sslserver ca.crt apiserver.crt
verify sslclient ca.crt apiserver-kubelet-client.crt
verify sslclient front-proxy-ca.crt front-proxy-client.crt
verify sslserver etcd/ca.crt etcd/server.crt
verify sslserver etcd/ca.crt etcd/peer.crt
verify sslclient etcd/ca.crt etcd/peer.crt
verify sslclient etcd/ca.crt etcd/healthcheck-client.crt
verify sslclient etcd/ca.crt apiserver-etcd-client.crt
openssl x509 -in apiserver.crt -noout -text
"#;

/// kubeadm signs its own certificates with the authorities it is given, and leaves those alone.
fn signs(cluster: &Compiled, algorithm: &str) {
    for node in ["cp1", "cp2"] {
        let said = cluster.run(&format!("NODE={node}\n{PHASES}"));
        for expected in [
            "[certs] Using existing ca certificate authority",
            "[certs] Using existing front-proxy-ca certificate authority",
            "[certs] Using existing etcd/ca certificate authority",
            "[certs] Using the existing \"sa\" key",
            "apiserver.crt: OK",
            "apiserver-etcd-client.crt: OK",
            "DNS:api.example.org",
            "DNS:*.example.org",
            "IP Address:10.200.0.12",
            algorithm,
        ] {
            assert!(said.contains(expected), "no `{expected}` in\n{said}");
        }
    }
}

#[test]
fn kubeadm_signs_with_ecdsa_authorities() {
    let cluster = Compiled::new("containerd", "{algorithm: ecdsa-p256}", |_| {});
    signs(&cluster, "Signature Algorithm: ecdsa-with-SHA256");
}

#[test]
fn kubeadm_signs_with_rsa_authorities() {
    for size in [2048, 3072, 4096] {
        let pki = format!("{{algorithm: rsa-{size}}}");
        let cluster = Compiled::new("containerd", &pki, |_| {});
        signs(&cluster, "Signature Algorithm: sha256WithRSAEncryption");
    }
}

/// An authority in each of the forms that openssl writes keys in.
const OWN: &str = r"
openssl genrsa -traditional -out kubernetes.key 2048
openssl ecparam -name prime256v1 -genkey -out etcd.key
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out front.key
openssl genrsa -out sa.key 3072
for name in kubernetes etcd front; do
    openssl req -x509 -new -key $name.key -out $name.crt -days 4000 -subj /O=Example/CN=$name \
        -addext keyUsage=critical,digitalSignature,keyCertSign,cRLSign
done
";

#[test]
fn kubeadm_signs_with_authorities_of_the_users_own() {
    let pki = "{authorities: {kubernetes: {certFile: kubernetes.crt, keyFile: kubernetes.key}, \
               etcd: {certFile: etcd.crt, keyFile: etcd.key}, \
               frontProxy: {certFile: front.crt, keyFile: front.key}}, \
               serviceAccount: {keyFile: sa.key}}";
    let cluster = Compiled::new("containerd", pki, |directory| {
        let mut openssl = Command::new("sh");
        let openssl = openssl.args(["-euc", OWN]).current_dir(directory);
        assert!(openssl.status().unwrap().success());
    });
    signs(&cluster, "Signature Algorithm: sha256WithRSAEncryption");
}

/// A version whose kubeadm takes `patches.directory`.
const SEPARATED: &str = "\
apiVersion: nkd.openeuler.org/v1alpha1
kind: Cluster
metadata: {name: separated}
spec:
  kubernetes: {version: v1.31.2}
  os: {selinux: container-separation}
  nodes:
    - {name: patched, role: control-plane, address: 10.200.0.11}
";

/// kubeadm 1.20 takes patches by an argument alone, which is experimental; they are the same files.
const PATCHED: &str = r"
cp -r cp1/etc/nkd/pki /etc/kubernetes/pki
for phase in 'control-plane all' 'etcd local'; do
    kubeadm init phase $phase --config cp1/etc/nkd/kubeadm.yaml \
        --experimental-patches patched/etc/nkd/patches
done
for pod in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    cp /etc/kubernetes/manifests/$pod.yaml .
done
";

#[test]
fn kubeadms_static_pods_get_the_type_that_reaches_the_host() {
    let cluster = Compiled::new("containerd", "{}", |_| {});
    let directory = cluster.directory.path();
    unpack_nodes(directory, SEPARATED);
    let said = cluster.run(PATCHED);
    for pod in [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ] {
        let pod = fs::read_to_string(directory.join(format!("{pod}.yaml"))).unwrap();
        let pod = nkd_document::yaml::fragment(&pod).unwrap().remove(0);
        let spec = &pod["spec"];
        assert_eq!(
            spec["securityContext"]["seLinuxOptions"]["type"], "spc_t",
            "{said}"
        );
        // What kubeadm itself says of the pod is still there.
        assert_eq!(spec["hostNetwork"], true);
        assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
    }
}
