//! What the testbed needs of the machine it runs on.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use packages::command;

/// What is to be done on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To build a release and an image, and to boot machines from it: what the demo does.
    Machines,
    /// To run the tests, which have machines, and registries, servers and other disks beside them.
    Tests,
    /// To build and run the agent's tests for aarch64.
    Aarch64,
}

/// A file that shows whether a Debian package is there, and the package.
type Packages = &'static [(&'static str, &'static str)];

const MACHINES: Packages = &[
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/bin/systemd-nspawn", "systemd-container"),
    ("/usr/bin/ignition-validate", "ignition"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/openssl", "openssl"),
    ("/usr/sbin/mkfs.ext4", "e2fsprogs"),
    ("/usr/sbin/losetup", "mount"),
    ("/usr/bin/gcc", "gcc"),
    ("/usr/lib/x86_64-linux-gnu/libc.a", "libc6-dev"),
    (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
    ("/usr/bin/dpkg-source", "dpkg-dev"),
];

const TESTS: Packages = &[
    ("/usr/bin/skopeo", "skopeo"),
    ("/usr/bin/docker-registry", "docker-registry"),
    ("/usr/bin/etcd", "etcd-server"),
    ("/usr/bin/dbus-daemon", "dbus-daemon"),
    ("/usr/bin/curl", "curl"),
    ("/usr/sbin/nginx", "nginx-light"),
    ("/usr/sbin/dnsmasq", "dnsmasq-base"),
    ("/usr/lib/ipxe/ipxe.efi", "ipxe"),
    ("/usr/sbin/mkfs.xfs", "xfsprogs"),
    ("/usr/bin/g++", "g++"),
    ("/usr/bin/python3", "python3"),
    ("/usr/bin/faketime", "faketime"),
    ("/usr/bin/rpmbuild", "rpm"),
    ("/usr/bin/rpmlint", "rpmlint"),
    ("/usr/bin/mksquashfs", "squashfs-tools"),
    ("/usr/bin/zstd", "zstd"),
    ("/usr/bin/buildah", "buildah"),
    ("/bin/busybox", "busybox-static"),
    ("/usr/bin/mcopy", "mtools"),
    // For the installer of Fedora CoreOS.
    ("/usr/bin/pkg-config", "pkg-config"),
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
    ("/usr/include/lzma.h", "liblzma-dev"),
    ("/usr/include/zstd.h", "libzstd-dev"),
    ("/usr/bin/genisoimage", "genisoimage"),
    ("/usr/lib/python3/dist-packages/gi", "python3-gi"),
    // The library of NetworkManager without its daemon, which would change the machine's network.
    (
        "/usr/lib/x86_64-linux-gnu/girepository-1.0/NM-1.0.typelib",
        "gir1.2-nm-1.0",
    ),
];

const AARCH64: Packages = &[
    ("/usr/bin/aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    (
        "/usr/aarch64-linux-gnu/include/stdio.h",
        "libc6-dev-arm64-cross",
    ),
    ("/usr/bin/qemu-aarch64-static", "qemu-user-static"),
];

impl Purpose {
    const fn packages(self) -> &'static [Packages] {
        match self {
            Self::Machines => &[MACHINES],
            Self::Tests => &[MACHINES, TESTS],
            Self::Aarch64 => &[AARCH64],
        }
    }
}

/// Installs the packages that are missing.
///
/// # Errors
/// Something is missing that no package has: root, Debian 12, an x86-64 machine. Or a package can't be
/// installed.
pub fn ensure(purpose: Purpose) -> Result<()> {
    system()?;
    let all = purpose.packages().iter().copied().flatten();
    let missing: Vec<&str> = all
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_installs_neither_cross_compilers_nor_servers() {
        let asks = |purpose: Purpose, package: &str| {
            let all = purpose.packages().iter().copied().flatten();
            all.into_iter().any(|(_, name)| *name == package)
        };
        for package in ["docker-registry", "nginx-light", "skopeo"] {
            assert!(asks(Purpose::Tests, package) && !asks(Purpose::Machines, package));
        }
        for package in ["gcc-aarch64-linux-gnu", "qemu-user-static"] {
            assert!(asks(Purpose::Aarch64, package));
            assert!(!asks(Purpose::Tests, package) && !asks(Purpose::Machines, package));
        }
    }
}
