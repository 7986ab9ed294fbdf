//! What the testbed needs of the machine it runs on.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;

/// A file that shows whether a Debian package is there, and the package.
const PACKAGES: &[(&str, &str)] = &[
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/bin/systemd-nspawn", "systemd-container"),
    ("/usr/bin/ignition-validate", "ignition"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/skopeo", "skopeo"),
    ("/usr/bin/docker-registry", "docker-registry"),
    ("/usr/bin/etcd", "etcd-server"),
    ("/usr/bin/aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    (
        "/usr/aarch64-linux-gnu/include/stdio.h",
        "libc6-dev-arm64-cross",
    ),
    ("/usr/bin/qemu-aarch64-static", "qemu-user-static"),
    ("/usr/bin/openssl", "openssl"),
    ("/usr/bin/faketime", "faketime"),
    ("/usr/bin/dbus-daemon", "dbus-daemon"),
    ("/usr/bin/curl", "curl"),
    ("/usr/sbin/nginx", "nginx-light"),
    ("/usr/sbin/mkfs.ext4", "e2fsprogs"),
    ("/usr/sbin/mkfs.xfs", "xfsprogs"),
    ("/usr/sbin/losetup", "mount"),
    ("/usr/bin/gcc", "gcc"),
    ("/usr/bin/g++", "g++"),
    ("/usr/lib/x86_64-linux-gnu/libc.a", "libc6-dev"),
    (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
    ("/usr/bin/dpkg-source", "dpkg-dev"),
    ("/usr/bin/python3", "python3"),
];

/// Says in one line what is missing that a package can't give, and installs the packages.
pub fn ensure() -> Result<()> {
    system()?;
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("testbed: installing {}", missing.join(" "));
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], &*missing].concat())
        .with_context(|| format!("can't install {}", missing.join(" ")))
}

fn system() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the testbed needs root, because it makes namespaces, mounts and cgroups");
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let has = |line: &str| release.lines().any(|found| found == line);
    if !(has("ID=debian") && has("VERSION_ID=\"12\"")) {
        bail!("the testbed needs Debian 12, whose packages it builds the nodes from");
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!("the testbed needs an x86-64 machine");
    }
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    command::check(
        Command::new("apt-get")
            .arg("--quiet")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
    .map(drop)
}
