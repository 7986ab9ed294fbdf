//! Kubernetes versions, and the differences between them that matter to nkd.

use std::fmt;

/// A released Kubernetes version, 1.x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The minor version.
    pub minor: u32,
    /// The patch version.
    pub patch: u32,
}

/// A version of the `kubeadm.k8s.io` API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KubeadmApi {
    /// Kubernetes 1.20 and 1.21.
    V1Beta2,
    /// Kubernetes 1.22 to 1.30.
    V1Beta3,
    /// Kubernetes 1.31 and newer.
    V1Beta4,
}

impl KubeadmApi {
    /// The name, as in `apiVersion`.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::V1Beta2 => "kubeadm.k8s.io/v1beta2",
            Self::V1Beta3 => "kubeadm.k8s.io/v1beta3",
            Self::V1Beta4 => "kubeadm.k8s.io/v1beta4",
        }
    }

    /// The versions in which overlays may be written if nodes read this one: itself, and v1beta3 for v1beta4, because
    /// kubeadm 1.31 to 1.35 reads both.
    pub fn overlays(self) -> impl Iterator<Item = Self> {
        let older = (self == Self::V1Beta4).then_some(Self::V1Beta3);
        [self].into_iter().chain(older)
    }
}

impl Version {
    /// Parses `v1.31.2` or `1.31.2`. The error states what is wrong. The caller checks whether nkd supports the
    /// minor version.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            let canonical = part == "0" || !part.starts_with('0');
            if digits && canonical {
                part.parse().ok()
            } else {
                None
            }
        };
        let parts: Vec<Option<u32>> = text
            .strip_prefix('v')
            .unwrap_or(text)
            .split('.')
            .map(number)
            .collect();
        let [Some(major), Some(minor), Some(patch)] = parts[..] else {
            return Err(format!("`{text}` is not a version with three numbers"));
        };
        if major != 1 {
            return Err(format!("Kubernetes {major}.{minor} is not supported"));
        }
        Ok(Self { minor, patch })
    }

    /// The API version that kubeadm of this version prefers. kubeadm 1.29 and 1.30 contain the types of
    /// v1beta4 but do not accept them; 1.36 no longer accepts v1beta3.
    pub const fn kubeadm_api(self) -> KubeadmApi {
        match self.minor {
            ..=21 => KubeadmApi::V1Beta2,
            22..=30 => KubeadmApi::V1Beta3,
            _ => KubeadmApi::V1Beta4,
        }
    }

    /// Whether kubeadm requires a scheme in its CRI socket.
    pub const fn cri_socket_has_scheme(self) -> bool {
        self.minor >= 24
    }

    /// The kubeconfig that kube-vip uses on the init node. From 1.29 on, admin.conf has rights only after
    /// `kubeadm init` has granted them. To grant them, `kubeadm init` needs the endpoint's address, which
    /// kube-vip has to set (kube-vip issue 684).
    pub const fn init_kubeconfig(self) -> &'static str {
        if self.minor >= 29 {
            "/etc/kubernetes/super-admin.conf"
        } else {
            "/etc/kubernetes/admin.conf"
        }
    }

    /// Whether joining control planes accept only an RSA key for service accounts (kubernetes#112508,
    /// fixed in 1.26).
    pub const fn needs_rsa_service_account(self) -> bool {
        self.minor < 26
    }

    /// Whether kubeadm adds etcd members as learners only if the feature gate `EtcdLearnerMode` is on
    /// (alpha in 1.27 and 1.28, on by default from 1.29).
    pub const fn has_learner_mode_off(self) -> bool {
        matches!(self.minor, 27 | 28)
    }

    /// Whether kubelet refuses cgroups v1 unless `failCgroupV1` is false (kubelet 1.35).
    pub const fn refuses_cgroups_v1(self) -> bool {
        self.minor >= 35
    }

    /// Whether kube-proxy has the mode nftables only with its feature gate (kube-proxy 1.29 and 1.30; on by default
    /// from 1.31).
    pub const fn has_nftables_off(self) -> bool {
        matches!(self.minor, 29 | 30)
    }

    /// Whether kube-proxy's mode ipvs is deprecated (KEP 5495, in 1.35).
    pub const fn deprecates_ipvs(self) -> bool {
        self.minor >= 35
    }

    /// Whether kubeadm's configuration can name a directory of patches (`patches.directory`, v1beta3). If not,
    /// kubeadm has the argument `--experimental-patches`, from 1.19 on.
    pub fn configures_patches(self) -> bool {
        self.kubeadm_api() >= KubeadmApi::V1Beta3
    }

    /// Whether kubeadm patches a node's copy of the kubelet configuration that all nodes share (`patches` with the
    /// target `kubeletconfiguration`, kubernetes#110405, in 1.25).
    pub const fn patches_kubelet(self) -> bool {
        self.minor >= 25
    }

    /// Whether kubelet keeps images that the runtime reports as pinned. kubelet has this feature from
    /// 1.23 on, but ignored the report until kubernetes#119986, in 1.29 and in later patch versions of
    /// 1.25 to 1.28.
    pub const fn keeps_pinned_images(self) -> bool {
        match self.minor {
            ..=24 => false,
            25 => self.patch >= 14,
            26 => self.patch >= 9,
            27 => self.patch >= 6,
            28 => self.patch >= 2,
            _ => true,
        }
    }

    /// The group that kubeadm binds to cluster-admin. Before 1.29, administrators are in
    /// `system:masters`, whose rights RBAC cannot limit.
    pub const fn admin_group(self) -> &'static str {
        if self.minor >= 29 {
            "kubeadm:cluster-admins"
        } else {
            "system:masters"
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}", self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::{KubeadmApi, Version};

    #[test]
    fn versions_are_read_with_and_without_v() {
        let expected = Version {
            minor: 20,
            patch: 2,
        };
        assert_eq!(Version::parse("v1.20.2"), Ok(expected));
        assert_eq!(Version::parse("1.20.2"), Ok(expected));
        assert_eq!(expected.to_string(), "v1.20.2");
        for wrong in ["", "v", "1.20", "1.20.2.1", "2.20.0", "1.020.2", "1.20.x"] {
            assert!(Version::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_version_has_its_kubeadm_api() {
        let api = |minor| Version { minor, patch: 0 }.kubeadm_api();
        assert_eq!(
            [20, 21, 22, 30, 31, 36].map(api),
            [
                KubeadmApi::V1Beta2,
                KubeadmApi::V1Beta2,
                KubeadmApi::V1Beta3,
                KubeadmApi::V1Beta3,
                KubeadmApi::V1Beta4,
                KubeadmApi::V1Beta4
            ]
        );
    }
}
