use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::answer::Answer;
use crate::cluster_file;
use crate::failure::Failure;
use crate::images::Closure;
use nkd_document::Diagnostics;

/// List all images that a cluster needs
///
/// Lists the images of the Kubernetes version, the sandbox image, the image of kube-vip, and the images
/// in the cluster's manifests. With --commands, prints a script that fetches them into archives for
/// `nkd bundle create` or for an image directory on the nodes.
#[derive(Args)]
pub struct Images {
    /// The cluster file; `-` is standard input
    #[arg(value_name = "CLUSTER.yaml")]
    cluster_file: PathBuf,
    /// Print skopeo commands that fetch the images into the directory `images`
    #[arg(long)]
    commands: bool,
    /// The architecture to fetch images for, such as arm64
    #[arg(long, value_name = "ARCH", default_value = "amd64", value_parser = architecture)]
    arch: String,
}

/// An architecture by its name in Go, which images use.
pub(super) fn architecture(text: &str) -> Result<String, String> {
    match text {
        "x86_64" => Err("use the name amd64".to_owned()),
        "aarch64" => Err("use the name arm64".to_owned()),
        _ if !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric()) => {
            Ok(text.to_owned())
        }
        _ => Err("write an architecture such as amd64".to_owned()),
    }
}

impl Images {
    pub(super) fn run(&self, diagnostics: &mut Diagnostics) -> Result<Answer, Failure> {
        let cluster = cluster_file::read_without_bundles(&self.cluster_file, diagnostics)?;
        let closure = Closure::of(&cluster)?;
        let images = closure.all();
        let mut text = String::new();
        if self.commands {
            text += "mkdir -p images\n";
        }
        for image in &images {
            if self.commands {
                let _ = writeln!(text, "{}", fetch(image, &self.arch));
            } else {
                let _ = writeln!(text, "{image}");
            }
        }
        if let Some(pause) = &closure.other_pause {
            diagnostics.note(format!(
                "the sandbox image {} differs from kubeadm's {pause}; nodes need both, so both are listed",
                cluster.sandbox_image
            ));
        }
        Ok(Answer::new(text, json!({"images": images})))
    }
}

/// The command that fetches an image. A docker-archive cannot contain an image that is named by its
/// digest.
fn fetch(image: &str, arch: &str) -> String {
    let kind = if image.contains('@') {
        "oci-archive"
    } else {
        "docker-archive"
    };
    let file = image.replace(['/', ':', '@'], "_");
    format!(
        "skopeo copy --override-os linux --override-arch {arch} 'docker://{image}' '{kind}:images/{file}.tar:{image}'"
    )
}
