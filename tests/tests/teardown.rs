//! Nothing is left behind, however a lab's owner ends.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::{Cache, Lab};

/// A process that has a lab with a running machine.
fn owner() -> Child {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_hold"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains(" holds "));
    owner
}

/// What there is of a process's labs outside of the process.
fn remains(owner: u32) -> Vec<String> {
    let name = format!("nkd-lab-{owner}-");
    let mut found = Vec::new();
    let labs = Cache::open().unwrap().directory().join("labs");
    let cgroups = fs::read_dir("/sys/fs/cgroup")
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let directories = [
        "/run/netns".into(),
        "/run/systemd/nspawn/propagate".into(),
        labs,
    ];
    for directory in cgroups.chain(directories) {
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let entries =
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name));
        found.extend(entries.map(|entry| entry.path().display().to_string()));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&name))
            .map(str::to_owned),
    );
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let read = |file| fs::read_to_string(process.path().join(file)).unwrap_or_default();
        // A zombie waits for its parent, and is no more than a number.
        if read("cgroup").contains(&name) && !read("status").contains("State:\tZ") {
            found.push(process.path().display().to_string());
        }
    }
    found
}

#[test]
fn an_interrupted_owner_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut owner = owner();
        assert!(remains(owner.id()).len() > 10, "the machine runs");
        kill(Pid::from_raw(owner.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(owner.wait().unwrap().code(), Some(128 + signal as i32));
        assert_eq!(remains(owner.id()), Vec::<String>::new());
    }
}

#[test]
fn what_a_killed_owner_leaves_is_gone_with_the_next_lab() {
    let mut owner = owner();
    owner.kill().unwrap();
    owner.wait().unwrap();
    let lab = Lab::new(&Cache::open().unwrap()).unwrap();
    assert_eq!(remains(owner.id()), Vec::<String>::new());
    assert!(Path::new("/run/netns").join(lab.name()).exists());
}

#[test]
fn a_lab_that_ends_leaves_nothing() {
    let lab = Lab::new(&Cache::open().unwrap()).unwrap();
    assert!(!remains(std::process::id()).is_empty());
    drop(lab);
    assert_eq!(remains(std::process::id()), Vec::<String>::new());
}
