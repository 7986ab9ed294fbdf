//! `nkd secrets rotate`

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::answer::Answer;
use super::tokens::{self, Choice};
use crate::cluster_file;
use crate::failure::Failure;
use crate::output::{self, Held};
use crate::pki::{Part, outlives_admin};
use crate::secrets_file;
use nkd_document::{Code, Diagnostics};

/// The secrets that can be named. Those that cannot be rotated are included, so that the answer gives
/// the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// All bootstrap tokens, or those of some pools and nodes
    Token,
    /// The administrator's client certificates
    Admin,
    /// The seed from which the signing keys for callbacks are derived
    CallbackSeed,
    /// Not possible: all control planes must have the same key
    ServiceAccount,
    /// Not possible in the secrets file alone: installed nodes trust only the current authority (see
    /// docs/day-2.md)
    Kubernetes,
    /// Not possible: etcd members trust only the current authority
    Etcd,
    /// Not possible: API servers trust only the current authority
    FrontProxy,
}

impl What {
    fn part(self) -> Result<Part, &'static str> {
        match self {
            Self::Token => Ok(Part::Token),
            Self::Admin => Ok(Part::Admin),
            Self::CallbackSeed => Ok(Part::CallbackSeed),
            Self::ServiceAccount => Err(
                "the service account key cannot be rotated: control planes with different \
                 keys would reject tokens that another one issued",
            ),
            Self::Kubernetes => Err(
                "nkd cannot rotate the Kubernetes authority alone: installed nodes trust only the current one, \
                 so new nodes could not join",
            ),
            Self::Etcd => Err(
                "etcd's authority cannot be rotated: its members would no longer accept each other",
            ),
            Self::FrontProxy => Err(
                "the front proxy's authority cannot be rotated: API servers with different ones would \
                 reject each other's requests",
            ),
        }
    }
}

/// Replace secrets that can be changed while nodes run, and print the consequences
#[derive(Args)]
pub struct Rotate {
    /// The secrets file
    #[arg(value_name = "SECRETS")]
    file: PathBuf,
    /// The secrets to replace
    #[arg(required = true, value_enum)]
    what: Vec<What>,
    /// The cluster file: print the commands for the running cluster, too
    #[arg(long = "cluster", value_name = "CLUSTER.yaml")]
    cluster_file: Option<PathBuf>,
    /// Rotate only the bootstrap token of this pool; can be repeated
    #[arg(long = "pool", value_name = "POOL", requires = "cluster_file")]
    pools: Vec<String>,
    /// Rotate only the bootstrap token with which this node joins; can be repeated
    #[arg(long = "node", value_name = "NAME", requires = "cluster_file")]
    nodes: Vec<String>,
}

impl Rotate {
    pub(super) fn run(&self, to: &mut Diagnostics) -> Result<Answer, Failure> {
        let parts = self.parts(to);
        let cluster = match &self.cluster_file {
            Some(path) => Some(cluster_file::read_without_bundles(path, to)?),
            None => None,
        };
        // A compilation that runs now would put the old secrets back.
        let _held = match self.file.parent() {
            Some(directory) if output::is_output(directory) => Some(Held::take(directory, || {})?),
            _ => None,
        };
        let mut secrets = secrets_file::read(&self.file, to)?;
        if let Some(cluster) = &cluster {
            secrets_file::report_mismatches(&self.file, &secrets, cluster, to);
        }
        if parts.contains(&Part::Admin) && !outlives_admin(&secrets.authorities.kubernetes) {
            let message = "the Kubernetes authority expires before a new administrator certificate would expire";
            to.report_nowhere(Code::AuthorityDates, message);
        }
        let scopes = match &cluster {
            Some(cluster) => self.choice().scopes(cluster, to)?,
            None => Vec::new(),
        };
        to.as_result()?;
        let old = tokens::secret_names(&scopes, &secrets)?;
        for part in &parts {
            if *part == Part::Token && !self.choice().is_empty() {
                for scope in &scopes {
                    secrets.rotate_token(scope);
                }
            } else {
                secrets.rotate(*part)?;
            }
        }
        replace(&self.file, &secrets.to_json()?)?;
        Ok(self.answer(&parts, &old))
    }

    fn choice(&self) -> Choice<'_> {
        Choice {
            pools: &self.pools,
            nodes: &self.nodes,
        }
    }

    /// The parts to rotate, each once.
    fn parts(&self, to: &mut Diagnostics) -> Vec<Part> {
        let mut parts = Vec::new();
        for what in &self.what {
            match what.part() {
                Ok(part) if parts.contains(&part) => {}
                Ok(part) => parts.push(part),
                Err(reason) => {
                    to.report_nowhere(Code::NotRotatable, reason);
                }
            }
        }
        if !self.choice().is_empty() && parts != [Part::Token] {
            let message = "only bootstrap tokens belong to a pool or a node";
            let help = "rotate `token` alone with `--pool` or `--node`, and other secrets without these options";
            to.report_with_help_nowhere(Code::NotRotatable, message, help);
        }
        parts
    }

    fn answer(&self, parts: &[Part], old: &[String]) -> Answer {
        let consequences: Vec<_> = parts.iter().map(|part| part.consequence()).collect();
        let mut text = consequences.join("\n") + "\n";
        let mut json = json!({"consequences": consequences});
        if let Some(path) = &self.cluster_file
            && parts.contains(&Part::Token)
        {
            let commands = tokens::commands(path, &self.file, self.choice(), old);
            text += "Run these commands, with the kubeconfig of the administrator:\n";
            for command in &commands {
                let _ = writeln!(text, "    {command}");
            }
            json["commands"] = json!(commands);
        }
        Answer::new(text, json).about_files()
    }
}

/// Atomically replaces a file with one that only its owner can read.
fn replace(file: &Path, text: &str) -> Result<()> {
    // A link stays, and what it leads to is replaced.
    let target = file.canonicalize()?;
    let directory = target.parent().unwrap_or(Path::new("/"));
    let written = || -> std::io::Result<()> {
        let mut fresh = tempfile::Builder::new()
            .prefix(".nkd-")
            .tempfile_in(directory)?;
        fresh.write_all(text.as_bytes())?;
        fresh.as_file().sync_all()?;
        fresh.persist(&target)?;
        File::open(directory)?.sync_all()
    };
    written().with_context(|| format!("cannot replace {}", file.display()))
}
