use serde_json::Value;

use crate::image_name;
use nkd_model::KubernetesImages;
use nkd_model::version::Version;

/// Where a version's images are unless the user configures another place. kubeadm's own default moved to
/// registry.k8s.io with 1.25 and with the last patches before it (Kubernetes blog, "k8s.gcr.io
/// Redirect to registry.k8s.io", 2023-03-10).
pub fn default_repository(version: Version) -> &'static str {
    let has_moved = match version.minor {
        ..=21 => false,
        22 => version.patch >= 17,
        23 => version.patch >= 15,
        24 => version.patch >= 9,
        _ => true,
    };
    if has_moved {
        "registry.k8s.io"
    } else {
        "k8s.gcr.io"
    }
}

/// The pause image, which holds a pod together, as kubeadm names it.
pub fn pause(images: &KubernetesImages, repository: &str) -> String {
    image_name::full(&format!("{repository}/pause:{}", images.pause_tag))
}

/// What decides on the images of Kubernetes: its version, and kubeadm's configuration.
#[derive(Debug, Clone)]
pub struct Configured {
    version: Version,
    images: KubernetesImages,
    repository: String,
    dns: Override,
    etcd: Override,
    external_etcd: bool,
    has_proxy: bool,
    has_dns: bool,
}

/// What kubeadm's configuration has for one image.
#[derive(Debug, Clone)]
struct Override {
    repository: Option<String>,
    tag: Option<String>,
}

impl Override {
    fn of(part: &Value) -> Self {
        Self {
            repository: text(&part["imageRepository"]),
            tag: text(&part["imageTag"]),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned)
}

impl Configured {
    /// Reads the documents of the init node.
    pub fn of(documents: &[Value], version: Version, images: &KubernetesImages) -> Self {
        let document = |kind: &str| {
            let mut documents = documents.iter();
            documents
                .find(|document| document["kind"] == kind)
                .unwrap_or(&Value::Null)
        };
        let configuration = document("ClusterConfiguration");
        let skipped = document("InitConfiguration")["skipPhases"].as_array();
        let has_addon = |field: &str, phase: &str| {
            let mut skipped = skipped.into_iter().flatten();
            configuration[field]["disabled"] != true
                && !skipped.any(|skipped| skipped == "addon" || skipped == phase)
        };
        let repository = text(&configuration["imageRepository"]);
        Self {
            version,
            images: images.clone(),
            repository: repository.unwrap_or_else(|| default_repository(version).to_owned()),
            dns: Override::of(&configuration["dns"]),
            etcd: Override::of(&configuration["etcd"]["local"]),
            external_etcd: configuration["etcd"]["external"].is_object(),
            has_proxy: has_addon("proxy", "addon/kube-proxy"),
            has_dns: has_addon("dns", "addon/coredns"),
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
        let repository = self.etcd.repository.as_ref().unwrap_or(&self.repository);
        let tag = self.etcd.tag.as_ref().unwrap_or(&self.images.etcd_tag);
        Some(image_name::full(&format!("{repository}/etcd:{tag}")))
    }

    /// From 1.21 `CoreDNS` has a path of its own in Kubernetes' registry, but only there: in any
    /// other repository kubeadm looks for it right beneath (`GetDNSImage`).
    fn coredns(&self) -> String {
        let repository = self.dns.repository.as_ref().unwrap_or(&self.repository);
        let tag = self.dns.tag.as_ref().unwrap_or(&self.images.coredns_tag);
        let is_default = *repository == default_repository(self.version);
        let path = if self.version.minor >= 21 && is_default {
            "coredns/coredns"
        } else {
            "coredns"
        };
        image_name::full(&format!("{repository}/{path}:{tag}"))
    }

    fn component(&self, name: &str) -> String {
        let Self {
            version,
            repository,
            ..
        } = self;
        image_name::full(&format!("{repository}/{name}:{version}"))
    }

    /// What a node that joins as a worker runs, by full names.
    pub fn worker(&self) -> Vec<String> {
        let mut images = vec![pause(&self.images, &self.repository)];
        if self.has_proxy {
            images.insert(0, self.component("kube-proxy"));
        }
        if self.has_dns {
            images.push(self.coredns());
        }
        images.extend_from_slice(&self.images.further);
        images
    }

    /// What a control plane runs, by full names.
    pub fn control_plane(&self) -> Vec<String> {
        let components = [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
        ];
        let mut images = components.map(|name| self.component(name)).to_vec();
        images.extend(self.worker());
        images.extend(self.etcd());
        images
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Configured;
    use crate::releases;
    use nkd_model::version::Version;

    fn configured(configuration: &Value, minor: u32) -> Configured {
        let version = Version { minor, patch: 2 };
        let mut cluster = configuration.clone();
        cluster["kind"] = json!("ClusterConfiguration");
        Configured::of(&[cluster], version, &releases::images(version))
    }

    #[test]
    fn a_repository_of_dockers_is_named_in_full() {
        let short = json!({"imageRepository": "mirror", "dns": {"imageRepository": "other/dns"}});
        assert_eq!(
            configured(&short, 31).worker(),
            [
                "docker.io/mirror/kube-proxy:v1.31.2",
                "docker.io/mirror/pause:3.10",
                "docker.io/other/dns/coredns:v1.11.3",
            ]
        );
    }

    #[test]
    fn an_addon_that_kubeadm_does_not_install_has_no_image() {
        let version = Version {
            minor: 31,
            patch: 2,
        };
        let worker = |init: Value, cluster: Value| {
            let documents = [init, cluster];
            Configured::of(&documents, version, &releases::images(version)).worker()
        };
        let skip = |phases: Value| json!({"kind": "InitConfiguration", "skipPhases": phases});
        let pause = "registry.k8s.io/pause:3.10";
        let dns = "registry.k8s.io/coredns/coredns:v1.11.3";
        let cluster = json!({"kind": "ClusterConfiguration"});
        assert_eq!(worker(skip(json!(["addon"])), cluster.clone()), [pause]);
        assert_eq!(
            worker(skip(json!(["addon/kube-proxy"])), cluster),
            [pause, dns]
        );
        let disabled = json!({
            "kind": "ClusterConfiguration",
            "proxy": {"disabled": true},
            "dns": {"disabled": true},
        });
        assert_eq!(worker(skip(json!([])), disabled), [pause]);
    }

    #[test]
    fn images_of_1_20_2_are_what_its_kubeadm_lists() {
        assert_eq!(
            configured(&json!({}), 20).control_plane(),
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
        let coredns = |configuration| configured(&configuration, 31).worker()[2].clone();
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
        let configuration = json!({
            "imageRepository": "r.example.org/k8s",
            "dns": {"imageRepository": "r.example.org/dns", "imageTag": "v1"},
            "etcd": {"local": {"imageTag": "3.9"}},
        });
        let images = configured(&configuration, 31).control_plane();
        assert!(images.contains(&"r.example.org/dns/coredns:v1".to_owned()));
        assert!(images.contains(&"r.example.org/k8s/etcd:3.9".to_owned()));
        let external = json!({"etcd": {"external": {}}});
        let images = configured(&external, 31).control_plane();
        assert!(!images.iter().any(|image| image.contains("/etcd:")));
    }
}
