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
    let nodes: Vec<_> = compiled.nodes.iter().filter(|node| node.wanted).collect();
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).max(4);
    let name = width(&mut nodes.iter().map(|node| node.name.len()));
    let role = width(&mut nodes.iter().map(|node| node.role.len()));
    let address = width(&mut nodes.iter().map(|node| node.address.len())).max(7);
    let mut stdout = std::io::stdout().lock();
    writeln!(
        stdout,
        "{:name$}  {:role$}  {:address$}  BYTES",
        "NODE", "ROLE", "ADDRESS"
    )?;
    for node in nodes {
        let bytes = node.ignition.len();
        writeln!(
            stdout,
            "{:name$}  {:role$}  {:address$}  {bytes:>5}",
            node.name, node.role, node.address
        )?;
    }
    writeln!(stdout, "\nBoot each machine with {out}/nodes/NODE.ign.")?;
    writeln!(
        stdout,
        "Then: kubectl --kubeconfig {out}/kubeconfig get nodes"
    )?;
    Ok(())
}
