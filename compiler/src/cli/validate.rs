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
        let (name, nodes) = (&compiled.cluster.name, compiled.nodes.len());
        let version = compiled.cluster.version.to_string();
        let text = format!("{name}: {nodes} nodes, Kubernetes {version}: valid\n");
        let json = json!({"cluster": name, "nodes": nodes, "kubernetesVersion": version});
        Ok(Answer::new(text, json))
    }
}
