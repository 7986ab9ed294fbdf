use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::compile::{self, Compiled, Request};
use crate::diagnostics::Diagnostics;
use crate::output;

/// Compile a cluster file into a directory of Ignition files
///
/// OUT gets nodes/NAME.ign for each machine, kubeconfig for the administrator, secrets.json and
/// cluster.lock. All files are private to you: they hold the cluster's keys. An OUT of an earlier
/// compilation is replaced as a whole, and its secrets are used again, so that machines which have
/// booted already and new ones belong to the same cluster.
#[derive(Args)]
pub struct Compile {
    /// The cluster file
    #[arg(value_name = "CLUSTER.yaml")]
    cluster_file: PathBuf,
    /// Directory for the result
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// Use these secrets instead of OUT/secrets.json or new ones
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Write this node's file only; can be given more than once
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<String>,
}

impl Compile {
    pub(super) fn run(&self, diagnostics: &mut Diagnostics) -> Result<()> {
        let request = Request {
            cluster_file: &self.cluster_file,
            out: Some(&self.out),
            secrets: self.secrets.as_deref(),
            nodes: &self.nodes,
        };
        let Some(compiled) = compile::compile(&request, diagnostics)? else {
            return Ok(());
        };
        output::write(&self.out, &compiled)?;
        summarize(&compiled, &self.out.display().to_string())
    }
}

fn summarize(compiled: &Compiled, out: &str) -> Result<()> {
    let mut rows = vec![["NODE", "ROLE", "ADDRESS", "BYTES"].map(str::to_owned)];
    for node in compiled.nodes.iter().filter(|node| node.wanted) {
        let bytes = node.ignition.len().to_string();
        rows.push([
            node.name.clone(),
            node.role.to_owned(),
            node.address.clone(),
            bytes,
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut stdout = std::io::stdout().lock();
    for [name, role, address, bytes] in &rows {
        let [a, b, c, d] = widths;
        writeln!(stdout, "{name:a$}  {role:b$}  {address:c$}  {bytes:>d$}")?;
    }
    writeln!(stdout, "\nBoot each machine with {out}/nodes/NODE.ign.")?;
    writeln!(
        stdout,
        "Then: kubectl --kubeconfig {out}/kubeconfig get nodes"
    )?;
    Ok(())
}
