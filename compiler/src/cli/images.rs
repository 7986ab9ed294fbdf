use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::answer::Answer;
use crate::cluster_file;
use crate::failure::Failure;
use crate::images::Closure;
use nkd_document::Diagnostics;
use nkd_model::{Cluster, ImagesFrom};

/// List all images that a cluster needs
///
/// Lists the images of the Kubernetes version, the sandbox image, the image of kube-vip, and the images
/// in the cluster's manifests. With --commands, prints a script that fetches them into archives for
/// `nkd bundle create`, or for the nodes if the cluster file has `airgap.images`.
#[derive(Args)]
pub struct Images {
    /// The cluster file; `-` is standard input
    #[arg(value_name = "CLUSTER.yaml")]
    cluster_file: PathBuf,
    /// Print a shell script that fetches the images with skopeo into the directory `images`
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
        let text = if self.commands {
            script(&cluster, &images, &self.arch)
        } else {
            images.iter().flat_map(|image| [*image, "\n"]).collect()
        };
        if let Some(pause) = &closure.other_pause {
            diagnostics.note(format!(
                "the sandbox image {} differs from kubeadm's {pause}; nodes need both, so both are listed",
                cluster.sandbox_image
            ));
        }
        Ok(Answer::new(text, json!({"images": images})))
    }
}

/// A script that fetches images into archives with the digests that they have in the registry. The runtime of a node
/// reads the archives of `airgap.images` itself, and not every runtime reads OCI archives.
fn script(cluster: &Cluster, images: &BTreeSet<&str>, arch: &str) -> String {
    let is_for_runtime = matches!(cluster.images_from, ImagesFrom::Directory(_));
    let mut text = SCRIPT
        .replace("CLUSTER", &cluster.name)
        .replace("ARCH", arch);
    for image in images {
        // A docker-archive cannot contain an image that is named by its digest.
        let kind = if is_for_runtime && !image.contains('@') {
            "docker-archive"
        } else {
            "oci-archive"
        };
        let file = image.replace(['/', ':', '@'], "_");
        let _ = writeln!(text, "fetch '{image}' {kind} '{file}.tar'");
    }
    text
}

const SCRIPT: &str = r#"#!/bin/sh
# Fetches the images of the cluster CLUSTER for linux/ARCH into the directory images. After an error, run the
# script again: it skips the archives that are complete.
set -eu
directory=images
mkdir -p "$directory"
cd "$directory"

# Arguments: the image, the kind of archive, and the archive.
fetch() {
    if sha256sum --check --status "$3.sha256" 2>/dev/null; then
        echo "$3 is complete"
        return
    fi
    rm -f "$3" "$3.part"
    skopeo copy --override-os linux --override-arch ARCH "docker://$1" "$2:$3.part:$1"
    mv "$3.part" "$3"
    sha256sum "$3" > "$3.sha256"
}

"#;
