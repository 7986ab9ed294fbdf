//! The images of each Kubernetes version: what `kubeadm config images list` prints, known without
//! kubeadm, and everything else that a cluster runs.

mod closure;
pub mod manifest;
mod planned;

pub use closure::Closure;
pub use planned::Planned;

use serde_json::Value;

use crate::image_name;
use nkd_model::version::Version;

/// Tags that come with a Kubernetes version.
struct Tags {
    /// First version with them.
    since: Version,
    etcd: &'static str,
    coredns: &'static str,
    pause: &'static str,
}

const fn tags(
    (minor, patch): (u32, u32),
    etcd: &'static str,
    coredns: &'static str,
    pause: &'static str,
) -> Tags {
    Tags {
        since: Version { minor, patch },
        etcd,
        coredns,
        pause,
    }
}

/// From `cmd/kubeadm/app/constants/constants.go` of the releases (`DefaultEtcdVersion`,
/// `CoreDNSVersion`, `PauseVersion`): up to v1.31.2 as minikube's generated `KubeadmImages` has
/// them, later ones from printed `kubeadm config images list`s (1.32.13, 1.33.0, 1.36.4) and the
/// backports of etcd 3.5.24 of November 2025. Ascending; a row holds until the next one.
const TAGS: [Tags; 41] = [
    tags((20, 0), "3.4.13-0", "1.7.0", "3.2"),
    tags((21, 0), "3.4.13-0", "v1.8.0", "3.4.1"),
    tags((22, 0), "3.5.0-0", "v1.8.4", "3.5"),
    tags((22, 17), "3.5.6-0", "v1.8.4", "3.5"),
    tags((23, 0), "3.5.1-0", "v1.8.6", "3.6"),
    tags((23, 14), "3.5.5-0", "v1.8.6", "3.6"),
    tags((23, 15), "3.5.6-0", "v1.8.6", "3.6"),
    tags((24, 0), "3.5.3-0", "v1.8.6", "3.7"),
    tags((24, 8), "3.5.5-0", "v1.8.6", "3.7"),
    tags((24, 9), "3.5.6-0", "v1.8.6", "3.7"),
    tags((25, 0), "3.5.4-0", "v1.9.3", "3.8"),
    tags((25, 4), "3.5.5-0", "v1.9.3", "3.8"),
    tags((25, 5), "3.5.6-0", "v1.9.3", "3.8"),
    tags((25, 15), "3.5.9-0", "v1.9.3", "3.8"),
    tags((26, 0), "3.5.6-0", "v1.9.3", "3.9"),
    tags((26, 10), "3.5.9-0", "v1.9.3", "3.9"),
    tags((26, 13), "3.5.10-0", "v1.9.3", "3.9"),
    tags((27, 0), "3.5.7-0", "v1.10.1", "3.9"),
    tags((27, 7), "3.5.9-0", "v1.10.1", "3.9"),
    tags((27, 10), "3.5.10-0", "v1.10.1", "3.9"),
    tags((27, 12), "3.5.12-0", "v1.10.1", "3.9"),
    tags((28, 0), "3.5.9-0", "v1.10.1", "3.9"),
    tags((28, 6), "3.5.10-0", "v1.10.1", "3.9"),
    tags((28, 8), "3.5.12-0", "v1.10.1", "3.9"),
    tags((28, 14), "3.5.15-0", "v1.10.1", "3.9"),
    tags((29, 0), "3.5.10-0", "v1.11.1", "3.9"),
    tags((29, 3), "3.5.12-0", "v1.11.1", "3.9"),
    tags((29, 9), "3.5.15-0", "v1.11.1", "3.9"),
    tags((30, 0), "3.5.12-0", "v1.11.1", "3.9"),
    tags((30, 5), "3.5.15-0", "v1.11.3", "3.9"),
    tags((31, 0), "3.5.15-0", "v1.11.1", "3.10"),
    tags((31, 1), "3.5.15-0", "v1.11.3", "3.10"),
    tags((31, 14), "3.5.24-0", "v1.11.3", "3.10"),
    tags((32, 0), "3.5.16-0", "v1.11.3", "3.10"),
    tags((32, 10), "3.5.24-0", "v1.11.3", "3.10"),
    tags((33, 0), "3.5.21-0", "v1.12.0", "3.10"),
    tags((33, 6), "3.5.24-0", "v1.12.0", "3.10"),
    tags((34, 0), "3.6.4-0", "v1.12.1", "3.10.1"),
    tags((34, 2), "3.6.5-0", "v1.12.1", "3.10.1"),
    tags((35, 0), "3.6.6-0", "v1.13.1", "3.10.1"),
    tags((36, 0), "3.6.8-0", "v1.14.2", "3.10.2"),
];

fn tags_of(version: Version) -> &'static Tags {
    let later = TAGS.partition_point(|row| row.since <= version);
    // A version older than the table can't be parsed in the first place.
    &TAGS[later.saturating_sub(1)]
}

/// Where a version's images are unless the user says otherwise. kubeadm's own default moved to
/// registry.k8s.io with 1.25 and with the last patches before it (Kubernetes blog, "k8s.gcr.io
/// Redirect to registry.k8s.io", 2023-03-10).
pub fn default_repository(version: Option<Version>) -> &'static str {
    let moved = version.is_none_or(|version| match version.minor {
        ..=21 => false,
        22 => version.patch >= 17,
        23 => version.patch >= 15,
        24 => version.patch >= 9,
        _ => true,
    });
    if moved {
        "registry.k8s.io"
    } else {
        "k8s.gcr.io"
    }
}

/// The image of pod sandboxes.
pub fn sandbox(version: Option<Version>, repository: &str) -> String {
    let pause = version.map_or("3.10", |version| tags_of(version).pause);
    image_name::full(&format!("{repository}/pause:{pause}"))
}

/// What of kubeadm's configuration decides on images.
#[derive(Debug, Clone)]
pub struct Configured {
    version: Version,
    repository: String,
    dns: (Option<String>, Option<String>),
    etcd: (Option<String>, Option<String>),
    external_etcd: bool,
}

impl Configured {
    /// Reads a `ClusterConfiguration`.
    pub fn of(configuration: &Value, version: Version) -> Self {
        let text = |value: &Value| {
            let text = value.as_str().filter(|it| !it.is_empty());
            text.map(str::to_owned)
        };
        let own = |part: &Value| (text(&part["imageRepository"]), text(&part["imageTag"]));
        let repository = text(&configuration["imageRepository"]);
        Self {
            version,
            repository: repository.unwrap_or_else(|| default_repository(Some(version)).to_owned()),
            dns: own(&configuration["dns"]),
            etcd: own(&configuration["etcd"]["local"]),
            external_etcd: configuration["etcd"]["external"].is_object(),
        }
    }

    /// The repository of Kubernetes' own images.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The image of the etcd that kubeadm runs, if it does.
    pub fn etcd(&self) -> Option<String> {
        if self.external_etcd {
            return None;
        }
        let (repository, tag) = &self.etcd;
        let repository = repository.as_ref().unwrap_or(&self.repository);
        let tag = tag.as_deref().unwrap_or(tags_of(self.version).etcd);
        Some(image_name::full(&format!("{repository}/etcd:{tag}")))
    }

    /// From 1.21 `CoreDNS` has a path of its own in Kubernetes' registry, but only there: in any
    /// other repository kubeadm looks for it right beneath (`GetDNSImage`).
    fn coredns(&self) -> String {
        let (repository, tag) = &self.dns;
        let repository = repository.as_ref().unwrap_or(&self.repository);
        let tag = tag.as_deref().unwrap_or(tags_of(self.version).coredns);
        let is_default = *repository == default_repository(Some(self.version));
        let path = if self.version.minor >= 21 && is_default {
            "coredns/coredns"
        } else {
            "coredns"
        };
        image_name::full(&format!("{repository}/{path}:{tag}"))
    }
}

/// What a node that joins as a worker runs, by full names.
pub fn worker(of: &Configured) -> Vec<String> {
    let Configured {
        version,
        repository,
        ..
    } = of;
    vec![
        image_name::full(&format!("{repository}/kube-proxy:{version}")),
        sandbox(Some(*version), repository),
        of.coredns(),
    ]
}

/// What a control plane runs, by full names.
pub fn control_plane(of: &Configured) -> Vec<String> {
    let mut images: Vec<_> = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ]
    .iter()
    .map(|name| image_name::full(&format!("{}/{name}:{}", of.repository, of.version)))
    .collect();
    images.extend(worker(of));
    images.extend(of.etcd());
    images
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Configured, TAGS, control_plane, worker};
    use nkd_model::version::{NEWEST_MINOR, OLDEST_MINOR, Version};

    #[test]
    fn every_minor_version_has_a_row_of_its_own_in_order() {
        assert!(TAGS.windows(2).all(|two| two[0].since < two[1].since));
        for minor in OLDEST_MINOR..=NEWEST_MINOR {
            assert!(
                TAGS.iter()
                    .any(|row| row.since == Version { minor, patch: 0 }),
                "1.{minor}"
            );
        }
    }

    #[test]
    fn a_repository_of_dockers_is_named_in_full() {
        let version = Version {
            minor: 31,
            patch: 2,
        };
        let short = json!({"imageRepository": "mirror", "dns": {"imageRepository": "other/dns"}});
        assert_eq!(
            worker(&Configured::of(&short, version)),
            [
                "docker.io/mirror/kube-proxy:v1.31.2",
                "docker.io/mirror/pause:3.10",
                "docker.io/other/dns/coredns:v1.11.3",
            ]
        );
    }

    #[test]
    fn images_of_1_20_2_are_what_its_kubeadm_lists() {
        let version = Version {
            minor: 20,
            patch: 2,
        };
        assert_eq!(
            control_plane(&Configured::of(&json!({}), version)),
            [
                "k8s.gcr.io/kube-apiserver:v1.20.2",
                "k8s.gcr.io/kube-controller-manager:v1.20.2",
                "k8s.gcr.io/kube-scheduler:v1.20.2",
                "k8s.gcr.io/kube-proxy:v1.20.2",
                "k8s.gcr.io/pause:3.2",
                "k8s.gcr.io/coredns:1.7.0",
                "k8s.gcr.io/etcd:3.4.13-0",
            ]
        );
    }

    #[test]
    fn coredns_is_right_beneath_any_other_repository() {
        let version = Version {
            minor: 31,
            patch: 2,
        };
        let coredns = |configuration| worker(&Configured::of(&configuration, version))[2].clone();
        assert_eq!(
            coredns(json!({})),
            "registry.k8s.io/coredns/coredns:v1.11.3"
        );
        assert_eq!(
            coredns(json!({"imageRepository": "r.example.org/k8s"})),
            "r.example.org/k8s/coredns:v1.11.3"
        );
    }

    #[test]
    fn the_users_own_dns_and_etcd_take_the_place_of_kubeadms() {
        let version = Version {
            minor: 31,
            patch: 2,
        };
        let configuration = json!({
            "imageRepository": "r.example.org/k8s",
            "dns": {"imageRepository": "r.example.org/dns", "imageTag": "v1"},
            "etcd": {"local": {"imageTag": "3.9"}},
        });
        let images = control_plane(&Configured::of(&configuration, version));
        assert!(images.contains(&"r.example.org/dns/coredns:v1".to_owned()));
        assert!(images.contains(&"r.example.org/k8s/etcd:3.9".to_owned()));
        let configuration = json!({"etcd": {"external": {}}});
        let images = control_plane(&Configured::of(&configuration, version));
        assert!(!images.iter().any(|it| it.contains("/etcd:")));
    }
}
