//! The machine boots the OS image of its plan. `rpm-ostree` is a stand-in here: Debian has none, and
//! it needs a machine that was deployed by it. It answers as the real one does (`status --json`).

use nkd_contract::{Cause, Kind, Stage, paths};

use super::machine::{End, Machine};

const IMAGE: &str = "registry.example.org/nestos@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A machine that runs another image than its plan's.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.program(
        "rpm-ostree",
        r#"case "$1" in
        status) cat $ROOT/deployments;;
        rebase) for last; do :; done
            echo "{\"deployments\": [
                {\"booted\": false, \"staged\": true, \"container-image-reference\": \"$last\"},
                {\"booted\": true, \"checksum\": \"c0ffee\"}]}" > $ROOT/deployments;;
        esac"#,
    );
    machine.write(
        "/deployments",
        r#"{"deployments": [{"booted": true, "checksum": "c0ffee"}]}"#,
    );
    machine.plan(|plan| {
        plan.os_image = Some(IMAGE.into());
        plan.budgets.insert(Stage::Pivot, 0);
    });
    machine
}

/// What the boot loader does: what comes first is booted.
fn boot_the_first(machine: &Machine) {
    let deployments = machine.read("/deployments");
    let mut status: serde_json::Value = serde_json::from_str(&deployments).unwrap();
    for (index, deployment) in status["deployments"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .enumerate()
    {
        deployment["booted"] = (index == 0).into();
    }
    machine.write("/deployments", &status.to_string());
    machine.reboot();
}

#[test]
fn the_image_is_deployed_by_its_digest_and_booted_before_anything_is_looked_at() {
    let machine = machine();
    // The image is what brings kubeadm.
    std::fs::remove_file(machine.path("/usr/bin/kubeadm")).unwrap();
    assert_eq!(machine.attempt(), End::Exhausted);
    let (stage, cause, message) = machine.failure();
    assert_eq!(
        (stage, cause),
        (Some(Stage::Pivot), Cause::PivotReboot),
        "{message}"
    );
    let rebase = format!(
        "rpm-ostree rebase --experimental --bypass-driver ostree-unverified-registry:{IMAGE}"
    );
    assert_eq!(
        machine.calls_of("rpm-ostree"),
        ["rpm-ostree status --json".to_owned(), rebase]
    );
    assert_eq!(machine.calls_of("systemctl"), ["systemctl reboot"]);

    machine.program("kubeadm", "exit 0");
    boot_the_first(&machine);
    machine.install();
    machine.lacks_only_its_api();
    let runs = machine.events().into_iter().filter(|event| {
        event.kind == Kind::Progress && event.message == format!("the machine runs {IMAGE}")
    });
    assert_eq!(runs.count(), 1);
    assert_eq!(machine.calls_of("rpm-ostree").len(), 3);
}

#[test]
fn what_an_image_list_led_to_is_known_by_its_digest() {
    let machine = machine();
    let digest = IMAGE.rsplit_once('@').unwrap().1;
    machine.write(
        "/deployments",
        &format!(
            r#"{{"deployments": [{{"booted": true, "container-image-reference":
                "ostree-unverified-registry:registry.example.org/nestos:24.03",
                "container-image-reference-digest": "{digest}"}}]}}"#
        ),
    );
    machine.install();
    machine.lacks_only_its_api();
}

#[test]
fn an_image_that_is_deployed_already_only_needs_the_reboot() {
    let machine = machine();
    machine.attempt();
    machine.reboot();
    machine.attempt();
    let rebases = machine.calls_of("rpm-ostree").into_iter();
    assert_eq!(rebases.filter(|call| call.contains("rebase")).count(), 1);
    assert_eq!(machine.calls_of("systemctl").len(), 2);
}

#[test]
fn an_image_that_never_boots_stops_it_instead_of_the_machine_rebooting_for_ever() {
    let machine = machine();
    for _ in 0..4 {
        machine.attempt();
        // The boot loader falls back to the old one.
        machine.write(
            "/deployments",
            r#"{"deployments": [{"booted": true, "checksum": "c0ffee"}]}"#,
        );
        machine.reboot();
    }
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Pivot), Cause::PivotNotBooted));
    assert!(
        message.ends_with("the machine still runs c0ffee"),
        "{message}"
    );
    assert_eq!(machine.calls_of("systemctl").len(), 3);
}

#[test]
fn a_reboot_that_is_refused_is_none_and_is_ordered_again() {
    let machine = machine();
    let script = "[ \"$1\" != reboot ] || { echo 'a job holds it up' >&2; exit 1; }";
    machine.program("systemctl", script);
    for _ in 0..5 {
        machine.install();
        let (stage, cause, message) = machine.failure();
        assert_eq!((stage, cause), (Some(Stage::Pivot), Cause::PivotReboot));
        assert!(message.contains("a job holds it up"), "{message}");
    }
}

#[test]
fn after_an_image_that_never_boots_a_retry_reboots_again() {
    let machine = machine();
    let fall_back = || {
        let old = r#"{"deployments": [{"booted": true, "checksum": "c0ffee"}]}"#;
        machine.write("/deployments", old);
        machine.reboot();
    };
    for _ in 0..4 {
        machine.install();
        fall_back();
    }
    assert_eq!(machine.failure().1, Cause::PivotNotBooted);
    machine.install();
    assert_eq!(machine.failure().1, Cause::PivotReboot);
}

#[test]
fn a_registry_that_does_not_answer_is_told_in_rpm_ostrees_words() {
    let machine = machine();
    machine.program(
        "rpm-ostree",
        r#"case "$1" in
        status) cat $ROOT/deployments;;
        rebase) echo "error: Creating importer: failed to invoke method OpenImage: pinging container registry" >&2; exit 1;;
        esac"#,
    );
    assert_eq!(machine.install(), End::Exhausted);
    let (_, cause, message) = machine.failure();
    assert_eq!(cause, Cause::PivotRebase);
    assert!(message.contains("pinging container registry"), "{message}");
    assert!(machine.calls_of("systemctl").is_empty());
    assert_eq!(machine.read(paths::PIVOT), "");
}

#[test]
fn a_plan_without_an_image_leaves_the_os_alone() {
    let machine = machine();
    machine.plan(|_| {});
    machine.install();
    assert!(machine.calls_of("rpm-ostree").is_empty());
    machine.lacks_only_its_api();
}
