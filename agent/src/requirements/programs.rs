//! Programs.

use std::ops::RangeInclusive;

/// The programs that the agent runs on every node. It also runs the client program of the container runtime.
pub(crate) const AGENT_PROGRAMS: [&str; 2] = ["systemctl", "kubeadm"];

/// The program with which the agent applies manifests on the init node.
pub(crate) const ADDONS_PROGRAM: &str = "kubectl";

/// A program that the preflight checks of kubeadm look for.
#[derive(Debug)]
pub(crate) struct Preflight {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether kubeadm fails without it. Otherwise it prints a warning.
    pub(crate) required: bool,
    /// The minor versions of Kubernetes whose kubeadm looks for it.
    minors: RangeInclusive<u32>,
}

const fn required(name: &'static str, first: u32, last: u32) -> Preflight {
    Preflight {
        name,
        required: true,
        minors: first..=last,
    }
}

const fn useful(name: &'static str, last: u32) -> Preflight {
    Preflight {
        name,
        required: false,
        minors: 0..=last,
    }
}

/// The programs that kubeadm looks for (Kubernetes, `cmd/kubeadm/app/preflight/checks_linux.go`). Dockershim
/// needs no crictl. The changes are kubernetes#124685 (crictl), #126953 (conntrack), #127151 (socat, ebtables),
/// #129131 (ip, iptables, ethtool, tc), #129450 (nsenter, losetup) and #130045 (cp).
const PREFLIGHT: [Preflight; 13] = [
    required("crictl", 0, 30),
    required("conntrack", 0, 31),
    required("ip", 0, 32),
    required("iptables", 0, 32),
    required("nsenter", 0, 32),
    required("mount", 0, u32::MAX),
    required("losetup", 33, u32::MAX),
    required("cp", 33, u32::MAX),
    useful("ebtables", 31),
    useful("socat", 31),
    useful("ethtool", 32),
    useful("tc", 32),
    useful("touch", 32),
];

/// The programs that kubeadm of this minor version of Kubernetes looks for.
pub(crate) fn preflight(minor: u32) -> impl Iterator<Item = &'static Preflight> {
    let looks_for = move |program: &&Preflight| program.minors.contains(&minor);
    PREFLIGHT.iter().filter(looks_for)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_release_of_kubeadm_looks_for_its_own_programs() {
        let names = |minor, required| {
            let programs = preflight(minor).filter(|program| program.required == required);
            let names: Vec<_> = programs.map(|program| program.name).collect();
            names.join(" ")
        };
        assert_eq!(
            names(20, true),
            "crictl conntrack ip iptables nsenter mount"
        );
        assert_eq!(names(31, true), "conntrack ip iptables nsenter mount");
        assert_eq!(names(32, true), "ip iptables nsenter mount");
        assert_eq!(names(33, true), "mount losetup cp");
        assert_eq!(names(31, false), "ebtables socat ethtool tc touch");
        assert_eq!(names(32, false), "ethtool tc touch");
        assert_eq!(names(33, false), "");
    }
}
