use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::compile::{self, Request};
use crate::failure::Failure;
use nkd_document::Diagnostics;

use super::answer::Answer;
use super::carriers::Carriers;

/// Check a cluster file and all files that it refers to, without writing anything
///
/// Runs the same checks as `nkd compile`, with temporary secrets.
#[derive(Args)]
pub struct Validate {
    /// The cluster file; `-` is standard input
    #[arg(value_name = "CLUSTER.yaml")]
    cluster_file: PathBuf,
    #[command(flatten)]
    carriers: Carriers,
}

impl Validate {
    pub(super) fn run(&self, diagnostics: &mut Diagnostics) -> Result<Answer, Failure> {
        let request = Request {
            cluster_file: &self.cluster_file,
            out: None,
            secrets: None,
            nodes: &[],
        };
        let compiled = compile::compile(&request, diagnostics)?;
        self.carriers.carry(&compiled, diagnostics)?;
        let name = &compiled.cluster.name;
        let open = compiled.nodes.iter().filter(|node| node.address.is_none());
        let open = open.count();
        let nodes = compiled.nodes.len() - open;
        let version = compiled.cluster.version.to_string();
        let pools = match open {
            0 => String::new(),
            1 => ", 1 open pool".to_owned(),
            open => format!(", {open} open pools"),
        };
        let text = format!("{name}: {nodes} nodes{pools}, Kubernetes {version}: valid\n");
        let json = json!({
            "cluster": name,
            "nodes": nodes,
            "openPools": open,
            "kubernetesVersion": version,
        });
        Ok(Answer::new(text, json))
    }
}
