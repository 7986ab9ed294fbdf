//! `spec.kubernetes.version` and `spec.kubernetes.images`: the Kubernetes release, and its images if nkd has no data
//! for it.

use super::checks;
use super::checks::Text;
use super::keys::Kubernetes;
use crate::images::default_repository;
use crate::{image_name, releases};
use nkd_document::{Code, Diagnostics};
use nkd_model::KubernetesImages;
use nkd_model::version::Version;

/// The release that the cluster file names.
pub struct Release {
    /// Its version.
    pub version: Version,
    /// Its images.
    pub images: KubernetesImages,
}

/// Checks the release; it is absent if nkd does not support its version.
pub fn release(kubernetes: &Kubernetes, to: &mut Diagnostics) -> Option<Release> {
    let version = supported_version(kubernetes.version.as_ref()?, to)?;
    check_images(kubernetes, version, to);
    Some(Release {
        version,
        images: images(&kubernetes.images, version),
    })
}

/// Patch releases above this number are probably a mistake. The last ones of 1.22, 1.23 and 1.24 have the number 17.
const MOST_PATCHES: u32 = 20;

fn supported_version(text: &Text, to: &mut Diagnostics) -> Option<Version> {
    let (oldest, newest) = (releases::oldest(), releases::newest());
    let parsed = match Version::parse(&text.value) {
        Ok(version) if version.minor < oldest => {
            Err(format!("Kubernetes 1.{} is not supported", version.minor))
        }
        parsed => parsed,
    };
    let version = match parsed {
        Ok(version) => version,
        Err(message) => {
            let help = format!(
                "write a version with three numbers, such as v1.31.2; nkd supports Kubernetes 1.{oldest} and later"
            );
            to.report_with_help(Code::Version, text.span, message, help);
            return None;
        }
    };
    if releases::is_newer(version) {
        let message = format!(
            "nkd has no data for Kubernetes 1.{} and assumes that the rules of Kubernetes 1.{newest} apply to it",
            version.minor
        );
        to.warn(Code::NewerKubernetes, text.span, message);
    } else if version.patch > MOST_PATCHES {
        let message = format!(
            "Kubernetes {version} probably does not exist: no minor version has had more than 17 patch releases"
        );
        to.warn(Code::UnknownPatch, text.span, message);
    }
    Some(version)
}

/// The images of a version: those that the cluster file lists, and by default those in the data of nkd.
pub fn images(listed: &[Text], version: Version) -> KubernetesImages {
    let mut images = releases::images(version);
    for image in listed {
        let Some((name, tag)) = name_and_tag(&image.value) else {
            continue;
        };
        match name {
            "etcd" => tag.clone_into(&mut images.etcd_tag),
            "coredns" => tag.clone_into(&mut images.coredns_tag),
            "pause" => tag.clone_into(&mut images.pause_tag),
            _ if COMPONENTS.contains(&name) => {}
            _ => images.further.push(image_name::full(&image.value)),
        }
    }
    images
}

/// The images that have the version of Kubernetes.
const COMPONENTS: [&str; 4] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
];

/// The last part of an image's path, and its tag.
fn name_and_tag(image: &str) -> Option<(&str, &str)> {
    let (path, tag) = image.rsplit_once(':')?;
    Some((path.rsplit('/').next()?, tag))
}

/// Reports a list of images that is not the one of the version, and a missing list if nkd has no data for the version.
/// The defaults are filled in.
fn check_images(kubernetes: &Kubernetes, version: Version, to: &mut Diagnostics) {
    let (code, listed) = (Code::KubernetesImages, &kubernetes.images);
    let help = format!(
        "run `kubeadm config images list --kubernetes-version {version}` and list its output in \
         `spec.kubernetes.images`"
    );
    let span = match (listed.first(), &kubernetes.version) {
        (Some(first), _) => first.span,
        (None, Some(text)) if releases::is_newer(version) => {
            let message = format!("`spec.kubernetes.images` is required for Kubernetes {version}");
            to.report_with_help(code, text.span, message, help);
            return;
        }
        (None, _) => return,
    };
    let default = default_repository(version);
    let written = kubernetes.image_repository.as_ref();
    let repository = written.map_or(default, |text| text.value.as_str());
    for image in listed {
        checks::image(image, to);
        let name = name_and_tag(&image.value).map(|(name, _)| name);
        let Some(component) = name.filter(|name| COMPONENTS.contains(name)) else {
            continue;
        };
        let expected = |repository: &str| format!("{repository}/{component}:{version}");
        let wanted = expected(repository);
        if ![&wanted, &expected(default)].contains(&&image.value) {
            let message = format!("`{}` should be `{wanted}`", image.value);
            to.report_with_help(code, image.span, message, &help);
        }
    }
    for name in ["pause", "coredns", "etcd"] {
        let mut names = listed.iter().filter_map(|image| name_and_tag(&image.value));
        if !names.any(|(other, _)| other == name) {
            let message = format!("`spec.kubernetes.images` does not contain an image `{name}`");
            to.report_with_help(code, span, message, &help);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nkd_document::{Diagnostics, Span, Spanned};
    use nkd_model::version::Version;

    #[test]
    fn images_that_releases_before_did_not_have_are_kept() {
        let source = Diagnostics::new().add(Path::new("cluster.yaml"), String::new());
        let span = Span::new(source, 0..0);
        let names = [
            "registry.k8s.io/kube-proxy:v1.99.0",
            "registry.k8s.io/coredns/coredns:v2",
            "registry.k8s.io/pause:4",
            "registry.k8s.io/etcd:4.0.0-0",
            "registry.k8s.io/new:v1",
        ];
        let listed = names.map(|image| Spanned::new(image.to_owned(), span));
        let version = Version {
            minor: 99,
            patch: 0,
        };
        let images = super::images(&listed, version);
        assert_eq!(images.etcd_tag, "4.0.0-0");
        assert_eq!(images.coredns_tag, "v2");
        assert_eq!(images.pause_tag, "4");
        assert_eq!(images.further, ["registry.k8s.io/new:v1"]);
    }
}
