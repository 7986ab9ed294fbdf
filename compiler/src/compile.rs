//! Compiles a cluster file into all files of the output.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use nkd_contract::Timestamp;
use serde_json::Value;

use crate::advice;
use crate::cluster_file;
use crate::compiled::{Compiled, CompiledNode};
use crate::config::Config;
use crate::failure::Failure;
use crate::images::{Closure, Planned};
use crate::node;
use crate::output;
use crate::parallel;
use crate::pki::{Secrets, kubeconfig};
use crate::proof;
use crate::secrets_file;
use crate::user_configs::UserConfigs;
use nkd_document::input;
use nkd_document::{Code, Diagnostics, Reported, Span};
use nkd_model::{Cluster, Node};

/// What to compile.
pub struct Request<'a> {
    /// The cluster file.
    pub cluster_file: &'a Path,
    /// The output directory, if there is one.
    pub out: Option<&'a Path>,
    /// The secrets file. By default the one in `out`, or else new secrets.
    pub secrets: Option<&'a Path>,
    /// The nodes whose files are wanted. An empty list means all nodes.
    pub nodes: &'a [String],
}

/// The input of a compilation: the cluster and its secrets, with the files that they were read from.
struct Inputs {
    cluster: Cluster,
    secrets: Secrets,
    /// The files read for the cluster, by their path relative to the cluster file's directory, and their digests.
    files: Vec<(String, String)>,
}

/// Reads the input, makes all files, and proves them.
///
/// # Errors
/// The input has errors, or the proof fails.
pub fn compile(request: &Request<'_>, diagnostics: &mut Diagnostics) -> Result<Compiled, Failure> {
    let now = Timestamp::now();
    let inputs = read(request, now, diagnostics)?;
    let compiled = assemble(request, inputs, now, diagnostics)?;
    proof::prove(&compiled).context("internal error: the compiled files contradict each other")?;
    advice::warn(&compiled.cluster, diagnostics);
    diagnostics.as_result()?;
    Ok(compiled)
}

/// Reads the cluster file with all files that it names, and reads or makes the secrets.
fn read(request: &Request<'_>, now: Timestamp, to: &mut Diagnostics) -> Result<Inputs, Failure> {
    let cluster = cluster_file::read(request.cluster_file, to)?;
    wanted_nodes_exist(&cluster, request.nodes, to);
    let files = files_read(request.cluster_file, to);
    let earlier = request.out.and_then(|out| output::check(out, to));
    let secrets = match request.secrets.or(earlier.as_deref()) {
        Some(file) => existing_secrets(&cluster, file, to)?,
        None => secrets_file::generate(&cluster, to)?,
    };
    if let Some(earlier) = earlier {
        keep_earlier(&earlier, &secrets, to);
    }
    secrets_file::report_ends(&secrets, cluster.longest_token_ttl(), now, to);
    Ok(Inputs {
        cluster,
        secrets,
        files,
    })
}

/// Makes the files of all nodes and the kubeconfig.
fn assemble(
    request: &Request<'_>,
    inputs: Inputs,
    now: Timestamp,
    to: &mut Diagnostics,
) -> Result<Compiled, Failure> {
    let Inputs {
        cluster,
        mut secrets,
        files,
    } = inputs;
    let closure = Closure::of(&cluster)?;
    let images = Planned::of(&cluster, &closure, to);
    let draft = |node: &Node| {
        let config = node::config(&cluster, &images, node, &secrets)?;
        anyhow::Ok(Draft::new(config, &cluster, node))
    };
    let (nodes, keys) = nodes(request, &cluster, draft, to)?;
    to.as_result()?;
    renew_admin(&mut secrets, now, to)?;
    let admin = secrets.admin(cluster.version.admin_group())?;
    let authority = &secrets.authorities.kubernetes.public;
    let kubeconfig = kubeconfig::admin(&cluster.name, &cluster.endpoint, authority, admin);
    Ok(Compiled {
        cluster,
        closure,
        secrets,
        kubeconfig,
        nodes,
        cluster_file: relative(request.cluster_file, input::shown(request.cluster_file)),
        keys,
        inputs: files,
    })
}

/// Renews the administrator's certificates in time, and adds a note about that.
fn renew_admin(secrets: &mut Secrets, now: Timestamp, to: &mut Diagnostics) -> anyhow::Result<()> {
    if let Some(until) = secrets.renew_admin(now)? {
        to.note(format!(
            "the kubeconfig contains a new administrator certificate; the old one expires at {until}"
        ));
    }
    Ok(())
}

/// The number of nodes whose drafts are in memory at the same time.
const BATCH: usize = 512;

/// The nodes with the user's configs merged into nkd's part, and the keys that ask for nkd's part.
fn nodes(
    request: &Request<'_>,
    cluster: &Cluster,
    draft: impl Fn(&Node) -> anyhow::Result<Draft> + Sync,
    to: &mut Diagnostics,
) -> anyhow::Result<(Vec<CompiledNode>, BTreeMap<String, &'static str>)> {
    let mut nodes = Vec::with_capacity(cluster.nodes.len());
    let mut keys = BTreeMap::new();
    let mut user_configs = UserConfigs::new(cluster);
    for batch in cluster.nodes.chunks(BATCH) {
        for (node, draft) in batch.iter().zip(parallel::map(batch, &draft)) {
            let draft = draft?;
            keys.extend(draft.keys);
            let ignition = match draft.part {
                Part::Whole(text) => text,
                Part::Own(own, json) => user_configs.merge(&own, json, node, to).to_string() + "\n",
            };
            user_configs.check_named_files(node, to);
            let places = user_configs.places(node);
            nodes.push(CompiledNode {
                name: node.name.clone(),
                role: node.role.name(),
                pool: cluster.pool_of(node).map(|pool| pool.name.clone()),
                address: node.address.map(|address| address.to_string()),
                ignition,
                places: places
                    .map(|(id, span)| (id, place(request.cluster_file, span, to)))
                    .collect(),
                wanted: request.nodes.is_empty() || request.nodes.contains(&node.name),
            });
        }
    }
    user_configs.report_idle_overrides(to);
    Ok((nodes, keys))
}

/// nkd's part of a node's config. Encoding it is most of the work, and does not depend on other nodes.
struct Draft {
    keys: Vec<(String, &'static str)>,
    part: Part,
}

enum Part {
    /// The whole config.
    Whole(String),
    /// The part that is merged with the user's configs.
    Own(Box<Config>, Value),
}

impl Draft {
    fn new(config: Config, cluster: &Cluster, node: &Node) -> Self {
        let json = config.to_json();
        let keys = config.keys().collect();
        let part = if UserConfigs::leave_alone(cluster, node) {
            Part::Whole(json.to_string() + "\n")
        } else {
            Part::Own(Box::new(config), json)
        };
        Self { keys, part }
    }
}

fn wanted_nodes_exist(cluster: &Cluster, wanted: &[String], to: &mut Diagnostics) {
    for name in wanted {
        if !cluster.nodes.iter().any(|node| node.name == *name) {
            to.report_nowhere(Code::UnknownNode, format!("unknown node `{name}`"));
        }
    }
}

/// The digests of the files that were read, except passwords: the digest of a password would let anyone guess it.
fn files_read(cluster_file: &Path, diagnostics: &Diagnostics) -> Vec<(String, String)> {
    diagnostics
        .files()
        .map(|(path, text)| (relative(cluster_file, path), output::digest(text)))
        .collect()
}

fn relative(cluster_file: &Path, path: &Path) -> String {
    let directory = input::directory(cluster_file);
    let path = path.strip_prefix(directory).unwrap_or(path);
    path.display().to_string()
}

/// Reads secrets from a file, and compares them with the cluster file.
fn existing_secrets(
    cluster: &Cluster,
    file: &Path,
    to: &mut Diagnostics,
) -> Result<Secrets, Reported> {
    let secrets = secrets_file::read(file, to)?;
    secrets_file::report_mismatches(file, &secrets, cluster, to);
    Ok(secrets)
}

/// Refuses to compile with other secrets over an output that has secrets, which would be lost.
fn keep_earlier(earlier: &Path, secrets: &Secrets, to: &mut Diagnostics) {
    let same = std::fs::read_to_string(earlier)
        .is_ok_and(|text| Secrets::parse(&text).is_ok_and(|earlier| earlier.belong_with(secrets)));
    if !same {
        let message = format!(
            "`{}` contains other secrets, which would be lost",
            earlier.display()
        );
        to.report_nowhere(Code::SecretsMismatch, message);
    }
}

/// A place in one of the user's files: file name and line.
fn place(cluster_file: &Path, span: Span, diagnostics: &Diagnostics) -> String {
    let name = relative(cluster_file, diagnostics.path(span.source));
    let (line, _) = diagnostics.position(span);
    format!("{name}:{line}")
}
