//! The testbed's own promises, without the product.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use testbed::overlay::{self, Node};
use testbed::requirements::{self, Purpose};
use testbed::{Cache, Kubernetes, Lab, Machine, OsImage, ignition};

const ADDRESS: &str = "10.200.0.11";

/// A machine like the ones users install by hand: containerd configured, kubelet enabled.
fn plain_machine(lab: &Lab, image: &OsImage, kubernetes: &Kubernetes) -> Machine {
    let mut config = overlay::user_ignition(&Node {
        address: ADDRESS,
        nodes: &[ADDRESS],
    });
    let pause = kubernetes.image("pause").unwrap();
    let containerd = format!(
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = {pause:?}\n"
    );
    let mut containerd = overlay::file("/etc/containerd/config.toml", 0o644, &containerd);
    containerd["overwrite"] = json!(true);
    let files = config["storage"]["files"].as_array_mut().unwrap();
    files.push(containerd);
    files.push(overlay::file("/etc/hostname", 0o644, "plain\n"));
    files.push(overlay::file(
        "/etc/sysctl.d/kubernetes.conf",
        0o644,
        "net.ipv4.ip_forward = 1\n",
    ));
    let units = config["systemd"]["units"].as_array_mut().unwrap();
    units[1]["enabled"] = json!(true);
    units.push(json!({ "name": "kubelet.service", "enabled": true }));
    let file = lab.scratch("plain").unwrap().join("plain.ign");
    fs::write(&file, config.to_string()).unwrap();
    ignition::validate(&file).unwrap();
    lab.machine(image, "plain", &file).unwrap()
}

#[test]
fn kubeadm_makes_a_ready_node_that_survives_a_power_cut() {
    let cache = Cache::open().unwrap();
    requirements::ensure(Purpose::Tests).unwrap();
    let kubernetes = Kubernetes::chosen(&cache).unwrap();
    let image = OsImage::without_product(&cache, &kubernetes).unwrap();
    let lab = Lab::new(&cache).unwrap();
    let machine = plain_machine(&lab, &image, &kubernetes);
    machine.boot().unwrap();
    assert_eq!(machine.check(["uname", "-n"]).unwrap(), "plain\n");

    let import = format!(
        "for a in {}/*.tar; do ctr -n k8s.io images import $a; done",
        OsImage::ARCHIVES
    );
    machine.check(["sh", "-c", &import]).unwrap();
    let api = kubernetes.kubeadm_api().unwrap();
    let cluster = json!({
        "apiVersion": api,
        "kind": "ClusterConfiguration",
        "kubernetesVersion": kubernetes.version(),
        "networking": { "podSubnet": overlay::POD_SUBNET },
    });
    let init = json!({
        "apiVersion": api,
        "kind": "InitConfiguration",
        "nodeRegistration": { "criSocket": "/run/containerd/containerd.sock", "taints": [] },
    });
    let documents = format!("{cluster}\n---\n{init}\n---\n{}\n", overlay::kubeadm());
    machine.write("/etc/kubeadm.yaml", &documents).unwrap();
    machine
        .check(["kubeadm", "init", "--config=/etc/kubeadm.yaml"])
        .unwrap();
    let first_boot = await_ready(&machine);

    // kubeadm, kubelet and containerd leave it to the kernel when their files reach the disk.
    machine.check(["sync"]).unwrap();
    machine.cut_power().unwrap();
    assert!(!machine.is_running());
    machine.boot().unwrap();
    assert_ne!(await_ready(&machine), first_boot);
    machine.power_off().unwrap();
}

/// Waits until the node has told of this boot, is Ready and all its pods run; returns its boot id.
fn await_ready(machine: &Machine) -> String {
    let kubectl = |words: &str| {
        let command = "kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=5s";
        machine.check(["sh", "-c", &format!("{command} {words}")])
    };
    let boot = machine
        .check(["cat", "/proc/sys/kernel/random/boot_id"])
        .unwrap();
    let patience = Duration::from_secs(180);
    machine
        .wait_for("the node to tell of this boot", patience, || {
            let told = "get nodes -o jsonpath='{.items[*].status.nodeInfo.bootID}'";
            Ok(kubectl(told)? == boot.trim())
        })
        .unwrap();
    // Not the static pods: kubelet is slow to tell of those, and a Ready node has them.
    for (what, selection) in [
        ("a Ready node", "nodes"),
        ("Ready pods", "pods -A -l k8s-app"),
    ] {
        machine
            .wait_for(what, patience, || {
                let ready = "jsonpath='{.items[*].status.conditions[?(@.type==\"Ready\")].status}'";
                let states = kubectl(&format!("get {selection} -o {ready}"))?;
                Ok(!states.is_empty() && states.split_whitespace().all(|state| state == "True"))
            })
            .unwrap();
    }
    println!("{}", kubectl("get nodes,pods -A -o wide").unwrap());
    boot
}

#[test]
fn another_release_of_kubernetes_is_taken_from_a_directory() {
    let chosen = Kubernetes::chosen(&Cache::open().unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let link = |target: &Path, name: &str| {
        symlink(target.parent().unwrap(), directory.path().join(name)).unwrap();
    };
    link(&chosen.program("kubeadm"), "bin");
    link(&chosen.image_archives()[0], "images");
    let taken = Kubernetes::from_directory(directory.path()).unwrap();
    assert_eq!(taken.version(), chosen.version());
    assert_eq!(taken.image_archives().len(), chosen.image_archives().len());
    let programs = taken.binaries().unwrap();
    let has = |name: &str| programs.iter().any(|path| path.ends_with(name));
    for name in ["kubeadm", "kubectl", "kubelet"] {
        assert!(has(name), "{name}");
    }
    // Those are in the images.
    assert!(!has("kube-apiserver") && !has("kube-proxy"));
}
