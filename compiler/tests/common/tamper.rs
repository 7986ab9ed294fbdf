//! Changes a compiled cluster behind the compiler's back.

use std::path::Path;

use nkd::compiled::Compiled;
use serde_json::{Value, json};

use super::{compiled_from, file, tests};

pub const KUBEADM: &str = "/etc/nkd/kubeadm.yaml";
pub const PLAN: &str = "/etc/nkd/plan.json";
pub const TOKEN: &str = "/etc/nkd/token";

/// Three control planes behind one address.
pub fn highly_available(directory: &Path) -> Compiled {
    let text = std::fs::read_to_string(tests().join("clusters/ha/cluster.yaml")).unwrap();
    let cluster_file = directory.join("cluster.yaml");
    std::fs::write(&cluster_file, text.replace("VERSION", "v1.29.0")).unwrap();
    compiled_from(&cluster_file)
}

/// Changes the list of a node's files.
pub fn edit(cluster: &mut Compiled, node: usize, change: impl FnOnce(&mut Vec<Value>)) {
    let ignition = &mut cluster.nodes[node].ignition;
    let mut config: Value = serde_json::from_str(ignition).unwrap();
    change(config["storage"]["files"].as_array_mut().unwrap());
    *ignition = config.to_string();
}

/// A file among a node's files.
pub fn entry<'a>(files: &'a mut [Value], path: &str) -> &'a mut Value {
    let found = files.iter_mut().find(|file| file["path"] == path);
    found.unwrap_or_else(|| panic!("no {path}"))
}

/// Puts another text into a file of a node.
pub fn replace(cluster: &mut Compiled, node: usize, path: &str, from: &str, to: &str) {
    let config = serde_json::from_str(&cluster.nodes[node].ignition).unwrap();
    let text = file(&config, path).unwrap();
    assert!(text.contains(from), "{path} doesn't have {from}: {text}");
    let (source, compression) = nkd_ignition::encode(text.replace(from, to));
    edit(cluster, node, |files| {
        entry(files, path)["contents"] = json!({"source": source, "compression": compression});
    });
}
