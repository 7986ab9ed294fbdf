//! Restores the quorum of an etcd that waits for this node.
//!
//! A full member counts for the quorum from the moment it is added, before its etcd has started. When
//! the join of a second control plane is cut off in between, the first one's etcd has no leader any
//! more: the API is down, and the member can't be removed either. The same happens when a second
//! control plane's machine loses its disk. Then the only way on is that this node comes up as that
//! member. Once etcd has a leader again, the member is removed as any other of an earlier attempt.
//!
//! That is safe with exactly two voting members: nothing was ever agreed on that isn't in the log of the
//! other one, whatever this node's etcd has seen and lost. With three or more it isn't: the one that
//! answers may lack what this node's etcd and a third one have agreed on. So with those the agent
//! waits for the third.

use std::time::Duration;

use nkd_contract::Cause;
use ureq::Agent;

use super::super::files::{self, ETCD_MANIFEST, KUBELET_CONFIG, QUORUM_REPAIR};
use super::super::{restore_pki, start_kubelet};
use super::{
    EtcdCauses, Fault, Member, Node, Survey, View, config, is_at_own_address, lost_quorum, phase,
};
use crate::stages::OrFault as _;

const CONFIG: &str = "/run/nkd/etcd-member.yaml";
/// Each can be repeated. kubelet runs before there is a manifest, so that etcd is started at once.
const PHASES: [&[&str]; 7] = [
    &["init", "phase", "certs", "etcd-server"],
    &["init", "phase", "certs", "etcd-peer"],
    &["init", "phase", "certs", "etcd-healthcheck-client"],
    &["init", "phase", "certs", "apiserver-etcd-client"],
    &["init", "phase", "kubeconfig", "kubelet"],
    &["init", "phase", "kubelet-start"],
    &["init", "phase", "etcd", "local"],
];
/// How long etcd may take to come up and to have a leader.
const LEADER: Duration = Duration::from_secs(4 * 60);

/// Whether etcd has lost its quorum and gets it back when this node's etcd comes up, without a risk for
/// what it has agreed on.
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

/// Starts this node's etcd as the member that it is and waits until there is a leader.
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

/// Starts this node's etcd. All steps can be repeated, also over what a cut-off attempt has left. The mark
/// comes first: what is started here is not the etcd of a node that has joined.
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
    Ok(())
}
