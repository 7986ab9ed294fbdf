//! Waiting for the cluster: what a joining node asks, and how a thousand of them ask together.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nkd_contract::{Cause, Plan, Role, Stage, paths};

use super::api_server::{ApiServer, Cluster, Init};
use super::machine::Machine;
use super::receiver::Authority;

const TOKEN: &str = "abcdef.0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker with a token, which waits for a cluster at most so many seconds.
fn worker(authority: &Authority, api: &ApiServer, token: &str, budget: u64) -> Machine {
    let machine = Machine::new();
    machine.write(paths::TOKEN, token);
    machine.program("kubeadm", "date +%s%N > $ROOT/joined; exit 1");
    machine.plan(|plan| joins(plan, authority, api, budget));
    machine
}

fn joins(plan: &mut Plan, authority: &Authority, api: &ApiServer, budget: u64) {
    plan.role = Role::JoinWorker;
    plan.certificate_authority.clone_from(&authority.pem);
    plan.endpoint = api.address.to_string();
    plan.budgets
        .extend([(Stage::Gate, budget), (Stage::Kubeadm, 0)]);
}

fn change_plan(machine: &Machine, change: impl FnOnce(&mut Plan)) {
    let mut plan = Plan::parse(machine.read(paths::PLAN).as_bytes()).unwrap();
    change(&mut plan);
    machine.write(paths::PLAN, &serde_json::to_string(&plan).unwrap());
}

/// Waits until a node with the token has looked so many times.
fn wait_for_looks(api: &ApiServer, token: &str, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while api.looks(token).len() < count {
        assert!(Instant::now() < deadline, "nobody looks");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The time between the last look at the API and the call of kubeadm.
fn before_join(machine: &Machine, last_look: Instant) -> Duration {
    let joined: u64 = machine.read("/joined").trim().parse().unwrap();
    let joined = UNIX_EPOCH + Duration::from_nanos(joined);
    let since = SystemTime::now().duration_since(joined).unwrap();
    last_look.elapsed().saturating_sub(since)
}

#[test]
fn a_cluster_that_answers_nobody_without_credentials_is_joined() {
    let authority = Authority::new();
    let api = ApiServer::start(&authority, Cluster::closed(Init::Done));
    let earlier = ApiServer::start(&authority, Cluster::closed(Init::Done));
    let machine = worker(&authority, &api, TOKEN, 6);
    change_plan(&machine, |plan| {
        plan.role = Role::JoinControlPlane;
        plan.control_planes_before = vec![earlier.address.to_string()];
    });
    machine.attempt();
    let (_, cause, message) = machine.failure();
    assert_eq!(cause, Cause::KubeadmFailed, "{message}");
    assert_eq!(machine.warnings(), []);
    assert_eq!(machine.calls_of("kubeadm").len(), 1);
    assert_eq!(earlier.looks(TOKEN).len(), 1);
}

#[test]
fn a_node_waits_for_its_token_and_for_what_kubeadm_publishes_after_it() {
    let authority = Authority::new();
    let api = ApiServer::start(&authority, Cluster::closed(Init::Starting));
    let machine = worker(&authority, &api, TOKEN, 60);
    thread::scope(|scope| {
        scope.spawn(|| machine.attempt());
        for next in [Init::Tokens, Init::Done] {
            wait_for_looks(&api, TOKEN, api.looks(TOKEN).len() + 2);
            assert!(machine.calls_of("kubeadm").is_empty());
            api.set(Cluster::closed(next));
        }
    });
    let warned: Vec<_> = machine
        .warnings()
        .into_iter()
        .map(|(cause, _)| cause)
        .collect();
    assert_eq!(warned, [Cause::GateToken, Cause::GateNotReady]);
    assert_eq!(machine.calls_of("kubeadm").len(), 1);
}

#[test]
fn a_token_that_never_exists_ends_the_wait_with_the_gates_budget_over_one_connection() {
    let authority = Authority::new();
    let api = ApiServer::start(&authority, Cluster::closed(Init::Serving));
    let machine = worker(&authority, &api, TOKEN, 5);
    machine.attempt();
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Gate), Cause::GateToken));
    assert!(message.contains("bootstrap token"), "{message}");
    assert!(!message.contains(TOKEN), "{message}");
    let looks = api.looks(TOKEN).len();
    assert!(looks > 2, "{looks}");
    assert_eq!(api.connections(), 1);
}

#[test]
fn a_token_that_does_not_exist_yet_is_waited_for_where_anybody_is_answered() {
    let authority = Authority::new();
    let serving = Cluster {
        anonymous: true,
        ..Cluster::closed(Init::Serving)
    };
    let api = ApiServer::start(&authority, serving);
    let machine = worker(&authority, &api, TOKEN, 1);
    machine.attempt();
    let (stage, cause, message) = machine.failure();
    let expected = (Some(Stage::Gate), Cause::GateToken);
    assert_eq!((stage, cause), expected, "{message}");
}

#[test]
fn another_clusters_api_is_given_no_token() {
    let api = ApiServer::start(&Authority::new(), Cluster::closed(Init::Done));
    let machine = worker(&Authority::new(), &api, TOKEN, 1);
    machine.attempt();
    let (stage, cause, message) = machine.failure();
    let expected = (Some(Stage::Gate), Cause::GateUntrusted);
    assert_eq!((stage, cause), expected, "{message}");
    let asked = api.questions();
    assert!(asked.is_empty(), "{asked:?}");
}

#[test]
fn a_token_that_is_refused_by_a_cluster_with_all_its_tokens_is_not_waited_for() {
    let authority = Authority::new();
    let expired = Cluster {
        init: Init::Done,
        anonymous: true,
        expired: true,
    };
    let (api, earlier) = (
        ApiServer::start(&authority, expired),
        ApiServer::start(&authority, expired),
    );
    let machine = worker(&authority, &api, TOKEN, 60);
    change_plan(&machine, |plan| {
        plan.role = Role::JoinControlPlane;
        plan.control_planes_before = vec![earlier.address.to_string()];
    });
    let begun = Instant::now();
    machine.install();
    let (stage, cause, message) = machine.failure();
    let expected = (Some(Stage::Kubeadm), Cause::KubeadmToken);
    assert_eq!((stage, cause), expected, "{message}");
    // Less than a sixth of the gate's budget, which is what an earlier control plane may take.
    assert!(begun.elapsed() < Duration::from_secs(9));
}

/// The pauses between the looks of a node that waits in vain for so many seconds.
fn pauses(join_spread: u64, budget: u64) -> Vec<Duration> {
    let authority = Authority::new();
    let api = ApiServer::start(
        &authority,
        Cluster {
            anonymous: true,
            ..Cluster::closed(Init::Starting)
        },
    );
    let machine = worker(&authority, &api, TOKEN, budget);
    change_plan(&machine, |plan| plan.join_spread = join_spread);
    machine.attempt();
    let looks = api.looks(TOKEN);
    looks.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn the_pauses_between_looks_are_random_and_in_a_small_cluster_no_longer_than_two_seconds() {
    let pauses = pauses(0, 8);
    let longest = pauses.iter().max().unwrap();
    let spread = longest.abs_diff(*pauses.iter().min().unwrap());
    assert!(spread > Duration::from_millis(300), "{pauses:?}");
    assert!(*longest < Duration::from_millis(2500), "{pauses:?}");
    assert!(pauses.len() > 3, "{pauses:?}");
}

#[test]
fn the_pauses_between_looks_grow_in_a_large_cluster() {
    let pauses = pauses(50, 20);
    assert!(pauses.len() < 13, "{pauses:?}");
}

#[test]
fn nodes_that_have_waited_together_do_not_join_together() {
    let authority = Authority::new();
    let api = ApiServer::start(&authority, Cluster::closed(Init::Starting));
    let tokens: Vec<_> = (0..8)
        .map(|node| format!("abcde{node}.0123456789abcdef"))
        .collect();
    let machines: Vec<_> = tokens
        .iter()
        .map(|token| worker(&authority, &api, token, 60))
        .collect();
    for machine in &machines {
        change_plan(machine, |plan| plan.join_spread = 4);
    }
    thread::scope(|scope| {
        for machine in &machines {
            scope.spawn(|| machine.install());
        }
        for token in &tokens {
            wait_for_looks(&api, token, 1);
        }
        api.set(Cluster::closed(Init::Done));
    });
    let last = |token: &String| *api.looks(token).last().unwrap();
    let delays = machines.iter().zip(&tokens);
    let delays: Vec<_> = delays
        .map(|(machine, token)| before_join(machine, last(token)))
        .collect();
    let longest = delays.iter().max().unwrap();
    // Eight random delays of up to four seconds.
    assert!(*longest > Duration::from_secs(1), "{delays:?}");
    assert!(*longest < Duration::from_secs(6), "{delays:?}");
}

#[test]
fn a_node_that_finds_the_cluster_up_joins_at_once() {
    let authority = Authority::new();
    let api = ApiServer::start(&authority, Cluster::closed(Init::Done));
    let machine = worker(&authority, &api, TOKEN, 60);
    change_plan(&machine, |plan| plan.join_spread = 300);
    machine.attempt();
    assert_eq!(machine.calls_of("kubeadm").len(), 1);
    let delay = before_join(&machine, *api.looks(TOKEN).last().unwrap());
    assert!(delay < Duration::from_secs(2), "{delay:?}");
}
