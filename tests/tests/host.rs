//! What a machine brings along besides nkd: a program on a port of Kubernetes', an updater that would
//! reboot it, hooks of the user's.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use nkd_contract::{Cause, Event, Kind, paths};
use testbed::Machine;
use testbed::events::await_event;
use testbed::scenario::{Scenario, wait_until_ready};

const PATIENCE: Duration = Duration::from_secs(300);

/// Listens on kubelet's port, and goes away after a while.
const SQUATTER: &str = "\
[Unit]
Before=nkd-agent.service
[Service]
Type=exec
ExecStart=/usr/bin/timeout 20 /usr/bin/socat TCP-LISTEN:10250,fork /dev/null
";

/// A stand-in for zincati, which Debian doesn't have: runs, and does nothing.
const UPDATER: &str = "[Service]\nType=exec\nExecStart=/usr/bin/sleep infinity\n";

const HOOK: &str = "#!/bin/sh\necho \"before $NKD_STAGE of $NKD_NODE\"\n";

/// A unit that is started at every boot.
fn add_unit(machine: &Machine, name: &str, text: &str) {
    machine
        .write(&format!("/etc/systemd/system/{name}"), text)
        .unwrap();
    enable(machine, name, &format!("../{name}"));
}

fn enable(machine: &Machine, name: &str, unit: &str) {
    let wants = machine
        .root()
        .join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink(unit, wants.join(name)).unwrap();
}

#[test]
fn updates_wait_a_taken_port_is_named_and_hooks_run_on_the_way_to_ready() {
    let scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let machine = scenario.machine(&cluster, "cp1").unwrap();
    add_unit(&machine, "squatter.service", SQUATTER);
    add_unit(&machine, "zincati.service", UPDATER);
    let hook = "pre-kubeadm.d/10-note";
    let path = format!("{}/{hook}", paths::HOOKS);
    let at = machine.root().join(path.trim_start_matches('/'));
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    machine.write(&path, HOOK).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
    machine.boot().unwrap();

    let taken = |event: &Event| {
        event.kind == Kind::AttemptFailed && event.cause == Some(Cause::HostPort.into())
    };
    let message = await_event(&machine, 0, PATIENCE, taken).unwrap().message;
    assert!(
        message.contains("port 10250 is already used by socat (process ")
            && message.contains(" of squatter.service)"),
        "{message}"
    );
    let zincati = machine.run(["systemctl", "is-active", "zincati"]).unwrap();
    assert_eq!(zincati.stdout, b"inactive\n");

    wait_until_ready(&machine, PATIENCE).unwrap();
    machine
        .wait_for("the updates to be let go", Duration::from_secs(30), || {
            let zincati = machine.run(["systemctl", "is-active", "zincati"])?;
            Ok(zincati.stdout == b"active\n")
        })
        .unwrap();
    let field = format!("NKD_HOOK={hook}");
    let said = machine.journal(&["--output=cat", &field]).unwrap();
    assert!(
        said.contains(&format!("{hook}: before kubeadm of cp1")),
        "{said}"
    );
}

#[test]
fn firewalld_goes_on_running_and_lets_the_cluster_through() {
    let scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let machines = ["cp1", "w1"].map(|node| scenario.machine(&cluster, node).unwrap());
    for machine in &machines {
        let unit = "firewalld.service";
        enable(machine, unit, &format!("/usr/lib/systemd/system/{unit}"));
        machine.boot().unwrap();
    }
    let [control_plane, worker] = machines;
    wait_until_ready(&control_plane, PATIENCE).unwrap();
    wait_until_ready(&worker, PATIENCE).unwrap();

    let opened = |machine: &Machine| {
        machine.check(["firewall-cmd", "--state"]).unwrap();
        machine.check(["firewall-cmd", "--list-ports"]).unwrap()
    };
    assert!(opened(&control_plane).contains("6443/tcp"));
    assert!(opened(&worker).contains("10250/tcp"));
    // What isn't Kubernetes' stays shut, though something listens there.
    let listen = ["systemd-run", "--unit=listener", "socat"];
    let listen = listen
        .into_iter()
        .chain(["TCP-LISTEN:9999,fork", "/dev/null"]);
    worker.check(listen).unwrap();
    let reaches = |machine: &Machine, address: &str| {
        let connect = format!("socat -u /dev/null TCP:{address}:9999,connect-timeout=3");
        machine
            .run(["sh", "-c", &connect])
            .unwrap()
            .status
            .success()
    };
    worker
        .wait_for("the listener", PATIENCE, || {
            Ok(reaches(&worker, "127.0.0.1"))
        })
        .unwrap();
    assert!(!reaches(&control_plane, "10.200.0.12"));

    // The API reaches the worker's kubelet, and does so on later boots.
    let kubelet_answers = || {
        let ask = ["get", "--raw", "/api/v1/nodes/w1/proxy/healthz"];
        let said = cluster.kubectl(&scenario.lab, &scenario.kubernetes, &ask)?;
        Ok(said == "ok")
    };
    let answer = "the API to reach the kubelet";
    worker.wait_for(answer, PATIENCE, kubelet_answers).unwrap();
    worker.power_off().unwrap();
    worker.boot().unwrap();
    worker.wait_for(answer, PATIENCE, kubelet_answers).unwrap();
    assert!(opened(&worker).contains("10250/tcp"));
}
