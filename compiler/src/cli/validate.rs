use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::compile::{self, Request};
use crate::diagnostics::Diagnostics;

use super::carriers::Carriers;

/// Check a cluster file and everything it names, and write nothing
///
/// Does all that compile does, with secrets that are thrown away.
#[derive(Args)]
pub struct Validate {
    /// The cluster file
    #[arg(value_name = "CLUSTER.yaml")]
    cluster_file: PathBuf,
    #[command(flatten)]
    carriers: Carriers,
}

impl Validate {
    pub(super) fn run(&self, diagnostics: &mut Diagnostics) -> Result<()> {
        let request = Request {
            cluster_file: &self.cluster_file,
            out: None,
            secrets: None,
            nodes: &[],
        };
        if let Some(compiled) = compile::compile(&request, diagnostics)? {
            let (name, nodes) = (&compiled.cluster.name, compiled.nodes.len());
            self.carriers.carry(&compiled, diagnostics)?;
            if !diagnostics.is_empty() {
                return Ok(());
            }
            println!(
                "{name}: {nodes} nodes, Kubernetes {}: valid",
                compiled.cluster.version
            );
        }
        Ok(())
    }
}
