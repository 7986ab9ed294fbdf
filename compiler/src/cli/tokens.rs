//! `nkd secrets tokens`, and what to run after bootstrap tokens were rotated.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use nkd_contract::Timestamp;

use super::answer::Answer;
use crate::cluster_file;
use crate::failure::Failure;
use crate::kubeadm::{self, tokens};
use crate::output;
use crate::pki::Secrets;
use crate::secrets_file;
use nkd_document::{Code, Diagnostics, Reported};
use nkd_model::{Cluster, Node};

/// Print the bootstrap tokens as Secrets for a cluster that already runs: these are secrets
///
/// The tokens are valid from now on for the time in the cluster file. Pipe the output into `kubectl apply -f -`.
#[derive(Args)]
pub struct Tokens {
    /// The cluster file
    #[arg(value_name = "CLUSTER.yaml")]
    cluster_file: PathBuf,
    /// The secrets file
    #[arg(value_name = "SECRETS")]
    secrets: PathBuf,
    /// Only the token of this pool; can be repeated
    #[arg(long = "pool", value_name = "POOL")]
    pools: Vec<String>,
    /// Only the token with which this node joins; can be repeated
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<String>,
}

impl Tokens {
    pub(super) fn run(&self, to: &mut Diagnostics) -> Result<Answer, Failure> {
        let cluster = cluster_file::read_without_bundles(&self.cluster_file, to)?;
        let secrets = secrets_file::read(&self.secrets, to)?;
        secrets_file::report_mismatches(&self.secrets, &secrets, &cluster, to);
        let choice = Choice {
            pools: &self.pools,
            nodes: &self.nodes,
        };
        let scopes = choice.scopes(&cluster, to)?;
        let now = Timestamp::now();
        secrets_file::report_ends(&secrets, cluster.longest_token_ttl(), now, to);
        to.as_result()?;
        let manifest = kubeadm::token_secrets(&cluster, &scopes, &secrets, now)?;
        Ok(Answer::document(manifest))
    }
}

/// The pools and nodes that the command line names. Without any, all of them are meant.
#[derive(Clone, Copy)]
pub(super) struct Choice<'a> {
    pub pools: &'a [String],
    pub nodes: &'a [String],
}

impl Choice<'_> {
    pub fn is_empty(self) -> bool {
        self.pools.is_empty() && self.nodes.is_empty()
    }

    /// The scopes of the tokens with which the nodes join.
    pub fn scopes(self, cluster: &Cluster, to: &mut Diagnostics) -> Result<Vec<String>, Reported> {
        if self.is_empty() {
            return Ok(tokens::all_scopes(cluster));
        }
        for name in self.pools {
            if !cluster.pools.iter().any(|pool| pool.name == *name) {
                to.report_nowhere(Code::UnknownPool, format!("unknown pool `{name}`"));
            }
        }
        for name in self.nodes {
            if !cluster.nodes.iter().any(|node| node.name == *name) {
                to.report_nowhere(Code::UnknownNode, format!("unknown node `{name}`"));
            }
        }
        to.as_result()?;
        let chosen = cluster
            .joining_nodes()
            .filter(|node| self.has(cluster, node));
        let scopes = tokens::scopes_of(cluster, chosen);
        if scopes.is_empty() {
            let message = "no node of this choice joins the cluster";
            let help = "choose another pool or node: the init node creates the cluster, and has no \
                        bootstrap token";
            return Err(to.report_with_help_nowhere(Code::UnknownNode, message, help));
        }
        Ok(scopes)
    }

    fn has(self, cluster: &Cluster, node: &Node) -> bool {
        let pool = cluster.pool_of(node);
        self.nodes.contains(&node.name) || pool.is_some_and(|pool| self.pools.contains(&pool.name))
    }
}

/// The names of the Secrets that hold the tokens of some scopes.
pub(super) fn secret_names(scopes: &[String], secrets: &Secrets) -> Result<Vec<String>> {
    scopes
        .iter()
        .map(|scope| tokens::secret_name(scope, secrets))
        .collect()
}

/// The commands that give the nodes and the cluster the new tokens, and remove the old ones from the cluster.
pub(super) fn commands(
    cluster_file: &Path,
    secrets: &Path,
    choice: Choice<'_>,
    old: &[String],
) -> [String; 3] {
    let cluster_file = word(&cluster_file.display().to_string());
    let file = word(&secrets.display().to_string());
    let out = match secrets.parent() {
        Some(directory) if output::is_output(directory) => word(&directory.display().to_string()),
        _ => format!("OUT --secrets {file}"),
    };
    let pools = choice.pools.iter().map(|name| format!(" --pool {name}"));
    let nodes = choice.nodes.iter().map(|name| format!(" --node {name}"));
    let chosen: String = pools.chain(nodes).collect();
    [
        format!("nkd compile {cluster_file} -o {out}"),
        format!(
            "kubectl --namespace kube-system delete secret --ignore-not-found {}",
            old.join(" ")
        ),
        format!("nkd secrets tokens {cluster_file} {file}{chosen} | kubectl apply -f -"),
    ]
}

/// A word of a shell command, in quotes if it needs them.
fn word(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+=:@%,".contains(char);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
