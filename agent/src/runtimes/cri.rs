//! The operations on images that CRI supports, through `crictl`.

use std::collections::BTreeMap;

use anyhow::Context as _;
use nkd_contract::Runtime;
use serde_json::Value;

use super::RuntimeError;
use crate::system::{Command, Root};

/// The program that kubeadm also uses.
pub(super) const PROGRAM: &str = "crictl";
/// The arguments that show the state of a runtime.
pub(super) const INSPECTIONS: &[&[&str]] = &[&["info"], &["images"], &["pods"], &["ps", "--all"]];

/// crictl with the socket of a runtime.
pub(super) fn client(root: &Root, runtime: Runtime) -> Command {
    let socket = format!("unix://{}", runtime.answers_at());
    root.command(PROGRAM).args(["--runtime-endpoint", &socket])
}

fn crictl(root: &Root, runtime: Runtime) -> Command {
    let socket = format!("unix://{}", runtime.socket());
    let endpoints = ["--runtime-endpoint", &socket, "--image-endpoint", &socket];
    root.command(PROGRAM).args(endpoints)
}

/// The command that pulls an image, or `None` if there is no crictl. kubeadm requires crictl only before
/// 1.31.
pub(super) fn pull(root: &Root, runtime: Runtime, name: &str) -> Option<Command> {
    root.program(PROGRAM)?;
    Some(crictl(root, runtime).args(["pull", name]))
}

/// The images of the runtime by their names, with their ids.
pub(super) fn present(
    root: &Root,
    runtime: Runtime,
    names: &[&str],
) -> Result<BTreeMap<String, String>, RuntimeError> {
    let list = crictl(root, runtime).args(["images", "--output", "json"]);
    let list = list.read()?;
    let list: Value = serde_json::from_str(&list)
        .context("crictl images")
        .map_err(RuntimeError::Answer)?;
    let mut present = BTreeMap::new();
    for image in list["images"].as_array().into_iter().flatten() {
        let id = image["id"].as_str().unwrap_or_default();
        let id = format!("sha256:{}", id.trim_start_matches("sha256:"));
        let tags = image["repoTags"].as_array().into_iter().flatten();
        for tag in tags.filter_map(Value::as_str) {
            if names.contains(&tag) {
                present.insert(tag.to_owned(), id.clone());
            }
        }
    }
    Ok(present)
}

/// Removes an image.
pub(super) fn remove(root: &Root, runtime: Runtime, name: &str) -> Result<(), RuntimeError> {
    crictl(root, runtime).args(["rmi", name]).read()?;
    Ok(())
}
