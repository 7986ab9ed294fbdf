//! Bootstrap tokens: in the configuration of the init node, and as Secrets for a cluster that already runs.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nkd_contract::Timestamp;
use serde_json::{Value, json};

use crate::fragments;
use crate::pki::Secrets;
use nkd_model::{Cluster, Node};

/// The scopes of all tokens of a cluster. A cluster without joining nodes has one token all the same, because
/// kubeadm would otherwise make its own.
pub fn all_scopes(cluster: &Cluster) -> Vec<String> {
    let scopes = scopes_of(cluster, cluster.joining_nodes());
    if scopes.is_empty() {
        return scopes_of(cluster, cluster.init_node());
    }
    scopes
}

/// The scopes of the tokens with which these nodes join, each once, in the order of the nodes.
pub fn scopes_of<'a>(cluster: &Cluster, nodes: impl IntoIterator<Item = &'a Node>) -> Vec<String> {
    let mut scopes: Vec<_> = nodes
        .into_iter()
        .map(|node| cluster.token_scope(node))
        .collect();
    let mut seen = HashSet::new();
    scopes.retain(|scope| seen.insert(scope.clone()));
    scopes
}

/// The name of the Secret that holds the token of a scope. It contains the public half of the token.
pub fn secret_name(scope: &str, secrets: &Secrets) -> Result<String> {
    let token = secrets.token(scope)?;
    let (id, _) = halves(token.expose())?;
    Ok(format!("bootstrap-token-{id}"))
}

/// The token of each scope, in the form of `like`.
pub(super) fn filled(
    like: &Value,
    cluster: &Cluster,
    scopes: &[String],
    secrets: &Secrets,
) -> Result<Vec<Value>> {
    let fill = |scope: &String| {
        let secret = secrets.token(scope)?;
        let mut token = like.clone();
        let values = [
            ("scope", scope.as_str()),
            ("token", secret.expose()),
            ("tokenTtl", &go_duration(cluster.token_ttl(scope))),
        ];
        fragments::fill_document(&mut token, &values)?;
        Ok(token)
    };
    scopes.iter().map(fill).collect()
}

/// As Go writes and reads it.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A token of kubeadm's configuration as the Secret that kubeadm makes of it.
pub(super) fn secret(token: &Value, expiration: Timestamp) -> Result<Value> {
    let (id, secret) = halves(token["token"].as_str().unwrap_or_default())?;
    let mut data = json!({
        "token-id": id,
        "token-secret": secret,
        "description": token["description"],
        "expiration": expiration.to_string(),
        "auth-extra-groups": texts(&token["groups"]).collect::<Vec<_>>().join(","),
    });
    for usage in texts(&token["usages"]) {
        data[format!("usage-bootstrap-{usage}")] = json!("true");
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": data,
    }))
}

/// The ID and the secret half of a token.
fn halves(token: &str) -> Result<(&str, &str)> {
    token.split_once('.').context("a token without a dot")
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}
