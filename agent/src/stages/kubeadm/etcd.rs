//! etcd goes on counting a member whose join was cut off, or whose machine lost its disk. It has the
//! name and address of the node that is to join now, and each that never comes back costs quorum. So
//! it is removed first, over etcd's own JSON gateway (etcd, "gRPC gateway").

use std::fs;
use std::net::IpAddr;

use nkd_contract::{Cause, paths};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;

use super::super::api;
use super::{Fault, Node, cri_socket};
use crate::system::alive;
use crate::system::files::write_atomic;

/// Signed by kubeadm; the joining control plane needs it anyway.
const CLIENT: &str = "etcd/healthcheck-client";
const CLIENT_PHASE: [&str; 4] = ["init", "phase", "certs", "etcd-healthcheck-client"];
const CLIENT_CONFIG: &str = "/run/nkd/etcd-client.yaml";
const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// Removes the member that this node was before. There is none of its data here any more, so it
/// can't come back. Where no etcd answers, kubeadm is left to say what is wrong.
pub(super) fn forget_earlier_self(node: &mut Node<'_>) -> Result<(), Fault> {
    let client = client(node)?;
    let mut silent = Vec::new();
    for earlier in &node.plan.control_planes_before {
        alive();
        let host = earlier
            .rsplit_once(':')
            .map_or(&**earlier, |(host, _)| host);
        let etcd = Etcd {
            client: &client,
            url: format!("https://{host}:{CLIENT_PORT}"),
        };
        match etcd.members() {
            Ok(members) => return forget(node, &etcd, members),
            Err(error) => silent.push(format!("{}: {error}", etcd.url)),
        }
    }
    let message = format!("nobody says who etcd's members are: {}", silent.join(", "));
    node.warn(&fault(message));
    Ok(())
}

fn forget(node: &mut Node<'_>, etcd: &Etcd<'_>, members: Vec<Member>) -> Result<(), Fault> {
    let peer = node.plan.machine.addresses.first().map(|it| peer_url(*it));
    let is_self = |member: &Member| {
        member.name == node.plan.node || peer.as_ref().is_some_and(|it| member.peers.contains(it))
    };
    for member in members.into_iter().filter(is_self).collect::<Vec<_>>() {
        etcd.remove(&member)
            .map_err(|error| fault(format!("{} doesn't remove it: {error}", etcd.url)))?;
        let id = member.id;
        node.progress(
            format!("removed member {id} of an earlier attempt from etcd"),
            None,
        );
    }
    Ok(())
}

fn fault(message: String) -> Fault {
    Fault::new(Cause::KubeadmEtcd, message)
}

fn peer_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("https://{address}:{PEER_PORT}"),
        IpAddr::V6(address) => format!("https://[{address}]:{PEER_PORT}"),
    }
}

/// A client that etcd knows, by the authority that was delivered.
fn client(node: &Node<'_>) -> Result<Agent, Fault> {
    let config = node.root.path(CLIENT_CONFIG);
    write_atomic(&config, client_config(node).as_bytes(), 0o600)
        .map_err(|error| fault(format!("{CLIENT_CONFIG}: {error}")))?;
    node.root
        .command("kubeadm")
        .args(CLIENT_PHASE)
        .args(["--config", CLIENT_CONFIG])
        .run()
        .map_err(|error| Fault::of_command(Cause::KubeadmFailed, &error))?;
    let read = |name: String| {
        let path = format!("{}/{name}", paths::KUBERNETES_PKI);
        fs::read_to_string(node.root.path(&path)).map_err(|error| fault(format!("{path}: {error}")))
    };
    let mut pem = read(format!("{CLIENT}.crt"))?;
    pem += &read(format!("{CLIENT}.key"))?;
    let authority = read("etcd/ca.crt".to_owned())?;
    api::client(&authority, api::credentials(pem.as_bytes()))
        .map_err(|error| fault(error.to_string()))
}

/// What kubeadm needs to know to sign a certificate. What isn't said it would look for: the newest
/// version on the internet, an address, and the one CRI socket, of which Docker's nodes have two.
fn client_config(node: &Node<'_>) -> String {
    let plan = node.plan;
    let init = json!({
        "apiVersion": plan.kubeadm_api,
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": plan.machine.addresses.first()},
        "nodeRegistration": {"criSocket": cri_socket(plan.runtime)},
    });
    let cluster = json!({
        "apiVersion": plan.kubeadm_api,
        "kind": "ClusterConfiguration",
        "certificatesDir": paths::KUBERNETES_PKI,
        "kubernetesVersion": plan.kubernetes_version,
    });
    // JSON is YAML.
    format!("{init}\n---\n{cluster}\n")
}

struct Etcd<'a> {
    client: &'a Agent,
    url: String,
}

#[derive(Deserialize)]
struct Members {
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    /// A number of 64 bits, as text.
    #[serde(rename = "ID")]
    id: String,
    /// Empty until it has started.
    #[serde(default)]
    name: String,
    #[serde(rename = "peerURLs", default)]
    peers: Vec<String>,
}

impl Etcd<'_> {
    fn members(&self) -> Result<Vec<Member>, String> {
        let answer = self.ask("list", &json!({}))?;
        let members = serde_json::from_str::<Members>(&answer);
        members
            .map(|it| it.members)
            .map_err(|error| error.to_string())
    }

    fn remove(&self, member: &Member) -> Result<(), String> {
        self.ask("remove", &json!({ "ID": member.id })).map(drop)
    }

    /// An answer that isn't 200 has etcd's reason in it.
    fn ask(&self, what: &str, question: &Value) -> Result<String, String> {
        let url = format!("{}/v3/cluster/member/{what}", self.url);
        let request = self.client.post(url).config().http_status_as_error(false);
        let answer = request.build().send(question.to_string());
        let mut answer = answer.map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string();
        let text = text.map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            Ok(text)
        } else {
            Err(format!("{} {text}", answer.status()))
        }
    }
}
