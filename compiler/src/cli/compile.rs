use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::compile::{self, Compiled, Request};
use crate::diagnostics::Diagnostics;
use crate::output;

use super::carriers::{self, Carriers, Loads};
use super::table;

/// Compile a cluster file into a directory of Ignition files
///
/// OUT gets nodes/NAME.ign for each machine, kubeconfig for the administrator, secrets.json and
/// cluster.lock, and for each carrier asked for a directory of its own. All files are private to you: they hold the cluster's keys. An OUT of an earlier
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
    #[command(flatten)]
    carriers: Carriers,
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
        let loads = self.carriers.carry(&compiled, diagnostics)?;
        if !diagnostics.is_empty() {
            return Ok(());
        }
        output::write(&self.out, &compiled, loads.files())?;
        summarize(&compiled, &loads, &self.out.display().to_string())
    }
}

fn summarize(compiled: &Compiled, loads: &Loads, out: &str) -> Result<()> {
    let mut stdout = BufWriter::new(std::io::stdout().lock());
    table::write(&loads.table(compiled), &mut stdout)?;
    let (largest, parts) = carriers::parts(compiled)?;
    writeln!(stdout, "\nWhere the bytes of {largest} go:")?;
    table::write(&parts, &mut stdout)?;
    writeln!(stdout)?;
    for line in loads.advice(out) {
        writeln!(stdout, "{line}")?;
    }
    writeln!(stdout, "Boot each machine with {out}/nodes/NODE.ign.")?;
    writeln!(
        stdout,
        "Then: kubectl --kubeconfig {out}/kubeconfig get nodes"
    )?;
    Ok(stdout.flush()?)
}
