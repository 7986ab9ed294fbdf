//! What the reporter and its unit promise each other.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use nkd_contract::{Kind, Stage, names};

use super::lab::{Bus, Machine, PATIENCE, event};

/// What is told to systemd, up to and including a line.
fn notified(socket: &UnixDatagram, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]);
        lines.extend(text.lines().map(str::to_owned));
        if lines.iter().any(|line| line == last) {
            return lines;
        }
    }
}

fn notify_socket(machine: &Machine) -> UnixDatagram {
    let socket = UnixDatagram::bind(machine.path("/notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn systemd_is_told_readiness_state_life_and_end() {
    let machine = Machine::new();
    let socket = notify_socket(&machine);
    let bus = Bus::start(&machine.path("/bus"));
    let reporter = machine.report(&bus.socket);
    notified(&socket, "READY=1");
    notified(&socket, "WATCHDOG=1");
    machine.log(&[event(1, Kind::StageStarted)]);
    notified(
        &socket,
        &format!("STATUS=cp1 is installing, stage {}", Stage::Images),
    );
    assert!(reporter.stop().success());
    notified(&socket, "STOPPING=1");
}

#[test]
fn it_is_ready_without_a_bus_because_callbacks_need_none() {
    let machine = Machine::new();
    let socket = notify_socket(&machine);
    let _reporter = machine.report_without_bus();
    notified(&socket, "READY=1");
}

#[test]
fn without_the_logs_directory_it_ends_with_an_error_for_systemd_to_try_again() {
    let machine = Machine::new();
    std::fs::remove_dir(machine.path("/var/lib/nkd")).unwrap();
    let reporter = machine.report_without_bus();
    reporter.wait_for_line("following ");
    assert_eq!(reporter.end().code(), Some(1));
}

/// A file of those that are laid into the image.
fn unit_file(name: &str) -> PathBuf {
    let units = "../systemd/usr/lib/systemd/system";
    Path::new(env!("CARGO_MANIFEST_DIR")).join(units).join(name)
}

#[test]
fn the_units_are_there_and_wanted_without_presets() {
    assert!(unit_file(names::READY_TARGET).is_file());
    for unit in ["nkd-agent.service", "nkd-reporter.service"] {
        let link = unit_file("multi-user.target.wants").join(unit);
        assert_eq!(fs::read_link(link).unwrap(), Path::new("..").join(unit));
        assert!(unit_file(unit).is_file());
    }
}

/// Exposure is told from 0.0 to 10.0, limits in tenths.
fn is_exposed_at_most(unit: &str, tenths: u32) {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(format!("--threshold={tenths}"))
        .arg(unit_file(unit))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// It was 1.1 when this was written.
#[test]
fn the_reporters_sandbox_stays_tight() {
    is_exposed_at_most("nkd-reporter.service", 15);
}

/// It was 7.1 when this was written, and 9.6 without any fence.
#[test]
fn the_workers_fence_stays_up() {
    is_exposed_at_most("nkd-agent.service", 72);
}
