//! The system extension of Kubernetes, made from programs that stand for those of a release.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use packages::command::run;
use packages::sysext::Compression;
use packages::{Architecture, KubernetesExtension, Release};

fn program(directory: &Path, name: &str, contents: &[u8]) {
    fs::create_dir_all(directory).unwrap();
    let file = directory.join(name);
    fs::write(&file, contents).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A release whose programs are for the machine that the tests run on.
fn release(directory: &Path) -> KubernetesExtension {
    let this = fs::read("/proc/self/exe").unwrap();
    let [programs, cni_plugins] = ["bin", "cni"].map(|name| directory.join(name));
    program(&programs, "kubelet", &this);
    for name in ["crictl", "kubeadm", "kubectl"] {
        program(&programs, name, b"#!/bin/sh\n");
    }
    // It is in the images.
    program(&programs, "kube-apiserver", b"#!/bin/sh\n");
    for name in ["loopback", "bridge"] {
        program(&cni_plugins, name, b"#!/bin/sh\n");
    }
    fs::write(cni_plugins.join("LICENSE"), "Apache-2.0").unwrap();
    program(directory, "conntrack", b"#!/bin/sh\n");
    KubernetesExtension {
        version: "v1.31.3".to_owned(),
        architecture: Architecture::ALL
            .into_iter()
            .find(|architecture| architecture.name() == std::env::consts::ARCH)
            .unwrap(),
        programs,
        cni_plugins,
        others: vec![directory.join("conntrack")],
    }
}

fn build(extension: &KubernetesExtension, image: &Path) -> Result<(), String> {
    let release = Release::with_changes().unwrap();
    let built = extension.build(&release, Compression::Small, image);
    built.map_err(|error| format!("{error:#}"))
}

#[test]
fn the_extension_of_kubernetes_has_what_nodes_need_and_the_same_bytes_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let extension = release(directory.path());
    let images = ["one.raw", "two.raw"].map(|name| directory.path().join(name));
    for image in &images {
        build(&extension, image).unwrap();
    }
    let [one, two] = images.each_ref().map(|image| fs::read(image).unwrap());
    assert!(one == two);

    let root = directory.path().join("root");
    let options = ["-quiet", "-no-progress", "-dest"].map(AsRef::as_ref);
    let paths = [root.as_path(), &images[0]].map(Path::as_os_str);
    run("unsquashfs", options.into_iter().chain(paths)).unwrap();
    let found = run("find", [&*root.to_string_lossy(), "-type", "f"]).unwrap();
    let mut found: Vec<_> = found
        .lines()
        .map(|path| {
            Path::new(path)
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
        })
        .collect();
    found.sort_unstable();
    let expected = [
        "usr/bin/conntrack",
        "usr/bin/crictl",
        "usr/bin/kubeadm",
        "usr/bin/kubectl",
        "usr/bin/kubelet",
        "usr/lib/extension-release.d/extension-release.kubernetes",
        "usr/lib/tmpfiles.d/kubernetes-cni.conf",
        "usr/libexec/cni/bridge",
        "usr/libexec/cni/loopback",
    ];
    assert_eq!(found, expected);
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let metadata = read("usr/lib/extension-release.d/extension-release.kubernetes");
    let architecture = match extension.architecture {
        Architecture::X86_64 => "x86-64",
        Architecture::Aarch64 => "arm64",
    };
    assert_eq!(
        metadata,
        format!("ID=_any\nARCHITECTURE={architecture}\nNKD_KUBERNETES_VERSION=v1.31.3\n")
    );
    let copies = read("usr/lib/tmpfiles.d/kubernetes-cni.conf");
    let copies: Vec<_> = copies
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let expected = [
        "C /opt/cni/bin/bridge - - - - /usr/libexec/cni/bridge",
        "C /opt/cni/bin/loopback - - - - /usr/libexec/cni/loopback",
    ];
    assert_eq!(copies, expected);
}

#[test]
fn a_release_that_is_incomplete_or_for_another_architecture_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("kubernetes.raw");
    let extension = release(directory.path());
    let refused = |change: fn(&mut KubernetesExtension)| {
        let mut changed = extension.clone();
        change(&mut changed);
        build(&changed, &image).unwrap_err()
    };
    let error = refused(|extension| extension.version = "1.31".to_owned());
    assert!(error.starts_with("1.31 is not a version"), "{error}");
    let error = refused(|extension| {
        let mut others = Architecture::ALL.into_iter();
        extension.architecture = others
            .find(|other| *other != extension.architecture)
            .unwrap();
    });
    assert!(error.contains("kubelet is not a program for"), "{error}");
    let error = refused(|extension| extension.cni_plugins = "/nowhere".into());
    assert!(error.starts_with("cannot read /nowhere"), "{error}");
    let error = refused(|extension| extension.programs = extension.cni_plugins.clone());
    assert!(error.contains("cni/crictl"), "{error}");
    assert!(!image.exists());
}
