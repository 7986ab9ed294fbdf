//! The result of a compilation, before it is proven and written.

use std::collections::BTreeMap;

use crate::images::Closure;
use crate::pki::Secrets;
use nkd_model::Cluster;

/// A compiled cluster.
pub struct Compiled {
    /// The cluster.
    pub cluster: Cluster,
    /// All images that any node runs.
    pub closure: Closure,
    /// The secrets of the cluster.
    pub secrets: Secrets,
    /// The administrator's kubeconfig.
    pub kubeconfig: String,
    /// The files of all nodes, in the order of the cluster file.
    pub nodes: Vec<CompiledNode>,
    /// The cluster file's name, without its directory.
    pub cluster_file: String,
    /// What nodes have from the cluster file, by its path there, and the key that asks for it, as
    /// `origin::of` takes it.
    pub keys: BTreeMap<String, &'static str>,
    /// The input files by their path relative to the cluster file's directory, and their digests.
    pub inputs: Vec<(String, String)>,
}

/// The file of one node, or of all machines of an open pool.
pub struct CompiledNode {
    /// The node's name, or that of the open pool.
    pub name: String,
    /// Its role in the cluster file.
    pub role: &'static str,
    /// Its pool, if it is in one.
    pub pool: Option<String>,
    /// Its address. `None` for an open pool.
    pub address: Option<String>,
    /// Its Ignition config.
    pub ignition: String,
    /// The places in the user's configs that led to entries on the node, by the id there: file and line.
    pub places: BTreeMap<String, String>,
    /// Whether the command line selects this node.
    pub wanted: bool,
}
