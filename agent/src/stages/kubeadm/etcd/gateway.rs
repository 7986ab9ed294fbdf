//! A client of etcd's JSON gateway (etcd, "gRPC gateway"), and of the list of members that etcd serves to
//! its peers.

use anyhow::bail;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::Agent;

use super::super::ports::{ETCD_CLIENTS, ETCD_PEERS};
use crate::system::alive;

/// The etcd of one control plane.
pub(super) struct Etcd<'a> {
    client: &'a Agent,
    host: String,
    pub(super) url: String,
}

#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Member {
    /// A 64-bit number as text.
    #[serde(rename = "ID")]
    pub(super) id: String,
    /// The member's name, which is empty until it has started.
    #[serde(default)]
    pub(super) name: String,
    #[serde(rename = "peerURLs", default)]
    pub(super) peers: Vec<String>,
    /// A learner has no vote.
    #[serde(rename = "isLearner", default)]
    pub(super) is_learner: bool,
}

/// A member in the list for peers.
#[derive(Deserialize)]
struct Peer {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(rename = "peerURLs", default)]
    peers: Vec<String>,
    #[serde(rename = "isLearner", default)]
    is_learner: bool,
}

#[derive(Deserialize)]
struct EtcdStatus {
    /// A member's number as text. The gateway omits fields with the value 0.
    #[serde(default)]
    leader: Option<String>,
}

impl<'a> Etcd<'a> {
    /// The etcd of a control plane, by the `host:port` of its API.
    pub(super) fn beside(api: &str, client: &'a Agent) -> Self {
        let host = api.rsplit_once(':').map_or(api, |(host, _)| host);
        let url = format!("https://{host}:{ETCD_CLIENTS}");
        let host = host.to_owned();
        Self { client, host, url }
    }

    /// Whether etcd has a leader. Without one, nothing can be changed.
    pub(super) fn has_leader(&self) -> anyhow::Result<bool> {
        let status: EtcdStatus = self.ask("maintenance/status", &json!({}))?;
        Ok(status
            .leader
            .is_some_and(|leader| !leader.is_empty() && leader != "0"))
    }

    /// The members on which the cluster has agreed, or those in this etcd's own list, which requires no
    /// quorum. etcd 3.4 does not support this choice, and always returns its own list.
    pub(super) fn members(&self, linearizable: bool) -> anyhow::Result<Vec<Member>> {
        let question = json!({ "linearizable": linearizable });
        let answer: Members = self.ask("cluster/member/list", &question)?;
        Ok(answer.members)
    }

    /// The members in this etcd's own list, from its port for peers. After a start, etcd only serves this
    /// port until it has a leader (etcd, `embed.StartEtcd`).
    pub(super) fn members_for_peers(&self) -> anyhow::Result<Vec<Member>> {
        alive();
        let url = format!("https://{}:{ETCD_PEERS}/members", self.host);
        let answer = self.client.get(url).call();
        let mut answer = answer?;
        let text = answer.body_mut().read_to_string();
        let text = text?;
        let peers: Vec<Peer> = serde_json::from_str(&text)?;
        let members = peers.into_iter().map(|peer| Member {
            id: peer.id.to_string(),
            name: peer.name,
            peers: peer.peers,
            is_learner: peer.is_learner,
        });
        Ok(members.collect())
    }

    pub(super) fn remove(&self, member: &Member) -> anyhow::Result<()> {
        let question = json!({ "ID": member.id });
        self.ask::<Value>("cluster/member/remove", &question)
            .map(drop)
    }

    /// An answer with another status than 200 contains the reason.
    fn ask<T: DeserializeOwned>(&self, what: &str, question: &Value) -> anyhow::Result<T> {
        // The caller may ask several servers in a row that don't answer.
        alive();
        let url = format!("{}/v3/{what}", self.url);
        let request = self.client.post(url).config().http_status_as_error(false);
        let answer = request.build().send(question.to_string());
        let mut answer = answer?;
        let text = answer.body_mut().read_to_string();
        let text = text?;
        if !answer.status().is_success() {
            bail!("{} {text}", answer.status());
        }
        Ok(serde_json::from_str(&text)?)
    }
}
