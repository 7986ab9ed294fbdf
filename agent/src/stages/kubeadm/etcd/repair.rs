//! Restores a quorum of etcd that is missing because of this node.
//!
//! A full member counts for the quorum from the moment when it is added, before its etcd has started. If
//! the join of a second control plane is interrupted at that moment, etcd on the first one has no leader:
//! the API is down, and the member cannot be removed. The same happens if the machine of a second control
//! plane loses its disk. The only solution is that this node comes up as this member. When etcd has a
//! leader again, the agent removes the member like any other one of an earlier attempt.
//!
//! This is safe with exactly two voting members: everything that was ever committed is in the log of the
//! other member, whatever this node's etcd has lost. With three or more members it is not safe: the one
//! that answers may lack entries that this node's etcd and a third member have committed. In this case
//! the agent waits for another member.

use std::time::Duration;

use nkd_contract::Cause;
use ureq::Agent;

use super::super::files::{self, ETCD_MANIFEST, KUBELET_CONFIG, QUORUM_REPAIR};
use super::super::{patches, restore_pki, start_kubelet};
use super::{
    EtcdCauses, Fault, Member, Node, Survey, View, config, is_at_own_address, lost_quorum, phase,
};
use crate::stages::OrFault as _;

const CONFIG: &str = "/run/nkd/etcd-member.yaml";
/// The phases of kubeadm, before that of etcd. Each can be repeated. kubelet runs before there is a manifest,
/// so that it starts etcd at once.
const PHASES: [&[&str]; 6] = [
    &["init", "phase", "certs", "etcd-server"],
    &["init", "phase", "certs", "etcd-peer"],
    &["init", "phase", "certs", "etcd-healthcheck-client"],
    &["init", "phase", "certs", "apiserver-etcd-client"],
    &["init", "phase", "kubeconfig", "kubelet"],
    &["init", "phase", "kubelet-start"],
];
const ETCD_PHASE: [&str; 4] = ["init", "phase", "etcd", "local"];
/// How long etcd may take to come up and to have a leader.
const LEADER: Duration = Duration::from_secs(4 * 60);

/// Whether etcd has lost its quorum, and gets it back when this node's etcd comes up, without a risk for
/// committed data.
pub(super) fn is_possible(node: &Node<'_>, survey: &Survey<'_>) -> bool {
    let waits_for_this_node = |view: &View<'_>| {
        let voters: Vec<_> = voters(&view.members).collect();
        let is_one = voters.iter().any(|voter| is_at_own_address(node, voter));
        !view.has_leader && voters.len() == 2 && is_one
    };
    !survey.views.is_empty() && survey.views.iter().all(waits_for_this_node)
}

fn voters(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|member| !member.is_learner)
}

/// Starts this node's etcd as its existing member, and waits until there is a leader.
pub(super) fn run(
    node: &mut Node<'_>,
    client: &Agent,
    survey: &Survey<'_>,
    causes: EtcdCauses,
) -> Result<(), Fault> {
    let Some(view) = survey.best() else {
        return Ok(());
    };
    let comes_up_itself = files::has_etcd_data(node)
        && files::is_whole(node, ETCD_MANIFEST)
        && files::kubelet_is_whole(node);
    if comes_up_itself {
        node.warn(&lost_quorum(&view.etcd, causes));
        start_kubelet(node);
    } else {
        let message = format!(
            "etcd waits for this node, whose join was cut off: it comes up as the member that {} lists, to \
             be removed then",
            view.etcd.url
        );
        node.warn(&Fault::new(causes.quorum, message));
        start(node, &view.members)?;
    }
    node.poll(LEADER, |node| {
        let survey = Survey::of(node, client);
        match survey.best() {
            Some(view) if view.has_leader => Ok(()),
            Some(view) => Err(lost_quorum(&view.etcd, causes)),
            None => Err(survey.silence(causes)),
        }
    })
}

/// Starts this node's etcd. All steps can be repeated, also after an interrupted attempt. The marker is
/// written first, because this etcd does not mean that the node has joined.
fn start(node: &Node<'_>, members: &[Member]) -> Result<(), Fault> {
    // kubelet waits for an API while its credentials in an earlier file aren't whole.
    files::mark(node, QUORUM_REPAIR)
        .and_then(|()| files::remove_torn(node))
        .and_then(|()| files::remove_named(node, KUBELET_CONFIG))
        .or_fault(Cause::KubeadmEtcd)?;
    restore_pki(node)?;
    let config = config::of_member(node.plan, members);
    for steps in PHASES {
        phase(node, steps, CONFIG, &config)?;
    }
    let patched: Vec<_> = ETCD_PHASE.into_iter().chain(patches(node.plan)).collect();
    phase(node, &patched, CONFIG, &config)
}
