//! The images in the nodes' plans: the closure, held against the bundles.

use nkd_contract::{Bundles, Image, ImageSource, Images, Kubeadm, Runtime};

use super::closure::Closure;
use crate::runtime;
use nkd_document::{Code, Diagnostics, Span};
use nkd_model::{Bundle, Cluster, ImagesFrom, NodeRole};

/// What the plans of control planes and of workers have.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What a further control plane needs to run its etcd, where kubeadm runs it.
    pub kubeadm: Option<Kubeadm>,
    control_plane: Images,
    worker: Images,
}

impl Planned {
    /// Plans a cluster's images, and reports what no bundle has.
    pub fn of(cluster: &Cluster, closure: &Closure, to: &mut Diagnostics) -> Self {
        let before = to.len();
        let mut of_role = |role| {
            // What a worker lacks a control plane lacks too, and it was reported.
            let mut scratch = Diagnostics::new();
            let first = if to.len() == before {
                &mut *to
            } else {
                &mut scratch
            };
            images(cluster, closure.of_role(role), first)
        };
        let configured = &closure.configured;
        let kubeadm = configured.etcd().map(|etcd_image| Kubeadm {
            api_version: cluster.version.kubeadm_api().api_version().to_owned(),
            image_repository: configured.repository().to_owned(),
            etcd_image,
            patches: None,
        });
        Self {
            kubeadm,
            control_plane: of_role(NodeRole::ControlPlane),
            worker: of_role(NodeRole::Worker),
        }
    }

    /// The images of a node of a role.
    pub fn of_role(&self, role: NodeRole) -> &Images {
        match role {
            NodeRole::ControlPlane => &self.control_plane,
            NodeRole::Worker => &self.worker,
        }
    }
}

fn images(cluster: &Cluster, names: &[String], to: &mut Diagnostics) -> Images {
    let unpinned = |name: &String| Image {
        name: name.clone(),
        digest: None,
    };
    let (span, bundles, sources, registry) = match &cluster.images_from {
        ImagesFrom::Registries => {
            return Images {
                source: ImageSource::Registry,
                required: names.iter().map(unpinned).collect(),
            };
        }
        ImagesFrom::Directory(directory) => {
            return Images {
                source: ImageSource::Directory(directory.clone()),
                required: names.iter().map(unpinned).collect(),
            };
        }
        ImagesFrom::Bundles {
            span,
            bundles,
            sources,
            registry,
        } => (*span, bundles, sources, *registry),
    };
    let chosen = choose(bundles, names);
    let mut required = Vec::new();
    for name in names {
        let found = chosen.iter().find_map(|bundle| bundle.image(name));
        if found.is_none() && !registry {
            let message = format!("no bundle contains {name}");
            to.report(Code::BundleIncomplete, span, message);
        }
        if let Some(found) = found {
            can_be_loaded(found, cluster.runtime, span, to);
        }
        required.push(Image {
            name: name.clone(),
            digest: found.map(|image| runtime::known_by(image, cluster.runtime).to_string()),
        });
    }
    let bundle = |bundle: &&Bundle| nkd_contract::Bundle {
        file: bundle.file.clone(),
        size: bundle.size,
        unpacked: bundle.unpacked,
        index: bundle.index.to_string(),
    };
    Images {
        source: ImageSource::Bundles(Bundles {
            bundles: chosen.iter().map(bundle).collect(),
            sources: sources.clone(),
            registry,
        }),
        required,
    }
}

/// The bundles that a node needs: the smallest that has everything, else all that have something
/// which those before lack.
fn choose<'a>(bundles: &'a [Bundle], names: &[String]) -> Vec<&'a Bundle> {
    let has_all = |bundle: &&Bundle| names.iter().all(|name| bundle.image(name).is_some());
    if let Some(whole) = bundles
        .iter()
        .filter(has_all)
        .min_by_key(|bundle| bundle.size)
    {
        return vec![whole];
    }
    let mut chosen: Vec<&Bundle> = Vec::new();
    for bundle in bundles {
        let adds = |name: &&String| {
            bundle.image(name).is_some()
                && !chosen.iter().any(|earlier| earlier.image(name).is_some())
        };
        if names.iter().any(|name| adds(&name)) {
            chosen.push(bundle);
        }
    }
    chosen
}

/// Reports an image that is named by its digest where that can't be kept.
fn can_be_loaded(image: &nkd_bundle::Image, runtime: Runtime, span: Span, to: &mut Diagnostics) {
    let Some((_, digest)) = image.name.split_once('@') else {
        return;
    };
    if !runtime::loads_by_digest(runtime) {
        let message = format!("{runtime} cannot load {} by its digest", image.name);
        let help = "use a tag in the image name: a bundle fixes the digest in any case";
        to.report_with_help(Code::BundleUnusable, span, message, help);
    } else if digest != image.manifest.digest.to_string() {
        let found = image.manifest.digest;
        let message = format!("{} has the digest {found} in its bundle", image.name);
        let help = "create the bundle again with the image that has this name";
        to.report_with_help(Code::BundleUnusable, span, message, help);
    }
}
