//! From a cluster file to everything that is written.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nkd_contract::Timestamp;
use serde_json::Value;

use crate::cluster_file;
use crate::compiled::{Compiled, CompiledNode};
use crate::config::Config;
use crate::images::{Closure, Planned};
use crate::model::{Cluster, Node};
use crate::node;
use crate::output;
use crate::own_configs::Users;
use crate::parallel;
use crate::pki::{Secrets, kubeconfig};
use crate::proof;
use crate::secrets_file;
use nkd_document::{Code, Diagnostics, Span};

/// What to compile.
pub struct Request<'a> {
    /// The cluster file.
    pub cluster_file: &'a Path,
    /// Where the result will go, if anywhere.
    pub out: Option<&'a Path>,
    /// The secrets file; without it the one in `out`, and without that new secrets.
    pub secrets: Option<&'a Path>,
    /// The nodes whose files are wanted; empty means all.
    pub nodes: &'a [String],
}

/// Compiles and proves. `None` when something is wrong with the input; `diagnostics` says what.
pub fn compile(request: &Request<'_>, diagnostics: &mut Diagnostics) -> Result<Option<Compiled>> {
    let Some(cluster) = cluster_file::read(request.cluster_file, diagnostics) else {
        return Ok(None);
    };
    wanted_nodes_exist(&cluster, request.nodes, diagnostics);
    let inputs = inputs(request.cluster_file, diagnostics);
    let earlier = match request.out {
        Some(out) => output::check(out, diagnostics),
        None => None,
    };
    let secrets_file = request.secrets.map(Path::to_owned).or(earlier.clone());
    let Some(mut secrets) = secrets(&cluster, secrets_file, diagnostics)? else {
        return Ok(None);
    };
    if let Some(earlier) = earlier {
        keep_earlier(&earlier, &secrets, diagnostics);
    }
    let now = Timestamp::now();
    let mut remarks = secrets_file::report_ends(&secrets, cluster.tokens.ttl, now, diagnostics);
    let closure = Closure::of(&cluster)?;
    let images = Planned::of(&cluster, &closure, diagnostics);
    let drafts = parallel::map(&cluster.nodes, |node| {
        let config = node::config(&cluster, &images, node, &secrets)?;
        anyhow::Ok(Draft::new(config, &cluster, node))
    });
    let drafts = drafts.into_iter().collect::<Result<_>>()?;
    let nodes = merged(request, &cluster, drafts, diagnostics);
    if !diagnostics.is_empty() {
        return Ok(None);
    }
    remarks.extend(renew_admin(&mut secrets, now)?);
    let admin = secrets.admin(cluster.version.admin_group())?;
    let authority = &secrets.authorities.kubernetes.public;
    let kubeconfig = kubeconfig::admin(&cluster.name, &cluster.endpoint, authority, admin);
    let compiled = Compiled {
        cluster,
        closure,
        secrets,
        kubeconfig,
        nodes,
        inputs,
        notes: remarks,
    };
    proof::prove(&compiled).context("internal error: the compiled files contradict each other")?;
    Ok(Some(compiled))
}

/// Makes the administrator's certificates anew in good time; a note says so.
fn renew_admin(secrets: &mut Secrets, now: Timestamp) -> Result<Option<String>> {
    let until = secrets.renew_admin(now)?;
    Ok(until.map(|until| {
        format!("the kubeconfig contains a new administrator certificate; the old one expires at {until}")
    }))
}

/// The nodes with the user's configs merged into nkd's part.
fn merged(
    request: &Request<'_>,
    cluster: &Cluster,
    drafts: Vec<Draft>,
    to: &mut Diagnostics,
) -> Vec<CompiledNode> {
    let mut nodes = Vec::new();
    let mut users = Users::new(cluster);
    for (node, draft) in cluster.nodes.iter().zip(drafts) {
        let ignition = match draft {
            Draft::Whole(text) => text,
            Draft::Part(own, json) => users.merge(&own, json, node, to).to_string() + "\n",
        };
        let places = users.places(node);
        nodes.push(CompiledNode {
            name: node.name.clone(),
            role: node.role.name(),
            address: node.address.to_string(),
            ignition,
            places: places
                .map(|(path, span)| (path, place(request.cluster_file, span, to)))
                .collect(),
            wanted: request.nodes.is_empty() || request.nodes.contains(&node.name),
        });
    }
    users.report_idle_overrides(to);
    nodes
}

/// nkd's part of a node's config. Encoding it is most of the work, and no node's business but its
/// own.
enum Draft {
    /// All there is.
    Whole(String),
    /// What the user's configs are merged with.
    Part(Config, Value),
}

impl Draft {
    fn new(config: Config, cluster: &Cluster, node: &Node) -> Self {
        let json = config.to_json();
        if Users::leave_alone(cluster, node) {
            Self::Whole(json.to_string() + "\n")
        } else {
            Self::Part(config, json)
        }
    }
}

fn wanted_nodes_exist(cluster: &Cluster, wanted: &[String], to: &mut Diagnostics) {
    for name in wanted {
        if !cluster.nodes.iter().any(|node| node.name == *name) {
            to.report_nowhere(Code::UnknownNode, format!("unknown node `{name}`"));
        }
    }
}

fn inputs(cluster_file: &Path, diagnostics: &Diagnostics) -> Vec<(String, String)> {
    diagnostics
        .files()
        .map(|(path, text)| (relative(cluster_file, path), text.to_owned()))
        .collect()
}

fn relative(cluster_file: &Path, path: &Path) -> String {
    let directory = cluster_file.parent().unwrap_or(Path::new(""));
    let path = path.strip_prefix(directory).unwrap_or(path);
    path.display().to_string()
}

/// The secrets of a file, or new ones.
fn secrets(
    cluster: &Cluster,
    file: Option<PathBuf>,
    to: &mut Diagnostics,
) -> Result<Option<Secrets>> {
    let Some(file) = file else {
        return secrets_file::generate(cluster, to);
    };
    let secrets = secrets_file::read(&file, to);
    if let Some(secrets) = &secrets {
        secrets_file::report_mismatches(&file, secrets, cluster, to);
    }
    Ok(secrets)
}

/// An output's own secrets are not to be lost by compiling over it with others.
fn keep_earlier(earlier: &Path, secrets: &Secrets, to: &mut Diagnostics) {
    let same = std::fs::read_to_string(earlier)
        .is_ok_and(|text| Secrets::parse(&text).is_ok_and(|it| it.belong_with(secrets)));
    if !same {
        let message = format!(
            "`{}` contains other secrets, which would be lost",
            earlier.display()
        );
        to.report_nowhere(Code::SecretsMismatch, message);
    }
}

/// A place in one of the user's files: its name and line.
fn place(cluster_file: &Path, span: Span, diagnostics: &Diagnostics) -> String {
    let name = relative(cluster_file, diagnostics.path(span.source));
    let before = diagnostics.text(span.source).get(..span.start);
    let line = before.unwrap_or_default().matches('\n').count() + 1;
    format!("{name}:{line}")
}
