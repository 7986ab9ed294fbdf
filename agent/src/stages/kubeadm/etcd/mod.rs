//! The members of etcd, as the other control planes list them.
//!
//! A member whose join was interrupted, or whose machine lost its disk, still counts in etcd. Such a
//! member has the name and address of the node that joins now, and each member that never comes back
//! reduces the chance of a quorum. So the agent first removes this member, and checks that it is gone,
//! before it deletes anything on this node. `kubeadm reset` would only print a warning if it cannot
//! remove the member, and would delete the data in any case.

mod config;
mod gateway;
mod repair;
mod wal;

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use nkd_contract::{Cause, paths};
use ureq::Agent;

use super::super::api;
use super::ports::ETCD_PEERS;
use super::{ETCD_CAUSES, Fault, Node, files, join, kubeadm, restore_pki};
use crate::stages::OrFault as _;
use crate::system::alive;
use crate::system::files::write_atomic;
use gateway::{Etcd, Member};

pub(super) use wal::is_blank;

/// The client certificate, which kubeadm signs. A joining control plane needs it anyway.
const CLIENT: &str = "etcd/healthcheck-client";
const CLIENT_PHASE: [&str; 4] = ["init", "phase", "certs", "etcd-healthcheck-client"];
const CLIENT_CONFIG: &str = "/run/nkd/etcd-client.yaml";
/// How long etcd may refuse to remove a member. It refuses for five seconds after a member has come up,
/// because before that it counts no member as healthy (etcd, `HealthInterval`).
const REMOVAL: Duration = Duration::from_secs(30);

/// The causes with which a stage reports problems of etcd.
#[derive(Clone, Copy)]
pub(in crate::stages) struct EtcdCauses {
    /// It cannot be determined whether this node is a member, or the member cannot be removed.
    pub(in crate::stages) members: Cause,
    /// etcd has no leader.
    pub(in crate::stages) quorum: Cause,
}

/// Removes the member that this node was before, and checks that it is gone. Only then may the data be
/// deleted and the node join again. If the quorum of etcd is missing because of this node, the quorum is
/// restored first.
///
/// # Errors
/// No etcd returns a list of its members, although this node may be one, or the member cannot be
/// removed. Nothing may be deleted then.
pub(super) fn leave(node: &mut Node<'_>, traces: bool) -> Result<(), Fault> {
    let client = client(node)?;
    let mut survey = Survey::of(node, &client);
    if repair::is_possible(node, &survey) {
        repair::run(node, &client, &survey, ETCD_CAUSES)?;
        survey = Survey::of(node, &client);
    }
    let Some(view) = survey.best() else {
        let fault = survey.silence(ETCD_CAUSES);
        if traces {
            return Err(fault);
        }
        // This node has no data to lose, and kubeadm reports what is wrong.
        node.warn(&fault);
        return Ok(());
    };
    if !view.has_leader {
        return Err(lost_quorum(&view.etcd, ETCD_CAUSES));
    }
    if view.selves(node).next().is_none() {
        return Ok(());
    }
    join::name_is_free(node)?;
    remove(node, &view.etcd)
}

/// Restores the quorum of etcd by starting this node's etcd, if the quorum is missing because of this
/// node only. Returns whether it was restored.
pub(super) fn repair_quorum(node: &mut Node<'_>, causes: EtcdCauses) -> Result<bool, Fault> {
    let client = client(node)?;
    let survey = Survey::of(node, &client);
    let is_possible = repair::is_possible(node, &survey);
    if is_possible {
        repair::run(node, &client, &survey, causes)?;
    }
    Ok(is_possible)
}

/// Whether this node is a member of etcd that has started.
///
/// # Errors
/// No etcd returns a list of its members.
pub(super) fn is_started_member(node: &Node<'_>) -> Result<bool, Fault> {
    let client = client(node)?;
    let survey = Survey::of(node, &client);
    let view = survey.best().ok_or_else(|| survey.silence(ETCD_CAUSES))?;
    let mut selves = view.selves(node);
    Ok(selves.any(|member| !member.name.is_empty()))
}

fn remove(node: &mut Node<'_>, etcd: &Etcd<'_>) -> Result<(), Fault> {
    let mut removed = Vec::new();
    let gone = node.poll(REMOVAL, |node| {
        let refused = |error: anyhow::Error| {
            let context = format!("{} does not remove this node's member", etcd.url);
            Fault::of(Cause::KubeadmEtcd, error).context(context)
        };
        let members = etcd.members(true).map_err(refused)?;
        let selves: Vec<_> = members
            .iter()
            .filter(|member| is_self(node, member))
            .collect();
        for member in &selves {
            etcd.remove(member).map_err(refused)?;
            removed.push(member.id.clone());
        }
        let members = etcd.members(true).map_err(refused)?;
        if members.iter().any(|member| is_self(node, member)) {
            return Err(refused(anyhow!("etcd still lists the member")));
        }
        Ok(())
    });
    for id in removed {
        let message = format!("removed member {id} of an earlier attempt from etcd");
        node.progress(message, None);
    }
    gone
}

/// The answers of etcd on the other control planes.
struct Survey<'a> {
    views: Vec<View<'a>>,
    /// The control planes without an answer, with the reasons.
    silent: Vec<String>,
}

/// The answers of one etcd.
struct View<'a> {
    etcd: Etcd<'a>,
    has_leader: bool,
    members: Vec<Member>,
}

impl<'a> Survey<'a> {
    fn of(node: &Node<'_>, client: &'a Agent) -> Self {
        let (mut views, mut silent) = (Vec::new(), Vec::new());
        let plan = node.plan;
        let others = plan.control_planes_before.iter();
        for other in others.chain(&plan.control_planes_after) {
            alive();
            let etcd = Etcd::beside(other, client);
            match View::of(etcd) {
                Ok(view) => views.push(view),
                Err(error) => silent.push(format!("{error:#}")),
            }
        }
        Self { views, silent }
    }

    /// The answers of an etcd that has a leader, or else of any etcd that answers.
    fn best(&self) -> Option<&View<'a>> {
        let with_leader = self.views.iter().find(|view| view.has_leader);
        with_leader.or_else(|| self.views.first())
    }

    fn silence(&self, causes: EtcdCauses) -> Fault {
        let silent = self.silent.join(", ");
        let message = format!("no etcd returned a list of its members: {silent}");
        Fault::new(causes.members, message)
    }
}

impl<'a> View<'a> {
    fn of(etcd: Etcd<'a>) -> anyhow::Result<Self> {
        let answer = etcd.has_leader().and_then(|has_leader| {
            // With a quorum, the list that the quorum has agreed on counts.
            Ok((has_leader, etcd.members(has_leader)?))
        });
        let answer = answer.or_else(|error| match etcd.members_for_peers() {
            Ok(members) => Ok((false, members)),
            Err(_) => Err(error.context(etcd.url.clone())),
        });
        answer.map(|(has_leader, members)| Self {
            etcd,
            has_leader,
            members,
        })
    }

    /// The members that stand for this node.
    fn selves(&self, node: &Node<'_>) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| is_self(node, member))
    }
}

/// Compares by name, or by address if the member has never started.
fn is_self(node: &Node<'_>, member: &Member) -> bool {
    member.name == node.plan.node || is_at_own_address(node, member)
}

fn is_at_own_address(node: &Node<'_>, member: &Member) -> bool {
    let address = node.plan.machine.addresses.first();
    address.is_some_and(|address| member.peers.contains(&peer_url(*address)))
}

fn lost_quorum(etcd: &Etcd<'_>, causes: EtcdCauses) -> Fault {
    let message = format!(
        "{} answers, but etcd has no leader; nothing is changed on this node",
        etcd.url
    );
    Fault::new(causes.quorum, message)
}

fn peer_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("https://{address}:{ETCD_PEERS}"),
        IpAddr::V6(address) => format!("https://[{address}]:{ETCD_PEERS}"),
    }
}

/// A client with a certificate that etcd accepts.
fn client(node: &Node<'_>) -> Result<Agent, Fault> {
    files::remove_torn_pairs(node).or_fault(Cause::KubeadmEtcd)?;
    restore_pki(node)?;
    phase(
        node,
        &CLIENT_PHASE,
        CLIENT_CONFIG,
        &config::of_client(node.plan),
    )?;
    let read = |name: String| {
        let path = format!("{}/{name}", paths::KUBERNETES_PKI);
        let text = fs::read_to_string(node.root.path(&path));
        text.context(path).or_fault(Cause::KubeadmEtcd)
    };
    let mut pem = read(format!("{CLIENT}.crt"))?;
    pem += &read(format!("{CLIENT}.key"))?;
    let authority = read("etcd/ca.crt".to_owned())?;
    api::client(&authority, api::credentials(pem.as_bytes())).or_fault(Cause::KubeadmEtcd)
}

/// Runs a phase of kubeadm with a configuration of its own.
fn phase(node: &Node<'_>, phase: &[&str], path: &str, config: &str) -> Result<(), Fault> {
    write_atomic(&node.root.path(path), config.as_bytes(), 0o600)
        .with_context(|| path.to_owned())
        .or_fault(Cause::KubeadmEtcd)?;
    let arguments: Vec<_> = phase.iter().copied().chain(["--config", path]).collect();
    kubeadm(node, &arguments)
}
