use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use nkd_contract::Role;
use serde_json::json;

use super::answer::Answer;
use crate::cluster_file::{self, domain::Cluster};
use crate::diagnostics::Diagnostics;
use crate::node::required_images;
use crate::yaml::{self, Node, Value};

/// List all images a cluster needs
///
/// Those of its Kubernetes version, the sandbox image, and those its manifests name. With
/// --commands, as a script that fetches them into archives for a node's image directory.
#[derive(Args)]
pub struct Images {
    /// The cluster file
    #[arg(value_name = "CLUSTER.yaml")]
    cluster_file: PathBuf,
    /// Print commands that fetch the images with skopeo into the directory images
    #[arg(long)]
    commands: bool,
}

impl Images {
    pub(super) fn run(&self, diagnostics: &mut Diagnostics) -> Answer {
        let Some(cluster) = cluster_file::read(&self.cluster_file, diagnostics) else {
            return Answer::document("");
        };
        let images = closure(&cluster);
        let mut text = String::new();
        if self.commands {
            text += "mkdir -p images\n";
        }
        for image in &images {
            let file = image.replace(['/', ':', '@'], "_");
            if self.commands {
                let to = format!("docker-archive:images/{file}.tar:{image}");
                let _ = writeln!(text, "skopeo copy 'docker://{image}' '{to}'");
            } else {
                let _ = writeln!(text, "{image}");
            }
        }
        Answer::new(text, json!({"images": images}))
    }
}

/// Every image that any node runs, sorted.
fn closure(cluster: &Cluster) -> BTreeSet<String> {
    let roles = [Role::Init, Role::JoinControlPlane, Role::JoinWorker];
    let mut images: BTreeSet<String> = roles
        .into_iter()
        .flat_map(|role| required_images(cluster, role))
        .collect();
    for manifest in &cluster.manifests {
        let mut scratch = Diagnostics::new();
        let source = scratch.add(Path::new(&manifest.name), manifest.text.clone());
        for document in yaml::documents(source, &mut scratch) {
            named(&document, &mut images);
        }
    }
    images
}

/// What pods name as their containers' images.
fn named(node: &Node, into: &mut BTreeSet<String>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                match entry.key.as_str() {
                    "containers" | "initContainers" => {
                        for container in items(&entry.node) {
                            let image = container.get("image").and_then(Node::as_text);
                            into.extend(image.map(str::to_owned));
                        }
                    }
                    _ => named(&entry.node, into),
                }
            }
        }
        _ => items(node).iter().for_each(|item| named(item, into)),
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}
