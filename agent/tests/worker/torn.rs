//! Files that kubeadm and kubelet wrote just before the power was cut: they exist, without contents.

use nkd_contract::{Cause, Role, Stage, paths};

use super::cluster::{ANNOTATED, KUBELET_SETTINGS, write_control_plane};
use super::machine::Machine;
use super::ready::give_credentials;
use super::receiver::{Answer, Authority, Receiver};

const TORN: [&str; 2] = ["", "\0\0\0\0"];

/// A worker whose cluster doesn't know more than that it is up.
fn worker(machine: &Machine, answers: &[Answer]) -> Receiver {
    let authority = Authority::new();
    let any = "127.0.0.1:0".parse().unwrap();
    let api = Receiver::listen(any, answers, Some(&authority));
    machine.plan(|plan| {
        plan.role = Role::JoinWorker;
        plan.certificate_authority.clone_from(&authority.pem);
        plan.endpoint = api.address.to_string();
        plan.budgets.insert(Stage::Kubeadm, 0);
    });
    machine.program(
        "kubeadm",
        r#"case "$1" in
        reset) rm -r $ROOT/etc/kubernetes;;
        join) [ ! -e $ROOT/etc/kubernetes/kubelet.conf ];;
        esac"#,
    );
    api
}

#[test]
fn a_worker_whose_kubelet_has_no_credentials_left_is_reset() {
    for (config, credentials) in [(TORN[0], "whole"), (TORN[1], "whole"), ("whole", "")] {
        let machine = Machine::new();
        let _api = worker(&machine, &[]);
        give_credentials(&machine);
        if credentials.is_empty() {
            let pem = "/var/lib/kubelet/pki/kubelet-client-current.pem";
            machine.write(pem, credentials);
        }
        machine.write("/etc/kubernetes/kubelet.conf", config);
        machine.resets_and_joins();
    }
}

#[test]
fn a_worker_whose_kubelet_cannot_start_from_its_settings_is_reset_and_joins_anew() {
    for path in [KUBELET_SETTINGS, "/var/lib/kubelet/kubeadm-flags.env"] {
        for torn in TORN {
            let machine = Machine::new();
            let ok = Answer::Status(200);
            // The cluster knows the node from before the power cut.
            let _api = worker(&machine, &[ok, ok, ANNOTATED, ANNOTATED]);
            give_credentials(&machine);
            machine.write("/etc/kubernetes/kubelet.conf", "whole");
            machine.write(KUBELET_SETTINGS, "whole");
            machine.write(path, torn);
            machine.resets_and_joins();
        }
    }
}

#[test]
fn what_kubeadm_could_not_go_on_with_is_reset_though_it_had_come_to_nothing_else() {
    let all = [
        ("/etc/kubernetes/admin.conf", TORN[0]),
        ("/etc/kubernetes/scheduler.conf", TORN[1]),
        ("/etc/kubernetes/pki/apiserver.key", TORN[0]),
        // Its key had no name yet.
        ("/etc/kubernetes/pki/apiserver.crt", "whole"),
    ];
    for (path, left) in all {
        let machine = Machine::new();
        let _api = worker(&machine, &[]);
        machine.write(path, left);
        machine.resets_and_joins();
    }
}

#[test]
fn a_mark_does_not_count_without_kubelets_file() {
    for torn in TORN {
        let machine = Machine::new();
        let _api = worker(&machine, &[]);
        let plan: serde_json::Value = serde_json::from_str(&machine.read(paths::PLAN)).unwrap();
        let authority = plan["certificateAuthority"].as_str().unwrap();
        machine.write("/etc/kubernetes/nkd-member.crt", authority);
        machine.write("/etc/kubernetes/kubelet.conf", torn);
        machine.install();
        machine.lacks_only_its_api();
        assert_eq!(machine.calls_of("kubeadm").len(), 2);
    }
}

/// The node that makes the cluster, with etcd's data and these files torn.
fn init(torn: &[&str]) -> Machine {
    let machine = Machine::new();
    let authority = Authority::new();
    machine.plan(|plan| {
        plan.certificate_authority.clone_from(&authority.pem);
        plan.machine.addresses = vec!["127.0.0.1".parse().unwrap()];
        plan.machine.api_port = Some(1);
        plan.runs_etcd = true;
        plan.budgets.insert(Stage::Kubeadm, 0);
    });
    write_control_plane(&machine);
    machine.write("/etc/kubernetes/kubelet.conf", "whole");
    for half in ["apiserver.crt", "apiserver.key"] {
        machine.write(&format!("/etc/kubernetes/pki/{half}"), "whole");
    }
    for name in torn {
        machine.write(&format!("/etc/kubernetes/{name}"), "");
    }
    machine.write("/var/lib/etcd/member/wal/0", "the log");
    machine
}

#[test]
fn an_init_whose_files_are_torn_is_repaired_over_etcds_data() {
    let machine = init(&["kubelet.conf", "manifests/etcd.yaml", "pki/apiserver.key"]);
    machine.program(
        "kubeadm",
        "cd $ROOT/etc/kubernetes
        [ ! -e kubelet.conf ] && [ ! -e manifests/etcd.yaml ] || exit 1
        [ ! -e pki/apiserver.key ] && [ ! -e pki/apiserver.crt ] || exit 1
        [ -s admin.conf ] && [ -s pki/ca.key ] || exit 1
        echo again > kubelet.conf",
    );
    machine.install();
    machine.lacks_only_its_api();
    let calls = machine.calls_of("kubeadm");
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].starts_with("kubeadm init"), "{calls:?}");
    assert!(calls[0].contains("DirAvailable--var-lib-etcd"), "{calls:?}");
    assert_eq!(machine.read("/var/lib/etcd/member/wal/0"), "the log");
}

#[test]
fn a_kubeconfig_whose_credentials_are_torn_is_written_anew() {
    let machine = init(&[]);
    let pem = "/var/lib/kubelet/pki/kubelet-client-current.pem";
    machine.write("/etc/kubernetes/kubelet.conf", pem);
    std::fs::create_dir_all(machine.path("/var/lib/kubelet/pki")).unwrap();
    std::os::unix::fs::symlink("gone", machine.path(pem)).unwrap();
    machine.program("kubeadm", "[ ! -e $ROOT/etc/kubernetes/kubelet.conf ]");
    machine.install();
    machine.lacks_only_its_api();
    assert_eq!(machine.calls_of("kubeadm").len(), 1);
    assert!(std::fs::symlink_metadata(machine.path(pem)).is_err());
}

#[test]
fn an_init_that_had_torn_files_never_throws_etcds_data_away() {
    let machine = init(&["kubelet.conf"]);
    machine.program(
        "kubeadm",
        "echo anew > $ROOT/etc/kubernetes/kubelet.conf; exit 1",
    );
    for _ in 0..2 {
        machine.install();
        assert_eq!(machine.failure().1, Cause::KubeadmFailed);
    }
    let calls = machine.calls_of("kubeadm");
    assert!(
        calls.iter().all(|call| call.starts_with("kubeadm init")),
        "{calls:?}"
    );
    assert_eq!(machine.read("/var/lib/etcd/member/wal/0"), "the log");
}

#[test]
fn an_init_whose_etcd_had_written_nothing_yet_begins_anew() {
    let machine = init(&["kubelet.conf"]);
    std::fs::remove_file(machine.path("/var/lib/etcd/member/wal/0")).unwrap();
    // The first record of a log, a checksum, and space that is set aside.
    let mut log = vec![4, 0, 0, 0, 0, 0, 0, 0x84, 8, 4, 0x10, 0];
    log.resize(4096, 0);
    std::fs::write(machine.path("/var/lib/etcd/member/wal/0-0.wal"), log).unwrap();
    let mark = "/etc/kubernetes/nkd-init-repair";
    machine.write(mark, "");
    machine.program(
        "kubeadm",
        "[ \"$1\" = init ] || rm -r $ROOT/var/lib/etcd/member",
    );
    machine.install();
    machine.lacks_only_its_api();
    let calls = machine.calls_of("kubeadm");
    assert!(calls[0].starts_with("kubeadm reset"), "{calls:?}");
    assert!(calls[1].starts_with("kubeadm init"), "{calls:?}");
    assert!(!machine.path("/var/lib/etcd/member").exists());
    // What joins this cluster later must not be written over.
    assert!(!machine.path(mark).exists());
}

#[test]
fn an_init_that_had_torn_files_begins_anew_after_a_persons_reset() {
    let machine = init(&["kubelet.conf"]);
    machine.program("kubeadm", "exit 1");
    machine.install();
    std::fs::remove_dir_all(machine.path("/var/lib/etcd/member")).unwrap();
    machine.program("kubeadm", "exit 0");
    machine.install();
    machine.lacks_only_its_api();
    let last = machine.calls_of("kubeadm").pop().unwrap();
    assert!(!last.contains("--ignore-preflight-errors"), "{last}");
}
