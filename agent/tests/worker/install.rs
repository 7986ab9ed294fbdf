//! The worker from its plan to the last stage.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nkd_contract::{Cause, Event, Image, ImageSource, Kind, Role, Runtime, Stage, paths};

use super::machine::{End, Machine};
use super::ready::{READY, give_credentials};
use super::receiver::{Authority, Receiver};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn without_a_plan_it_says_so_and_stops() {
    let machine = Machine::new();
    assert_eq!(machine.install(), End::Stopped);
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (None, Cause::PlanMissing));
    assert!(message.contains("/etc/nkd/plan.json"), "{message}");
    assert!(machine.calls().is_empty());
}

#[test]
fn a_plan_of_a_newer_schema_is_called_that() {
    let machine = Machine::new();
    machine.write(paths::PLAN, r#"{"schema": 99, "something": "new"}"#);
    assert_eq!(machine.install(), End::Stopped);
    let (_, cause, message) = machine.failure();
    assert_eq!(cause, Cause::PlanSchema);
    assert_eq!(
        message,
        "the plan is of schema 99, this agent reads schema 1"
    );
}

#[test]
fn a_plan_that_requires_what_the_agent_lacks_does_nothing_and_is_told_by_that_name() {
    let machine = Machine::new();
    machine.plan(|plan| plan.requires = vec!["novelty".into()]);
    assert_eq!(machine.install(), End::Stopped);
    let (_, cause, message) = machine.failure();
    assert_eq!(cause, Cause::PlanSchema);
    assert!(message.contains("`novelty`"), "{message}");
    assert!(machine.calls().is_empty());
}

#[test]
fn a_plan_that_is_no_json_is_called_that() {
    let machine = Machine::new();
    machine.write(paths::PLAN, "schema: 1");
    assert_eq!(machine.install(), End::Stopped);
    assert_eq!(machine.failure().1, Cause::PlanInvalid);
}

#[test]
fn another_plan_than_the_one_it_began_with_is_refused() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.install();
    machine.plan(|plan| plan.cluster = "another".into());
    assert_eq!(machine.install(), End::Stopped);
    assert_eq!(machine.failure().1, Cause::PlanChanged);
}

#[test]
fn a_missing_program_is_the_images_fault_and_not_tried_again() {
    let machine = Machine::new();
    machine.plan(|_| {});
    fs::remove_file(machine.path("/usr/bin/kubeadm")).unwrap();
    assert_eq!(machine.install(), End::Stopped);
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Host), Cause::HostProgram));
    assert!(message.contains("kubeadm"), "{message}");
    let started = machine.calls_of("systemctl").join("\n");
    assert!(!started.contains("enable"), "{started}");
}

#[test]
fn each_runtime_is_started_by_its_units_and_asked_by_its_own_client() {
    for (runtime, units, socket, asked) in [
        (
            Runtime::Crio,
            &["crio.service"][..],
            "/run/crio/crio.sock",
            "crictl --runtime-endpoint unix:///run/crio/crio.sock version",
        ),
        (
            Runtime::Isulad,
            &["isulad.service"],
            "/run/isulad.sock",
            "crictl --runtime-endpoint unix:///run/isulad.sock version",
        ),
        (
            Runtime::Docker,
            &["docker.service"],
            "/run/docker.sock",
            "docker --host unix:///run/docker.sock version",
        ),
        (
            Runtime::CriDockerd,
            &["docker.service", "cri-docker.service"],
            "/run/cri-dockerd.sock",
            "crictl --runtime-endpoint unix:///run/cri-dockerd.sock version",
        ),
    ] {
        let machine = Machine::new();
        machine.plan(|plan| {
            plan.runtime = runtime;
            plan.images.source = ImageSource::Registry;
            plan.images.required.clear();
        });
        machine.program("crictl", "exit 0");
        machine.program("docker", "exit 0");
        let _listening = machine.listen(socket);
        machine.install();
        machine.lacks_only_its_api();
        let started: Vec<_> = units
            .iter()
            .map(|unit| format!("systemctl enable --now {unit}"))
            .collect();
        let calls = machine.calls();
        assert!(calls.join("\n").contains(&started.join("\n")), "{calls:?}");
        assert!(calls.iter().any(|call| call == asked), "{calls:?}");
    }
}

#[test]
fn a_runtime_that_does_not_answer_is_said_by_its_socket() {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.runtime = Runtime::Crio;
        plan.budgets.insert(Stage::Runtime, 0);
    });
    machine.program("crictl", "exit 0");
    assert_eq!(machine.install(), End::Exhausted);
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Runtime), Cause::RuntimeSocket));
    assert!(message.contains("/run/crio/crio.sock"), "{message}");
}

#[test]
fn archives_are_imported_until_all_images_are_there_and_then_pinned() {
    let machine = Machine::new();
    machine.plan(|plan| plan.images.required[0].name = "example.org/a:1".into());
    machine.install();
    let calls = machine.calls_of("ctr").join("\n");
    assert!(calls.contains("images import"), "{calls}");
    assert!(!calls.contains("b.tar"), "{calls}");
    assert!(
        calls.contains("images label example.org/a:1 io.cri-containerd.pinned=pinned"),
        "{calls}"
    );
}

#[test]
fn archives_are_imported_in_the_order_of_their_names() {
    let machine = Machine::new();
    machine.plan(|plan| plan.images.required[0].name = "example.org/z:1".into());
    for name in ["q", "c", "z", "m", "f", "x", "k", "d"] {
        let image = format!("example.org/{name}:1\n");
        machine.write(&format!("/images/{name}.tar"), &image);
    }
    machine.install();
    let mut imports = machine.calls_of("ctr");
    imports.retain(|call| call.contains("images import"));
    assert_eq!(imports.len(), 10);
    assert!(imports.is_sorted(), "{imports:?}");
}

#[test]
fn an_image_that_is_in_no_archive_stops_it_by_name() {
    let machine = Machine::new();
    machine.plan(|plan| plan.images.required[0].name = "example.org/c:1".into());
    assert_eq!(machine.install(), End::Stopped);
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Images), Cause::ImagesMissing));
    assert!(message.contains("example.org/c:1"), "{message}");
    assert!(machine.calls_of("kubeadm").is_empty());
}

#[test]
fn a_failed_kubeadm_is_cleaned_up_after_and_finds_the_delivered_authorities_again() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.write("/etc/nkd/manifests/kube-vip.yaml", "a pod");
    machine.program(
        "kubeadm",
        r#"case "$1" in
        init)
            cmp $ROOT/etc/nkd/pki/ca.key $ROOT/etc/kubernetes/pki/ca.key || exit 2
            cmp $ROOT/etc/nkd/manifests/kube-vip.yaml \
                $ROOT/etc/kubernetes/manifests/kube-vip.yaml || exit 2
            [ -e $ROOT/second ] && exit 0
            touch $ROOT/second $ROOT/etc/kubernetes/kubelet.conf
            echo "the token abcdef.0123456789abcdef is not the fault"; exit 1;;
        # Without --force it asks a person, and here is none.
        reset) case "$*" in *--force*) rm -r $ROOT/etc/kubernetes;; *) exit 1;; esac;;
        esac"#,
    );
    machine.install();
    let calls: Vec<_> = machine
        .calls_of("kubeadm")
        .iter()
        .map(|call| call.split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(calls, ["init", "reset", "init"]);
    let failed = machine
        .events()
        .into_iter()
        .find(|event| event.kind == Kind::AttemptFailed)
        .unwrap();
    assert_eq!(failed.cause, Some(Cause::KubeadmFailed.into()));
    assert!(
        failed
            .message
            .contains("the token (secret) is not the fault"),
        "{}",
        failed.message
    );
    assert_eq!(mode(&machine.path("/etc/kubernetes/pki/ca.key")), 0o600);
    machine.lacks_only_its_api();
}

#[test]
fn what_kubeadm_says_of_its_failure_becomes_the_cause() {
    for (words, cause) in [
        (
            "[ERROR NumCPU]: the number of available CPUs 1 is less than 2",
            Cause::KubeadmPreflight,
        ),
        (
            "unable to fetch the kubeadm-config ConfigMap: Unauthorized",
            Cause::KubeadmToken,
        ),
        (
            "a Node with name \"w1\" and status \"Ready\" already exists in the cluster.",
            Cause::KubeadmNameTaken,
        ),
        ("timed out waiting for the condition", Cause::KubeadmFailed),
    ] {
        let machine = Machine::new();
        machine.plan(|plan| {
            plan.budgets.insert(Stage::Kubeadm, 0);
        });
        machine.program("kubeadm", &format!("echo '{words}' >&2; exit 1"));
        assert_eq!(machine.install(), End::of(cause));
        let (stage, why, message) = machine.failure();
        assert_eq!((stage, why), (Some(Stage::Kubeadm), cause));
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn etcd_data_that_a_cut_off_reset_left_behind_do_not_stop_the_next_attempt() {
    let machine = Machine::new();
    machine.plan(|plan| plan.runs_etcd = true);
    machine.write("/var/lib/etcd/member/snap/db", "");
    machine.program(
        "kubeadm",
        r#"case "$1" in init) [ ! -e $ROOT/var/lib/etcd/member ];; esac"#,
    );
    machine.install();
    assert_eq!(machine.calls_of("kubeadm").len(), 2);
    machine.lacks_only_its_api();
}

#[test]
fn an_etcd_that_is_not_kubeadms_keeps_its_data() {
    for role in [Role::Init, Role::JoinControlPlane, Role::JoinWorker] {
        let machine = Machine::new();
        let authority = Authority::new();
        let any = "127.0.0.1:0".parse().unwrap();
        let endpoint = Receiver::listen(any, &[], Some(&authority));
        // An add-on's image is named like etcd's.
        let image = "example.org/etcd:1";
        machine.write("/images/etcd.tar", &format!("{image}\n"));
        machine.plan(|plan| {
            plan.role = role;
            plan.certificate_authority.clone_from(&authority.pem);
            plan.endpoint = endpoint.address.to_string();
            plan.machine.addresses = vec!["127.0.0.1".parse().unwrap()];
            plan.machine.api_port = Some(endpoint.address.port());
            plan.images.required.push(Image {
                name: image.into(),
                digest: None,
            });
        });
        machine.write("/var/lib/etcd/member/snap/db", "precious");
        machine.write("/var/lib/etcd/foreign", "precious, too");
        // As kubeadm does from 1.24 on where it finds no manifest of etcd, unless it is told not to.
        machine.program(
            "kubeadm",
            r#"case "$*" in
            reset*--skip-phases=remove-etcd-member*) rm -r $ROOT/etc/kubernetes;;
            reset*) rm -r $ROOT/etc/kubernetes $ROOT/var/lib/etcd/*;;
            *) [ -e $ROOT/second ] && exit 0
                touch $ROOT/second; echo half > $ROOT/etc/kubernetes/kubelet.conf; exit 1;;
            esac"#,
        );
        machine.install();
        machine.lacks_only_its_api();
        let calls = machine.calls_of("kubeadm");
        assert_eq!(calls.len(), 3, "{calls:?}");
        assert!(calls[1].starts_with("kubeadm reset"), "{calls:?}");
        assert!(calls[1].contains("--skip-phases=remove-etcd-member"));
        assert_eq!(machine.read("/var/lib/etcd/member/snap/db"), "precious");
        assert_eq!(machine.read("/var/lib/etcd/foreign"), "precious, too");
    }
}

#[test]
fn etcds_data_alone_are_no_trace_where_kubeadm_does_not_run_it() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.write("/var/lib/etcd/member/snap/db", "precious");
    machine.install();
    assert_eq!(machine.calls_of("kubeadm").len(), 1);
    assert_eq!(machine.read("/var/lib/etcd/member/snap/db"), "precious");
}

#[test]
fn a_node_that_may_have_joined_is_not_reset_while_nobody_can_be_asked() {
    let machine = Machine::new();
    let signed = rcgen::generate_simple_self_signed(["demo".into()]).unwrap();
    machine.plan(|plan| {
        plan.role = Role::JoinWorker;
        plan.certificate_authority = signed.cert.pem();
        plan.budgets.extend([(Stage::Gate, 0), (Stage::Kubeadm, 0)]);
    });
    // Begin where the gate was passed: the cluster was there then.
    machine.install();
    let gated = machine
        .read(paths::STATE)
        .replace(r#""gate""#, r#""kubeadm""#);
    machine.write(paths::STATE, &gated);
    machine.write("/etc/kubernetes/kubelet.conf", "whole");
    machine.write("/var/lib/kubelet/config.yaml", "whole");
    let credentials = signed.cert.pem() + &signed.signing_key.serialize_pem();
    machine.write(
        "/var/lib/kubelet/pki/kubelet-client-current.pem",
        &credentials,
    );
    assert_eq!(machine.install(), End::Exhausted);
    let (stage, cause, _) = machine.failure();
    assert_eq!(
        (stage, cause),
        (Some(Stage::Kubeadm), Cause::KubeadmUnreachable)
    );
    assert!(machine.calls_of("kubeadm").is_empty());
}

#[test]
fn a_gate_that_nobody_keeps_names_the_endpoint() {
    let machine = Machine::new();
    let authority = rcgen::generate_simple_self_signed(["demo".into()])
        .unwrap()
        .cert
        .pem();
    machine.plan(|plan| {
        plan.role = Role::JoinWorker;
        plan.certificate_authority = authority;
        plan.budgets.insert(Stage::Gate, 0);
    });
    assert_eq!(machine.install(), End::Exhausted);
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Gate), Cause::GateUnreachable));
    assert!(message.contains("127.0.0.1:1"), "{message}");
}

#[test]
fn the_event_log_has_no_gaps_and_only_the_state_is_private() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.install();
    machine.install();
    let sequences: Vec<_> = machine
        .events()
        .iter()
        .map(|event| event.sequence)
        .collect();
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    assert_eq!(mode(&machine.path(paths::EVENTS)), 0o644);
    assert_eq!(mode(&machine.path(paths::STATE)), 0o600);
}

#[test]
fn a_state_that_cannot_be_kept_is_said_on_the_console_and_left_to_systemd() {
    let machine = Machine::new();
    machine.plan(|_| {});
    // As unwritable as a full disk.
    machine.write("/var/lib/nkd", "");
    assert_eq!(machine.install(), End::Other(Some(1)));
    let line = machine.read(paths::ISSUE);
    assert!(
        line.contains("/var/lib/nkd/events.jsonl") && line.contains("[agent.state]"),
        "{line}"
    );
}

#[test]
fn settings_that_are_right_are_left_alone_and_the_others_set() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.install();
    assert_eq!(machine.read("/proc/sys/net/ipv4/ip_forward"), "1");
    assert_eq!(
        machine.read("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        "1\n"
    );
}

#[test]
fn a_cut_between_the_end_of_the_last_stage_and_ready_loses_and_doubles_neither() {
    let machine = Machine::new();
    machine.plan(|_| {});
    machine.install();
    let begun = machine.events();
    let mut state: serde_json::Value = serde_json::from_str(&machine.read(paths::STATE)).unwrap();
    let next = |place: u64, kind: Kind| Event {
        sequence: begun.len() as u64 + place,
        id: format!("id-{place}"),
        kind: kind.into(),
        cause: None,
        ..begun.last().unwrap().clone()
    };
    let last = [next(1, Kind::StageDone), next(2, Kind::Ready)];
    state["step"] = serde_json::json!({"is": "ready"});
    state["events"] = serde_json::to_value(&last).unwrap();
    machine.write(paths::STATE, &state.to_string());
    let done = serde_json::to_string(&last[0]).unwrap();
    machine.write(paths::EVENTS, &(machine.read(paths::EVENTS) + &done + "\n"));

    let reserve = machine.path("/var/lib/nkd/reserve");
    assert!(reserve.exists());
    assert_eq!(machine.install(), End::Ready);
    assert_eq!(machine.events(), [begun, last.to_vec()].concat());
    assert!(machine.path(paths::COMPLETE).exists());
    assert_eq!(machine.read(paths::CAPI_SENTINEL), "success\n");
    assert!(!reserve.exists(), "a Ready node needs no reserve");
}

#[test]
fn updates_of_the_os_are_started_after_the_mark_of_a_ready_node() {
    let machine = Machine::new();
    let authority = Authority::new();
    let any = "127.0.0.1:0".parse().unwrap();
    let api = Receiver::listen(any, &[READY], Some(&authority));
    give_credentials(&machine);
    machine.plan(|plan| {
        plan.certificate_authority.clone_from(&authority.pem);
        plan.endpoint = api.address.to_string();
        plan.budgets = [(Stage::Ready, 60)].into();
    });
    machine.write("/usr/lib/systemd/system/zincati.service", "");
    let mark = paths::COMPLETE;
    let start = format!(r#"case "$*" in *start\ zincati*) mv $ROOT{mark} $ROOT/held;; esac"#);
    machine.program("systemctl", &start);
    assert_eq!(machine.install(), End::Ready);
    assert!(machine.path("/held").exists(), "{:?}", machine.calls());
}
