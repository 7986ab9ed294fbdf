//! The keyfiles that nkd writes, read by the library of `NetworkManager`.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Run, compile, ignition, program, tests, text};

/// Has libnm read keyfiles.
fn read(keyfiles: &[PathBuf]) -> Run {
    let library = "/usr/lib/x86_64-linux-gnu/girepository-1.0/NM-1.0.typelib";
    assert!(
        Path::new(library).exists(),
        "install Debian's packages gir1.2-nm-1.0 and python3-gi to run this test"
    );
    let script = tests().join("keyfiles/read.py");
    let paths = keyfiles.iter().map(|path| path.to_str().unwrap());
    let arguments: Vec<_> = [script.to_str().unwrap()]
        .into_iter()
        .chain(paths)
        .collect();
    program("/usr/bin/python3", "python3", &arguments)
}

/// Compiles a cluster, and writes the keyfiles of all its nodes.
fn keyfiles(cluster: &str, directory: &Path) -> Vec<PathBuf> {
    let from = tests().join("clusters").join(cluster);
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, directory.join(path.file_name().unwrap())).unwrap();
        }
    }
    let cluster_file = directory.join("cluster.yaml");
    let file = fs::read_to_string(&cluster_file).unwrap();
    let file = file
        .replace("VERSION", "v1.31.2")
        .replace("KUBEADM", "v1beta4");
    fs::write(&cluster_file, file).unwrap();
    let out = directory.join("out");
    compile(&cluster_file, &out, &[]);
    let mut keyfiles = Vec::new();
    for entry in fs::read_dir(out.join("nodes")).unwrap() {
        let node = entry.unwrap().path();
        let node = node.file_stem().unwrap().to_str().unwrap().to_owned();
        let config = ignition(&out, &node);
        for file in config["storage"]["files"].as_array().unwrap() {
            let path = Path::new(file["path"].as_str().unwrap());
            if path
                .extension()
                .is_some_and(|extension| extension == "nmconnection")
            {
                let name = path.file_name().unwrap().to_str().unwrap();
                let keyfile = directory.join(format!("{node}-{name}"));
                fs::write(&keyfile, text(&file["contents"])).unwrap();
                keyfiles.push(keyfile);
            }
        }
    }
    keyfiles
}

#[test]
fn network_manager_reads_every_setting_in_the_keyfiles() {
    for (cluster, count) in [("full", 2), ("network", 11)] {
        let directory = tempfile::tempdir().unwrap();
        let keyfiles = keyfiles(cluster, directory.path());
        assert_eq!(keyfiles.len(), count, "{keyfiles:?}");
        let run = read(&keyfiles);
        assert_eq!(run.status, Some(0), "{}{}", run.stdout, run.stderr);
    }
}

#[test]
fn what_network_manager_ignores_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let keyfile = directory.path().join("a.nmconnection");
    let sound = "[connection]\nid=a\ntype=bond\ninterface-name=a\n\n[bond]\nmode=802.3ad\n";
    for (more, problem) in [
        ("", None),
        ("lacp-rate=fast\n", Some("lacp-rate")),
        ("lacp_rate=never\n", Some("lacp_rate")),
        ("\n[ipv4]\nmethod=auto\nroute=x\n", Some("route")),
        (
            "\n[ipv6]\nmethod=disabled\ngateway=fe80::1\n",
            Some("gateway"),
        ),
    ] {
        fs::write(&keyfile, format!("{sound}{more}")).unwrap();
        let run = read(std::slice::from_ref(&keyfile));
        assert_eq!(
            run.status,
            Some(i32::from(problem.is_some())),
            "{more}{}",
            run.stderr
        );
        assert!(
            run.stdout.contains(problem.unwrap_or_default()),
            "{}",
            run.stdout
        );
    }
}
