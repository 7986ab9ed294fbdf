//! Carriers: what each of them takes, and that Ignition takes what each of them gets.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Run, compile, demo, demo_in_memory, nkd, takes, tests};
use nkd::carrier::{Target, unpack};
use serde_json::Value;

const LIMITED: [Target; 4] = [Target::Openstack, Target::Aws, Target::Azure, Target::Gcp];

const PXE: [&str; 4] = ["--target", "pxe", "--url", "http://10.0.0.1"];

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The demo with authorities of another kind, in a directory.
fn demo_with(directory: &Path, version: &str, algorithm: &str) -> PathBuf {
    let file = directory.join("cluster.yaml");
    let text = read(&demo()).replace("v1.20.2", version).replace(
        "  nodes:",
        &format!("  pki: {{algorithm: {algorithm}}}\n  nodes:"),
    );
    fs::write(&file, text).unwrap();
    file
}

/// A manifest that hardly compresses.
fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut text = String::from("apiVersion: v1\nkind: ConfigMap\na: ");
    while text.len() < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text.push(char::from(b'a' + u8::try_from((state >> 40) % 26).unwrap()));
    }
    text
}

fn demo_with_noise(directory: &Path, bytes: usize) -> PathBuf {
    let file = directory.join("cluster.yaml");
    fs::write(directory.join("big.yaml"), noise(bytes)).unwrap();
    let text = read(&demo()).replace("  nodes:", "  network: {manifests: [big.yaml]}\n  nodes:");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn every_carrier_gets_what_ignition_takes_outside_and_inside() {
    let directory = tempfile::tempdir().unwrap();
    let secrets = common::full_secrets();
    let file = directory.path().join("cluster.yaml");
    let text = demo_in_memory().replace("name: demo", "name: full");
    let mac = "address: 10.200.0.12\n      mac: 52:54:00:AB:CD:EF";
    fs::write(&file, text.replace("address: 10.200.0.12", mac)).unwrap();
    let out = directory.path().join("out");
    let mut arguments = vec!["--secrets", secrets.to_str().unwrap()];
    for target in Target::ALL {
        arguments.extend(["--target", target.name()]);
    }
    arguments.extend(["--url", "http://10.0.0.1:8080/"]);
    let run = compile(&file, &out, &arguments);
    for target in LIMITED {
        let directory = out.join(target.name());
        takes(&directory);
        for node in ["cp1", "w1"] {
            let text = read(&directory.join(format!("{node}.ign")));
            assert!(text.len() <= target.limit().unwrap());
        }
    }
    let boot = read(&out.join("pxe/boot.ipxe"));
    assert!(boot.contains("chain ${hostname}.ipxe"), "{boot}");
    // What the advice has people serve is where the scripts look.
    let live = "http://10.0.0.1:8080/live";
    assert!(read(&out.join("pxe/w1.ipxe")).contains(&format!("set live {live}\n")));
    for advice in [
        format!("rootfs.img at {live},"),
        "nodes at http://10.0.0.1:8080,".to_owned(),
    ] {
        assert!(run.stdout.contains(&advice), "{}", run.stdout);
    }
    let by_mac = read(&out.join("pxe/mac-52-54-00-ab-cd-ef.ipxe"));
    assert!(by_mac.contains("chain w1.ipxe"), "{by_mac}");
    let script = read(&out.join("pxe/w1.ipxe"));
    // A server that is not there yet ends in no shell.
    for (script, start) in [(&boot, ":start\nchain "), (&script, ":start\nkernel ")] {
        assert!(script.contains(start), "{script}");
        assert!(script.ends_with("goto start\n"), "{script}");
        assert!(!script.contains("shell"), "{script}");
    }
    let argument = "ignition.config.url=http://10.0.0.1:8080/w1.ign";
    assert!(script.contains(argument), "{script}");
    // What a site sets in iPXE, such as the console, comes last and has priority.
    let site = "w1.ign ${arguments} || goto failed\n";
    assert!(script.contains(site), "{script}");
    assert!(run.stdout.contains("--user-data file://"), "{}", run.stdout);
    assert!(run.stdout.contains("/etc/nkd/pki/sa.key"), "{}", run.stdout);
}

#[test]
fn the_os_goes_to_the_disk_that_the_cluster_file_names() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    let disk = "address: 10.200.0.12\n      installDisk: /dev/nvme0n1";
    fs::write(
        &file,
        demo_in_memory().replace("address: 10.200.0.12", disk),
    )
    .unwrap();
    let out = directory.path().join("out");
    let targets = ["--target", "pxe", "--target", "metal", "--target", "pxe"];
    let url = ["--url", "http://10.0.0.1:8080"];
    let run = compile(&file, &out, &[&targets[..], &url].concat());
    for argument in [
        "nestos.inst.install_dev=/dev/nvme0n1",
        "nestos.inst.ignition_url=http://10.0.0.1:8080/w1.ign",
    ] {
        let script = read(&out.join("pxe/w1.ipxe"));
        assert!(script.contains(argument), "{script}");
        assert!(!script.contains("ignition.firstboot"), "{script}");
    }
    let script = read(&out.join("pxe/cp1.ipxe"));
    assert!(!script.contains("install_dev"), "{script}");
    for line in [
        "NODE.ign /dev/DISK    # cp1\n",
        "NODE.ign /dev/nvme0n1    # w1\n",
    ] {
        assert!(run.stdout.contains(line), "{}", run.stdout);
    }
}

#[test]
fn pxe_refuses_what_a_node_in_memory_cannot_have() {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    let validate = |os: &str, node: &str, more: &[&str]| {
        let text = demo_in_memory().replace("spec:\n", &format!("spec:\n  os: {{{os}}}\n"));
        let text = text.replace(
            "address: 10.200.0.12",
            &format!("address: 10.200.0.12{node}"),
        );
        fs::write(&cluster_file, text).unwrap();
        nkd(
            directory.path(),
            &[&["validate", "cluster.yaml"], &PXE[..], more].concat(),
        )
    };
    let butane = "variant: fcos\nversion: 1.4.0\nkernel_arguments: {should_not_exist: [quiet]}\n";
    fs::write(directory.path().join("own.bu"), butane).unwrap();
    let image = format!(
        "releaseImage: \"a.example.org/os@sha256:{}\"",
        "0".repeat(64)
    );
    for (os, what) in [
        ("kernelArguments: [nosmt]", "kernel arguments"),
        ("butane: [own.bu]", "kernel arguments"),
        (&image, "`os.releaseImage`"),
    ] {
        let disk = "\n      installDisk: /dev/vda";
        for (node, names) in [("", "cp1, w1"), (disk, "cp1")] {
            let run = validate(os, node, &[]);
            let error =
                format!("error[NKD0410]: {names} would run from memory with pxe, where {what}");
            assert!(run.stderr.contains(&error), "{}", run.stderr);
        }
    }
    let authority = tests().join("clusters/full/report-ca.crt");
    let run = validate(
        "ntp: [a.example.org]",
        "",
        &["--url-ca", authority.to_str().unwrap()],
    );
    assert!(
        run.stderr.contains("`--url-ca` cannot be used"),
        "{}",
        run.stderr
    );
    let run = validate("ntp: [a.example.org]", "", &[]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
}

#[test]
fn an_init_node_that_would_keep_etcd_in_memory_is_refused_unless_the_cluster_file_accepts_it() {
    let directory = tempfile::tempdir().unwrap();
    let refused = validate_for_pxe(directory.path(), &read(&demo()));
    assert_eq!(refused.status, Some(3));
    let error = "error[NKD0410]: the init node cp1 would run from memory with pxe";
    assert!(refused.stderr.contains(error), "{}", refused.stderr);
    for text in [&demo_on_disk(), &demo_in_memory()] {
        let run = validate_for_pxe(directory.path(), text);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
    }
}

/// The demo's cluster file with an init node that is installed to a disk.
fn demo_on_disk() -> String {
    let on_disk = "10.200.0.11\n      installDisk: /dev/vda";
    read(&demo()).replace("10.200.0.11", on_disk)
}

fn validate_for_pxe(directory: &Path, text: &str) -> Run {
    fs::write(directory.join("cluster.yaml"), text).unwrap();
    nkd(
        directory,
        &[&["validate", "cluster.yaml"], &PXE[..]].concat(),
    )
}

#[test]
fn a_power_cut_after_which_etcd_has_no_quorum_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let validate = |text: &str| validate_for_pxe(directory.path(), text);
    let version = "version: v1.20.2";
    let more = demo_on_disk().replace(
        version,
        &format!("{version}\n    endpoint: 10.200.0.10:6443"),
    );
    let cp2 = "name: cp2, role: control-plane, address: 10.200.0.13";
    let cp3 = "name: cp3, role: control-plane, address: 10.200.0.14";
    let on_disk = ", installDisk: /dev/vda";
    let cp4 = format!("name: cp4, role: control-plane, address: 10.200.0.15{on_disk}");
    for (nodes, warning) in [
        (vec![cp2, cp3], Some("cp2, cp3 ends the cluster: 2 of 3")),
        (
            vec![cp2, cp3, &cp4],
            Some("cp2, cp3 ends the cluster: 2 of 4"),
        ),
        (vec![cp2, &cp4], None),
        // The agent repairs etcd where one of two members is left.
        (vec![cp2], None),
    ] {
        let nodes: Vec<_> = nodes
            .iter()
            .map(|node| format!("    - {{{node}}}\n"))
            .collect();
        let run = validate(&(more.clone() + &nodes.concat()));
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        match warning {
            Some(nodes) => {
                let warning = format!("warning[NKD0411]: cluster.yaml:3:1: a power cut of {nodes}");
                assert!(run.stderr.contains(&warning), "{}", run.stderr);
            }
            None => assert!(!run.stderr.contains("NKD0411"), "{}", run.stderr),
        }
    }
    // An external etcd does not depend on what the control planes keep.
    let external = tests().join("clusters/external");
    for name in ["ca.crt", "client.crt", "client.key"] {
        fs::copy(external.join(name), directory.path().join(name)).unwrap();
    }
    let text = read(&external.join("cluster.yaml"));
    let run = validate(&text.replace("VERSION", "v1.31.2"));
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("NKD0411"), "{}", run.stderr);
}

#[test]
fn a_node_cannot_have_the_name_of_a_script() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    let text = demo_in_memory().replace("name: w1", "name: boot");
    fs::write(&file, text).unwrap();
    let compile = ["compile", "cluster.yaml", "-o", "out"];
    let refused = nkd(directory.path(), &[&compile, &PXE[..]].concat());
    assert_eq!(refused.status, Some(3));
    let error = "error[NKD0103]: pxe cannot boot the node boot, because nkd writes a script of its own with the name boot.ipxe";
    assert!(refused.stderr.contains(error), "{}", refused.stderr);
    assert!(!directory.path().join("out").exists());
}

#[test]
fn a_packed_config_is_the_plain_one_on_the_node() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    compile(&demo(), &out, &["--target", "aws"]);
    let entries = |config: &str| -> Vec<_> {
        let entries = nkd::contents::read(config).unwrap();
        let entries = entries.into_iter();
        entries
            .map(|entry| (entry.path, entry.kind, entry.mode, entry.content))
            .collect()
    };
    for node in ["cp1.ign", "w1.ign"] {
        let packed = unpack(&read(&out.join("aws").join(node))).unwrap();
        let plain = read(&out.join("nodes").join(node));
        assert_eq!(entries(&packed), entries(&plain));
    }
}

#[test]
fn control_planes_and_workers_stay_small_on_aws() {
    // Before 1.26 a service account key has to be of RSA, which is nearly 2 KiB.
    for (version, algorithm, control_plane, worker) in [
        ("v1.31.2", "ecdsa-p256", 6 * 1024, 3 * 1024),
        ("v1.20.2", "ecdsa-p256", 8 * 1024, 3 * 1024),
        ("v1.20.2", "rsa-2048", 16_384, 6 * 1024),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let file = demo_with(directory.path(), version, algorithm);
        compile(&file, &out, &["--target", "aws"]);
        for (node, limit) in [("cp1", control_plane), ("w1", worker)] {
            let bytes = read(&out.join(format!("aws/{node}.ign"))).len();
            assert!(bytes <= limit, "{node} with {algorithm}: {bytes}");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_largest_parts() {
    let directory = tempfile::tempdir().unwrap();
    let file = demo_with_noise(directory.path(), 40_000);
    let out = directory.path().join("out");
    let arguments = [
        "-o",
        out.to_str().unwrap(),
        "--target",
        "aws",
        "--target",
        "gcp",
    ];
    let mut compile = vec!["compile", file.to_str().unwrap()];
    compile.extend(arguments);
    let run = nkd(directory.path(), &compile);
    assert_eq!(run.status, Some(4), "{}", run.stderr);
    assert!(run.stderr.contains("NKD0405"), "{}", run.stderr);
    assert!(
        run.stderr.contains("/etc/nkd/addons/00-big.yaml ("),
        "{}",
        run.stderr
    );
    assert!(!out.exists());
    let validate = ["validate", file.to_str().unwrap(), "--target", "aws"];
    assert_eq!(nkd(directory.path(), &validate).status, Some(4));
}

#[test]
fn what_fits_no_node_is_one_error_for_each_carrier() {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    let text = read(&demo()).replace("spec:\n", "spec:\n  os: {butane: [big.bu]}\n");
    fs::write(&cluster_file, text).unwrap();
    let butane = format!(
        "variant: fcos\nversion: 1.4.0\nstorage: {{files: [{{path: /etc/big, contents: {{inline: {}}}}}]}}\n",
        noise(40_000).rsplit(' ').next().unwrap()
    );
    fs::write(directory.path().join("big.bu"), butane).unwrap();
    let arguments = ["validate", "cluster.yaml", "--target", "aws"];
    let run = nkd(directory.path(), &arguments);
    assert_eq!(run.status, Some(4), "{}", run.stderr);
    assert_eq!(run.stderr.matches("error[").count(), 1, "{}", run.stderr);
    let rest = "(another node is too large, too); the largest parts are: /etc/big";
    assert!(run.stderr.contains(rest), "{}", run.stderr);
}

#[test]
fn a_machine_fetches_what_its_carrier_cannot_hold_and_knows_its_hash() {
    let directory = tempfile::tempdir().unwrap();
    let file = demo_with_noise(directory.path(), 40_000);
    let out = directory.path().join("out");
    let authority = tests().join("clusters/full/report-ca.crt");
    let url = ["--target", "aws", "--url", "https://files.example.org/n"];
    let authority = ["--url-ca", authority.to_str().unwrap()];
    compile(&file, &out, &[url.as_slice(), &authority].concat());
    takes(&out.join("aws"));
    let pointer: Value = serde_json::from_str(&read(&out.join("aws/cp1.ign"))).unwrap();
    let resource = &pointer["ignition"]["config"]["merge"][0];
    assert_eq!(resource["source"], "https://files.example.org/n/cp1.ign");
    let nodes = out.join("nodes/cp1.ign");
    let sum = common::program(
        "/usr/bin/sha256sum",
        "coreutils",
        &[nodes.to_str().unwrap()],
    );
    let sum = sum.stdout.split(' ').next().unwrap().to_owned();
    assert_eq!(resource["verification"]["hash"], format!("sha256-{sum}"));
    assert!(pointer["ignition"]["security"]["tls"].is_object());
    // Nothing but what doesn't fit has to be fetched.
    assert!(unpack(&read(&out.join("aws/w1.ign"))).is_ok());
}

#[test]
fn what_carriers_need_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    fs::write(&file, demo_in_memory()).unwrap();
    let validate = ["validate", "cluster.yaml", "--target"];
    let status = |more: &[&str]| nkd(directory.path(), &[&validate, more].concat()).status;
    assert_eq!(status(&["pxe"]), Some(2));
    assert_eq!(status(&["floppy"]), Some(2));
    assert_eq!(status(&["pxe", "--url", "ftp://x"]), Some(1));
    assert_eq!(status(&["pxe", "--url", "http://x"]), Some(0));
}
