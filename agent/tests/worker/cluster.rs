//! Joining a cluster that isn't as it should be.

use std::net::SocketAddr;

use nkd_contract::{Cause, Kind, Plan, Role, Stage, paths};
use serde_json::json;

use super::machine::Machine;
use super::ready::{READY, give_credentials};
use super::receiver::{self, Answer, Authority, Receiver};

/// An API that says yes to everything, and the plan of a node that joins there.
fn api(authority: &Authority) -> Receiver {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Receiver::listen(any, &[], Some(authority))
}

pub fn joins(plan: &mut Plan, authority: &Authority, endpoint: SocketAddr) {
    plan.role = Role::JoinControlPlane;
    plan.certificate_authority.clone_from(&authority.pem);
    plan.endpoint = endpoint.to_string();
    // Its second part is what an earlier control plane gets.
    plan.budgets.extend([(Stage::Gate, 6), (Stage::Kubeadm, 0)]);
}

#[test]
fn a_control_plane_that_never_comes_up_is_gone_on_without_after_its_time() {
    let machine = Machine::new();
    let authority = Authority::new();
    let (endpoint, alive) = (api(&authority), api(&authority));
    machine.plan(|plan| {
        joins(plan, &authority, endpoint.address);
        let dead = "127.0.0.1:1".to_owned();
        plan.control_planes_before = vec![dead, alive.address.to_string()];
    });
    machine.install();
    machine.lacks_only_its_api();
    assert_eq!(machine.calls_of("kubeadm").len(), 1);
    let (cause, message) = machine.warnings().pop().unwrap();
    assert_eq!(cause, Cause::GateUnreachable);
    assert!(
        message.starts_with(
            "continuing after 1 s without an earlier control plane: cannot reach 127.0.0.1:1"
        ),
        "{message}"
    );
    // The one after it is asked all the same.
    assert_eq!(alive.next().line, "GET /readyz HTTP/1.1");
}

#[test]
fn a_node_that_kubeadm_was_done_with_is_never_reset_again() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.program("kubeadm", "echo whole > $ROOT/etc/kubernetes/kubelet.conf");
    machine.install();
    machine.lacks_only_its_api();
    // The agent forgets all it knew, and the cluster doesn't answer.
    std::fs::remove_file(machine.path(paths::STATE)).unwrap();
    machine.write("/etc/kubernetes/manifests/kube-apiserver.yaml", "");
    machine.install();
    machine.lacks_only_its_api();
    assert_eq!(machine.calls_of("kubeadm").len(), 1);

    // A person's own reset is understood.
    std::fs::remove_file(machine.path("/etc/kubernetes/kubelet.conf")).unwrap();
    std::fs::remove_file(machine.path("/etc/kubernetes/manifests/kube-apiserver.yaml")).unwrap();
    std::fs::remove_file(machine.path(paths::STATE)).unwrap();
    machine.install();
    assert_eq!(machine.calls_of("kubeadm").len(), 2);
}

#[test]
fn a_member_of_another_cluster_is_none_of_this_one() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.write("/etc/kubernetes/nkd-member.crt", "another authority");
    machine.write("/etc/kubernetes/kubelet.conf", "");
    machine.install();
    let calls = machine.calls_of("kubeadm").join("\n");
    assert!(
        calls.contains("kubeadm reset") && calls.contains("kubeadm init"),
        "{calls}"
    );
    let done = machine.events().into_iter();
    let done = done.filter(|event| event.kind == Kind::StageDone);
    assert!(
        done.map(|event| event.stage)
            .any(|stage| stage == Some(Stage::Kubeadm.into()))
    );
}

/// The plan of the node that makes the cluster; it has an API server of its own at a port.
fn makes(plan: &mut Plan, authority: &Authority, endpoint: &str, own_port: u16) {
    plan.certificate_authority.clone_from(&authority.pem);
    endpoint.clone_into(&mut plan.endpoint);
    plan.machine.addresses = vec!["127.0.0.1".parse().unwrap()];
    plan.machine.api_port = Some(own_port);
    plan.budgets.insert(Stage::Kubeadm, 0);
}

/// What kubeadm writes before it starts kubelet.
pub const KUBELET_SETTINGS: &str = "/var/lib/kubelet/config.yaml";

/// What a control plane comes up from.
pub fn write_control_plane(machine: &Machine) {
    for name in [
        "admin.conf",
        "manifests/etcd.yaml",
        "manifests/kube-apiserver.yaml",
        "manifests/kube-controller-manager.yaml",
        "manifests/kube-scheduler.yaml",
    ] {
        machine.write(&format!("/etc/kubernetes/{name}"), "whole");
    }
    machine.write(KUBELET_SETTINGS, "whole");
}

/// What an attempt leaves that came to its last phase.
pub fn was_made(machine: &Machine) {
    write_control_plane(machine);
    let kubelet = "client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem";
    machine.write("/etc/kubernetes/kubelet.conf", kubelet);
    machine.write("/var/lib/etcd/member/wal", "");
}

#[test]
fn a_cluster_that_others_serve_is_not_made_a_second_time() {
    // One of them refuses anonymous requests.
    for status in [200, 401, 403] {
        let machine = Machine::new();
        let authority = Authority::new();
        let any = "127.0.0.1:0".parse().unwrap();
        let others = Receiver::listen(any, &[Answer::Status(status)], Some(&authority));
        machine.plan(|plan| makes(plan, &authority, &others.address.to_string(), 1));
        machine.install();
        let (stage, cause, message) = machine.failure();
        assert_eq!(
            (stage, cause),
            (Some(Stage::Kubeadm), Cause::KubeadmClusterExists),
            "{status}: {message}"
        );
        assert!(machine.calls_of("kubeadm").is_empty());
    }
}

#[test]
fn an_init_whose_balancer_is_silent_goes_on_with_its_own_control_plane() {
    let machine = Machine::new();
    let authority = Authority::new();
    let own = api(&authority);
    was_made(&machine);
    machine.plan(|plan| makes(plan, &authority, "127.0.0.1:1", own.address.port()));
    machine.install();
    let calls = machine.calls_of("kubeadm").join("\n");
    let port = format!("Port-{}", own.address.port());
    assert!(
        calls.contains("--ignore-preflight-errors") && calls.contains(&port),
        "{calls}"
    );
    assert!(!calls.contains("reset"), "{calls}");
}

#[test]
fn an_init_whose_api_server_refuses_anonymous_requests_goes_on_with_its_own_control_plane() {
    let machine = Machine::new();
    let authority = Authority::new();
    let any = "127.0.0.1:0".parse().unwrap();
    let own = Receiver::listen(any, &[Answer::Status(401)], Some(&authority));
    was_made(&machine);
    give_credentials(&machine);
    machine.plan(|plan| makes(plan, &authority, "127.0.0.1:1", own.address.port()));
    machine.install();
    let calls = machine.calls_of("kubeadm").join("\n");
    assert!(calls.contains("kubeadm init"), "{calls}");
    assert!(!calls.contains("reset"), "{calls}");
}

#[test]
fn a_control_plane_that_others_may_have_joined_is_never_reset() {
    let machine = Machine::new();
    let authority = Authority::new();
    was_made(&machine);
    machine.plan(|plan| makes(plan, &authority, "127.0.0.1:1", 1));
    machine.install();
    let (_, cause, message) = machine.failure();
    assert_eq!(cause, Cause::KubeadmControlPlane, "{message}");
    assert!(machine.calls_of("kubeadm").is_empty());
    assert!(machine.path("/var/lib/etcd/member/wal").exists());
}

/// The Node object of a control plane.
pub const LABELLED: Answer =
    Answer::Body(r#"{"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}"#);

#[test]
fn a_label_of_an_earlier_life_does_not_make_a_control_plane() {
    let machine = Machine::new();
    let authority = Authority::new();
    let ok = Answer::Status(200);
    let any = "127.0.0.1:0".parse().unwrap();
    let api = Receiver::listen(any, &[ok, ok, LABELLED], Some(&authority));
    give_credentials(&machine);
    machine.program(
        "kubeadm",
        "echo whole > $ROOT/etc/kubernetes/kubelet.conf
        echo whole > $ROOT/var/lib/kubelet/config.yaml; exit 1",
    );
    machine.plan(|plan| joins(plan, &authority, api.address));
    machine.attempt();
    let (stage, cause, message) = machine.failure();
    assert_eq!(
        (stage, cause),
        (Some(Stage::Kubeadm), Cause::KubeadmFailed),
        "{message}"
    );
}

#[test]
fn a_labelled_control_plane_that_does_not_come_up_is_not_reset() {
    let machine = Machine::new();
    let authority = Authority::new();
    let ok = Answer::Status(200);
    let any = "127.0.0.1:0".parse().unwrap();
    let api = Receiver::listen(any, &[ok, ok, LABELLED], Some(&authority));
    give_credentials(&machine);
    was_made(&machine);
    machine.plan(|plan| {
        joins(plan, &authority, api.address);
        plan.machine.addresses = vec!["127.0.0.1".parse().unwrap()];
        plan.machine.api_port = Some(1);
    });
    machine.attempt();
    let (_, cause, message) = machine.failure();
    assert_eq!(cause, Cause::KubeadmControlPlane, "{message}");
    assert!(machine.calls_of("kubeadm").is_empty());
}

#[test]
fn a_name_that_is_taken_stays_among_etcds_members() {
    let machine = Machine::new();
    let authority = Authority::new();
    let ok = Answer::Status(200);
    let any = "127.0.0.1:0".parse().unwrap();
    let api = Receiver::listen(any, &[ok, ok, READY], Some(&authority));
    machine.write(paths::TOKEN, "abcdef.0123456789abcdef\n");
    machine.plan(|plan| {
        joins(plan, &authority, api.address);
        plan.runs_etcd = true;
    });
    machine.attempt();
    let (_, cause, message) = machine.failure();
    assert_eq!(cause, Cause::KubeadmNameTaken, "{message}");
    assert!(machine.calls_of("kubeadm").is_empty());
    let asked = [api.next(), api.next(), api.next()];
    assert_eq!(
        asked[2].header("authorization"),
        "Bearer abcdef.0123456789abcdef"
    );
}

#[test]
fn a_node_joins_by_the_token_in_its_discovery_file_alone() {
    let machine = Machine::new();
    let authority = Authority::new();
    let api = api(&authority);
    machine.write(paths::TOKEN, "abcdef.0123456789abcdef\n");
    machine.program(
        "kubeadm",
        r#"stat -c %a $ROOT/run/nkd/discovery.yaml > $ROOT/mode
        echo "the token abcdef.0123456789abcdef is refused" >&2; exit 1"#,
    );
    machine.plan(|plan| {
        joins(plan, &authority, api.address);
        plan.role = Role::JoinWorker;
    });
    machine.install();
    assert_eq!(machine.read("/mode"), "600\n");
    let config: serde_json::Value = serde_json::from_str(&machine.read(paths::DISCOVERY)).unwrap();
    let context = &config["contexts"][0];
    assert_eq!(config["current-context"], context["name"]);
    assert_eq!(context["context"]["user"], config["users"][0]["name"]);
    assert_eq!(context["context"]["cluster"], config["clusters"][0]["name"]);
    assert_eq!(
        config["users"][0]["user"]["token"],
        "abcdef.0123456789abcdef"
    );
    let written = machine.read(paths::EVENTS) + &machine.calls().join("\n");
    assert!(
        written.contains("the token (secret) is refused"),
        "{written}"
    );
    assert!(!written.contains("0123456789abcdef"), "{written}");
}

#[test]
fn a_token_that_the_cluster_refuses_is_told_before_kubeadm_tries_it_for_minutes() {
    let machine = Machine::new();
    let authority = Authority::new();
    let ok = Answer::Status(200);
    let any = "127.0.0.1:0".parse().unwrap();
    let api = Receiver::listen(any, &[ok, ok, Answer::Status(401)], Some(&authority));
    machine.write(paths::TOKEN, "abcdef.0123456789abcdef");
    machine.plan(|plan| {
        joins(plan, &authority, api.address);
        plan.role = Role::JoinWorker;
    });
    machine.install();
    let (stage, cause, message) = machine.failure();
    let expected = (Some(Stage::Kubeadm), Cause::KubeadmToken);
    assert_eq!((stage, cause), expected, "{message}");
    assert!(machine.calls_of("kubeadm").is_empty());
}

/// The Node object of a worker whose join came to its end.
pub const ANNOTATED: Answer = Answer::Body(
    r#"{"metadata": {"annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": "/run/x.sock"}}}"#,
);
/// The Node object of a worker that kubelet has registered, and nobody has changed since.
const REGISTERED: Answer = Answer::Body(r#"{"metadata": {"annotations": {"a": "b"}}}"#);

const BOOTSTRAP_CONFIG: &str = "/etc/kubernetes/bootstrap-kubelet.conf";

/// A worker whose join was cut off when its kubelet had credentials, and an API that gives these answers
/// to the stage `kubeadm`.
fn cut_off_worker(version: &str, answers: &[Answer]) -> (Machine, Receiver) {
    let machine = Machine::new();
    let authority = Authority::new();
    // The gate asks twice.
    let answers: Vec<_> = [Answer::Status(200); 2]
        .iter()
        .chain(answers)
        .copied()
        .collect();
    let any = "127.0.0.1:0".parse().unwrap();
    let api = Receiver::listen(any, &answers, Some(&authority));
    give_credentials(&machine);
    machine.write("/etc/kubernetes/kubelet.conf", "whole");
    machine.write(KUBELET_SETTINGS, "whole");
    machine.write(BOOTSTRAP_CONFIG, "a token");
    machine.plan(|plan| {
        joins(plan, &authority, api.address);
        plan.role = Role::JoinWorker;
        version.clone_into(&mut plan.kubernetes_version);
    });
    (machine, api)
}

/// The requests of the stage `kubeadm`.
fn asked<const COUNT: usize>(api: &Receiver) -> [receiver::Request; COUNT] {
    for _ in 0..2 {
        api.next();
    }
    std::array::from_fn(|_| api.next())
}

#[test]
fn a_worker_cut_off_before_kubeadms_last_step_gets_its_cri_socket_annotated() {
    for (version, socket) in [
        ("v1.20.2", "/run/containerd/containerd.sock"),
        ("v1.24.0", "unix:///run/containerd/containerd.sock"),
    ] {
        let ok = Answer::Body("{}");
        let (machine, api) = cut_off_worker(version, &[REGISTERED, REGISTERED, ok]);
        machine.install();
        machine.lacks_only_its_api();
        let node = &machine.events()[0].node;
        let [_, _, change] = asked(&api);
        assert_eq!(change.line, format!("PATCH /api/v1/nodes/{node} HTTP/1.1"));
        assert_eq!(
            change.header("content-type"),
            "application/merge-patch+json"
        );
        let annotations = json!({"kubeadm.alpha.kubernetes.io/cri-socket": socket});
        let expected = json!({"metadata": {"annotations": annotations}});
        assert_eq!(change.json(), expected);
        // A Ready node is neither reset nor joined again.
        assert!(machine.calls_of("kubeadm").is_empty());
        assert!(!machine.path(BOOTSTRAP_CONFIG).exists());
        assert!(machine.path("/etc/kubernetes/nkd-member.crt").exists());
    }
}

#[test]
fn a_worker_has_not_joined_until_its_cri_socket_is_annotated() {
    let refused = Answer::Status(503);
    let (machine, _api) = cut_off_worker("v1.20.2", &[REGISTERED, REGISTERED, refused]);
    machine.attempt();
    let (stage, cause, message) = machine.failure();
    let expected = (Some(Stage::Kubeadm), Cause::KubeadmNotReady);
    assert_eq!((stage, cause), expected, "{message}");
    assert!(!machine.path("/etc/kubernetes/nkd-member.crt").exists());
    assert!(machine.path(BOOTSTRAP_CONFIG).exists());
    assert!(machine.calls_of("kubeadm").is_empty());
}

#[test]
fn a_cri_socket_that_kubeadm_has_kept_is_left_as_it_is() {
    let (annotated, api) = cut_off_worker("v1.31.2", &[ANNOTATED, ANNOTATED]);
    annotated.install();
    annotated.lacks_only_its_api();
    let [.., after] = asked::<3>(&api);
    assert!(after.line.starts_with("GET "), "{}", after.line);

    // Kubernetes 1.32 and later may keep it on the node's disk.
    let (local, api) = cut_off_worker("v1.34.0", &[REGISTERED]);
    local.write("/var/lib/kubelet/instance-config.yaml", "whole");
    local.install();
    local.lacks_only_its_api();
    let [.., after] = asked::<2>(&api);
    assert!(after.line.starts_with("GET "), "{}", after.line);
}

#[test]
fn a_name_that_is_taken_is_named_by_every_attempt() {
    let machine = Machine::new();
    let authority = Authority::new();
    let api = api(&authority);
    machine.plan(|plan| {
        joins(plan, &authority, api.address);
        plan.role = Role::JoinWorker;
        plan.budgets.insert(Stage::Kubeadm, 1);
    });
    machine.write("/ca.crt", &authority.pem);
    machine.program(
        "kubeadm",
        r#"authority=$ROOT/etc/kubernetes/pki/ca.crt
        case "$1" in
        reset) rm -r $ROOT/etc/kubernetes;;
        join)
            [ ! -e $authority ] || { echo "[ERROR FileAvailable]: $authority already exists" >&2; exit 1; }
            mkdir -p ${authority%/*}
            cp $ROOT/ca.crt $authority
            echo "a Node with this name already exists in the cluster" >&2
            exit 1;;
        esac"#,
    );
    machine.install();
    assert!(machine.calls_of("kubeadm").len() >= 3);
    let events = machine.events().into_iter();
    let failed = events
        .filter(|event| matches!(event.kind.known(), Some(Kind::AttemptFailed | Kind::Failed)));
    let causes: Vec<_> = failed
        .map(|event| event.cause.and_then(|cause| cause.known()))
        .collect();
    assert!(causes.len() >= 2, "{causes:?}");
    assert_eq!(causes, vec![Some(Cause::KubeadmNameTaken); causes.len()]);
}

#[test]
fn a_worker_whose_kubeadm_gave_up_too_early_gets_its_cri_socket_annotated() {
    let ok = Answer::Body("{}");
    let (machine, api) = cut_off_worker("v1.20.2", &[REGISTERED, REGISTERED, ok]);
    // Nothing of an earlier attempt: it is this one that fails.
    std::fs::remove_dir_all(machine.path("/etc/kubernetes")).unwrap();
    std::fs::remove_file(machine.path(KUBELET_SETTINGS)).unwrap();
    machine.program(
        "kubeadm",
        "mkdir -p $ROOT/etc/kubernetes; echo whole > $ROOT/etc/kubernetes/kubelet.conf
        echo whole > $ROOT/var/lib/kubelet/config.yaml; exit 1",
    );
    machine.install();
    machine.lacks_only_its_api();
    let [_, _, change] = asked(&api);
    assert!(change.line.starts_with("PATCH "), "{}", change.line);
}

#[test]
fn a_var_that_outlives_etc_is_told_of_and_nothing_is_done() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.install();
    machine.lacks_only_its_api();
    std::fs::remove_dir_all(machine.path("/etc/kubernetes")).unwrap();
    machine.reboot();
    let calls = machine.calls().len();
    machine.install();
    assert_eq!(machine.failure().1, Cause::PlanVarKept);
    assert_eq!(machine.calls().len(), calls);
}
