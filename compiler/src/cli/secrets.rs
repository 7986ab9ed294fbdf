use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base16ct::lower::encode_string as hex;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::answer::Answer;
use super::callback_keys::callback_keys;
use super::rotate::Rotate;
use super::table::table;
use super::tokens::Tokens;
use crate::cluster_file;
use crate::failure::Failure;
use crate::pki::Secrets as Made;
use crate::secrets_file;
use nkd_document::Diagnostics;
use nkd_model::KeyPair;

/// Create, inspect and change a secrets file
#[derive(Args)]
pub struct Secrets {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create secrets for a cluster that is compiled later
    New {
        /// The cluster file; `-` is standard input
        #[arg(value_name = "CLUSTER.yaml")]
        cluster_file: PathBuf,
        /// The file to write; it must not exist yet
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show the cluster of a secrets file and fingerprints of its keys, without the secrets themselves
    Show {
        /// The secrets file
        file: PathBuf,
    },
    /// Print the keys that verify the callbacks of nodes: these are secrets
    CallbackKeys {
        /// An output of `nkd compile`, or a secrets file
        #[arg(value_name = "OUT|SECRETS")]
        from: PathBuf,
        /// The nodes and open pools; without any, all of the output. A secrets file needs at least one
        #[arg(value_name = "NODE")]
        nodes: Vec<String>,
    },
    Rotate(Rotate),
    Tokens(Tokens),
}

impl Secrets {
    pub(super) fn run(&self, to: &mut Diagnostics) -> Result<Answer, Failure> {
        match &self.command {
            Command::New { cluster_file, out } => {
                let cluster = cluster_file::read(cluster_file, to)?;
                let secrets = secrets_file::generate(&cluster, to)?;
                write(out, &secrets.to_json()?)?;
                Ok(Answer::nothing())
            }
            Command::Show { file } => Ok(show(&secrets_file::read(file, to)?)),
            Command::CallbackKeys { from, nodes } => callback_keys(from, nodes, to),
            Command::Rotate(rotate) => rotate.run(to),
            Command::Tokens(tokens) => tokens.run(to),
        }
    }
}

/// Writes a new file that only its owner can read. An existing file is an error.
fn write(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
    .with_context(|| format!("cannot create {}", path.display()))
}

fn show(secrets: &Made) -> Answer {
    let authorities = &secrets.authorities;
    let rows = [
        ("cluster", secrets.cluster.clone()),
        ("created", secrets.created.to_string()),
        ("algorithm", secrets.algorithm.clone()),
        ("kubernetes", fingerprint(&authorities.kubernetes)),
        ("etcd", fingerprint(&authorities.etcd)),
        ("frontProxy", fingerprint(&authorities.front_proxy)),
        ("serviceAccount", fingerprint(&secrets.service_account)),
        ("tokenSeed", "***".to_owned()),
        ("callbackSeed", "***".to_owned()),
    ]
    .map(|(name, value)| vec![name.to_owned(), value]);
    let json: Map<String, Value> = rows
        .iter()
        .map(|row| (row[0].clone(), row[1].clone().into()))
        .collect();
    Answer::new(table(&rows), json.into())
}

/// The fingerprint of a certificate or public key: the SHA-256 of its PEM text.
fn fingerprint(pair: &KeyPair) -> String {
    format!("sha256:{}", hex(&Sha256::digest(pair.public.as_bytes())))
}
