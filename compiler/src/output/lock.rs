//! The lock file of an output: what it was compiled from, what nkd has written, and where that is from.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, json};

use super::files::digest;
use crate::compiled::Compiled;
use crate::contents::Entry;
use crate::origin::{self, Origin};
use nkd_ignition::lists;
use nkd_model::lines::Lines;

/// Keys of which each item is a thing of its own on a node, with the kind of it.
const ITEMS: [(&str, &str); 2] = [
    (lists::KERNEL_ARGUMENT, "os.kernelArguments"),
    (lists::USER, "os.users"),
];

/// The part of `cluster.lock` that other commands read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// The version of nkd that wrote it: another program's lock file has no such key.
    #[serde(rename = "nkd")]
    _nkd: String,
    /// The files that nkd has written, by their path in the output, and their digests.
    #[serde(default)]
    pub(super) outputs: BTreeMap<String, String>,
    #[serde(default)]
    cluster_file: String,
    #[serde(default)]
    lines: Lines,
    #[serde(default)]
    keys: BTreeMap<String, String>,
    #[serde(default)]
    pools: BTreeMap<String, String>,
    #[serde(default)]
    node_configs: BTreeMap<String, BTreeMap<String, String>>,
}

impl Lock {
    /// The cluster file's name.
    pub fn cluster_file(&self) -> &str {
        &self.cluster_file
    }

    /// Where in the user's configs something on a node is from.
    pub fn own(&self, node: &str, entry: &Entry) -> Option<&str> {
        let place = self.node_configs.get(node)?.get(&entry.id())?;
        Some(place)
    }

    /// The keys of the cluster file that ask for something on a node. None asks for what is on every node.
    pub fn origins(&self, node: &str, entry: &Entry) -> Vec<Origin> {
        let list = ITEMS.iter().find(|(kind, _)| *kind == entry.kind);
        let item = list.map(|(_, list)| format!("{list}[{}]", entry.path));
        let pool = self.pools.get(node).map(String::as_str);
        match item.as_ref().or_else(|| self.keys.get(&entry.id())) {
            Some(key) => origin::of(key, node, pool, &self.lines),
            None => Vec::new(),
        }
    }
}

/// The lock file's text; `kept` are files of an earlier output that stay.
pub(super) fn text(
    compiled: &Compiled,
    outputs: &[(String, &str)],
    kept: &BTreeMap<String, String>,
) -> Result<String> {
    let written = outputs.iter();
    let mut outputs: BTreeMap<&str, String> = written
        .map(|(name, text)| (&**name, digest(text)))
        .collect();
    let kept = kept.iter();
    outputs.extend(kept.map(|(name, digest)| (&**name, digest.clone())));
    let inputs: BTreeMap<_, _> = compiled.inputs.iter().cloned().collect();
    let nodes = || compiled.nodes.iter();
    let configs: Map<_, _> = nodes()
        .filter(|node| !node.places.is_empty())
        .map(|node| (node.name.clone(), json!(node.places)))
        .collect();
    let pools: Map<_, _> = nodes()
        .filter_map(|node| Some((node.name.clone(), json!(node.pool.as_ref()?))))
        .collect();
    let lock = json!({
        "nkd": env!("CARGO_PKG_VERSION"),
        "cluster": compiled.cluster.name,
        "kubernetesVersion": compiled.cluster.version.to_string(),
        "images": compiled.closure.all(),
        "clusterFile": compiled.cluster_file,
        "keys": compiled.keys,
        "lines": lines(compiled),
        "pools": pools,
        "nodeConfigs": configs,
        "inputs": inputs,
        "outputs": outputs,
    });
    Ok(serde_json::to_string_pretty(&lock)? + "\n")
}

/// The lines of the keys that ask for anything on a node. Of large clusters that is a small part of all lines.
fn lines(compiled: &Compiled) -> BTreeMap<&str, usize> {
    let asks = |name: &str| {
        let key = name.strip_prefix("spec").unwrap_or(name);
        let key = key
            .strip_prefix(".nodes[")
            .or_else(|| key.strip_prefix(".pools["))
            .and_then(|entry| Some(entry.split_once(']')?.1))
            .unwrap_or(key);
        let key = key.strip_prefix('.').unwrap_or(key);
        let is_item = |(_, list): &(&str, &str)| key.starts_with(&format!("{list}["));
        compiled.keys.values().any(|own| *own == key) || ITEMS.iter().any(is_item)
    };
    let lines = compiled.cluster.lines.iter();
    lines
        .filter(|(name, _)| asks(name))
        .map(|(name, line)| (&**name, *line))
        .collect()
}
