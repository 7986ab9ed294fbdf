//! What is applied to a cluster, and what is never applied a second time.

use nkd_contract::{Cause, Plan, Stage, paths};
use serde_json::json;

use super::machine::Machine;

const MANIFEST: &str = "/etc/nkd/addons/00-network.yaml";
const SECOND: &str = "/etc/nkd/addons/01-storage.yaml";
const COREFILE: &str =
    ".:53 {\n    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n}\n";

fn with_manifests(manifests: &[&str]) -> Machine {
    let machine = Machine::new();
    machine.plan(|plan| {
        plan.addons = manifests.iter().map(ToString::to_string).collect();
        plan.budgets.insert(Stage::Addons, 0);
    });
    // It was made here, and isn't made again on the next boot.
    machine.program("kubeadm", "echo whole > $ROOT/etc/kubernetes/kubelet.conf");
    for manifest in manifests {
        machine.write(manifest, "kind: ConfigMap");
    }
    machine
}

/// How kubectl was called to apply something.
fn applied(machine: &Machine) -> Vec<String> {
    let mut calls = machine.calls_of("kubectl");
    calls.retain(|call| call.contains(" apply "));
    calls
}

#[test]
fn what_was_applied_is_not_applied_again_on_the_next_boot() {
    let machine = with_manifests(&[MANIFEST, SECOND]);
    machine.program("kubectl", r#"case "$*" in *01-*) exit 1;; esac"#);
    machine.install();
    assert_eq!(machine.failure().1, Cause::AddonsApply);
    machine.reboot();
    machine.program("kubectl", "exit 0");
    machine.install();
    assert_eq!(machine.failure().0, Some(Stage::Ready));
    machine.reboot();
    machine.install();
    let files = applied(&machine);
    let files: Vec<_> = files
        .iter()
        .filter_map(|call| call.rsplit(' ').next())
        .collect();
    assert_eq!(files, [MANIFEST, SECOND, SECOND]);
}

/// The same with a budget of a second and this kubectl, after its worker has run.
fn with_failing_manifests(manifests: &[&str], kubectl: &str) -> Machine {
    let machine = with_manifests(manifests);
    let mut plan = Plan::parse(machine.read(paths::PLAN).as_bytes()).unwrap();
    plan.budgets.insert(Stage::Addons, 1);
    machine.write(paths::PLAN, &serde_json::to_string(&plan).unwrap());
    machine.program("kubectl", kubectl);
    machine.install();
    machine
}

#[test]
fn add_ons_of_which_one_never_succeeds_are_given_up() {
    // In each attempt, less is left when the second is applied than at the beginning.
    let kubectl = r#"case "$*" in *01-*)
        echo >> $ROOT/tries; [ $(wc -l < $ROOT/tries) -ge 6 ];; esac"#;
    let machine = with_failing_manifests(&[MANIFEST, SECOND], kubectl);
    let (stage, cause, message) = machine.failure();
    let expected = (Some(Stage::Addons), Cause::AddonsApply);
    assert_eq!((stage, cause), expected, "{message}");
}

#[test]
fn add_ons_that_get_further_are_not_given_up_whatever_was_left_of_earlier_stages() {
    let third = "/etc/nkd/addons/02-more.yaml";
    let kubectl = r#"for last; do :; done
        case "$*" in *apply*)
        mkdir "$ROOT/seen-${last##*/}" 2> /dev/null || exit 0
        sleep 0.8; exit 1;; esac"#;
    let machine = with_failing_manifests(&[MANIFEST, SECOND, third], kubectl);
    machine.lacks_only_its_api();
}

#[test]
fn a_manifest_that_was_changed_is_applied_again() {
    let machine = with_manifests(&[MANIFEST]);
    machine.install();
    machine.write(MANIFEST, "kind: Secret");
    machine.reboot();
    machine.install();
    assert_eq!(applied(&machine).len(), 2);
}

#[test]
fn a_cluster_that_is_made_anew_gets_all_its_manifests() {
    let machine = with_manifests(&[MANIFEST]);
    machine.install();
    // What a person's `kubeadm reset` takes away.
    std::fs::remove_file(machine.path("/etc/kubernetes/kubelet.conf")).unwrap();
    machine.reboot();
    machine.install();
    assert_eq!(machine.failure().0, Some(Stage::Ready));
    assert_eq!(machine.calls_of("kubeadm").len(), 2);
    assert_eq!(applied(&machine).len(), 2);
}

#[test]
fn only_what_is_too_large_for_an_annotation_is_applied_on_the_server() {
    for (refusal, times) in [
        (
            "metadata.annotations: Too long: must have at most 262144 bytes",
            2,
        ),
        (
            "metadata.annotations: Too long: may not be more than 262144 bytes",
            2,
        ),
        ("spec.names: Too long: must have at most 63 bytes", 1),
    ] {
        let machine = with_manifests(&[MANIFEST]);
        // The line of interest isn't among the last, which alone an error remembers.
        let refuses = format!(
            r#"case "$*" in *apply*--server-side*) ;; *apply*) echo "{refusal}"; seq 9; exit 1;; esac"#
        );
        machine.program("kubectl", &refuses);
        machine.install();
        let calls = applied(&machine);
        assert_eq!(calls.len(), times, "{calls:?}");
        let (stage, cause, _) = machine.failure();
        if times == 1 {
            assert_eq!((stage, cause), (Some(Stage::Addons), Cause::AddonsApply));
            continue;
        }
        assert_eq!(stage, Some(Stage::Ready));
        let on_the_server = "apply --filename /etc/nkd/addons/00-network.yaml --server-side \
                             --force-conflicts --field-manager nkd-agent";
        assert!(calls[1].ends_with(on_the_server), "{calls:?}");
    }
}

#[test]
fn coredns_gets_a_further_server_that_fails_at_once_before_a_network_starts_it_and_only_once() {
    let machine = with_manifests(&[MANIFEST]);
    machine.write("/corefile", COREFILE);
    let kubectl = r#"case "$*" in
        *get*) cat $ROOT/corefile;;
        *patch*) for last; do :; done; printf %s "$last" > $ROOT/patch;;
    esac"#;
    machine.program("kubectl", &kubectl.replace("*patch*)", "*patch*) exit 1;"));
    machine.install();
    assert_eq!(machine.failure().1, Cause::AddonsApply);
    assert_eq!(applied(&machine).len(), 0);

    machine.reboot();
    machine.write("/calls", "");
    machine.program("kubectl", kubectl);
    machine.install();
    let calls = machine.calls_of("kubectl");
    let patch: serde_json::Value = serde_json::from_str(&machine.read("/patch")).unwrap();
    let changed = ".:53 {\n    forward . /etc/resolv.conf 127.0.0.1:9 {\n       policy sequential\n       \
                   max_concurrent 1000\n    }\n}\n";
    let wanted = json!([
        {"op": "test", "path": "/data/Corefile", "value": COREFILE},
        {"op": "replace", "path": "/data/Corefile", "value": changed},
    ]);
    assert_eq!(patch, wanted);
    assert!(calls[2].contains(MANIFEST), "{calls:?}");

    machine.reboot();
    machine.install();
    assert_eq!(machine.calls_of("kubectl").len(), 3);
}

#[test]
fn a_corefile_that_is_not_kubeadms_is_left_alone() {
    for corefile in ["", ".:53 {\n    forward . 10.0.0.53\n}\n"] {
        let machine = with_manifests(&[]);
        machine.write("/corefile", corefile);
        machine.program(
            "kubectl",
            r#"case "$*" in *get*) cat $ROOT/corefile;; esac"#,
        );
        machine.install();
        assert_eq!(machine.failure().0, Some(Stage::Ready));
        assert_eq!(machine.calls_of("kubectl").len(), 1);
    }
}

#[test]
fn without_manifests_an_image_needs_no_kubectl_and_the_node_says_what_it_lacks() {
    let machine = with_manifests(&[]);
    std::fs::remove_file(machine.path("/usr/bin/kubectl")).unwrap();
    machine.install();
    assert_eq!(machine.failure().0, Some(Stage::Ready));
    let message = "without kubectl, CoreDNS only starts on nodes with a name server";
    assert!(
        machine
            .events()
            .iter()
            .any(|event| event.message == message)
    );
}
