//! An output in the place of an earlier one: whole, and nothing of anybody else's is touched.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{compile, demo, nkd, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::{Digest as _, Sha256};

/// A cluster file with this many workers.
fn cluster(directory: &Path, version: &str, workers: usize) -> PathBuf {
    let mut text = format!(
        "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\nspec:\n  \
         kubernetes: {{version: {version}, etcd: {{inMemory: true}}}}\n  nodes:\n    \
         - {{name: cp1, role: control-plane, address: 10.200.0.11}}\n"
    );
    for worker in 1..=workers {
        writeln!(
            text,
            "    - {{name: w{worker}, role: worker, address: 10.201.{}.{}}}",
            worker / 200,
            worker % 200 + 1
        )
        .unwrap();
    }
    let path = directory.join(format!("cluster-{version}-{workers}.yaml"));
    fs::write(&path, text).unwrap();
    path
}

fn start(cluster_file: &Path, out: &Path) -> Child {
    Command::new("/bin/sh")
        .args([
            "-c",
            "umask 022; exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_nkd"),
            "compile",
        ])
        .arg(cluster_file)
        .arg("-o")
        .arg(out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    kill(pid, signal).unwrap();
}

/// The staging directories in a directory.
fn staged(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(".nkd-")
        })
        .collect()
}

/// A run that is stopped while its staging directory has some files in it.
fn stopped(cluster_file: &Path, out: &Path, watched: &Path) -> (Child, PathBuf) {
    for _ in 0..20 {
        let mut child = start(cluster_file, out);
        while child.try_wait().unwrap().is_none() {
            let Some(path) = staged(watched).pop() else {
                continue;
            };
            signal(&child, Signal::SIGSTOP);
            if fs::read_dir(&path).is_ok_and(|entries| entries.count() > 1) {
                return (child, path);
            }
            signal(&child, Signal::SIGCONT);
        }
    }
    panic!("no run could be stopped in time");
}

/// Asserts that an output has exactly what its lock file lists.
fn assert_whole(out: &Path) {
    assert_whole_but(out, &[]);
}

/// The same beside what is not nkd's in the directory of nodes.
fn assert_whole_but(out: &Path, others: &[&str]) {
    let lock = fs::read(out.join("cluster.lock")).unwrap();
    let lock: serde_json::Value = serde_json::from_slice(&lock).unwrap();
    let listed: BTreeMap<String, String> = serde_json::from_value(lock["outputs"].clone()).unwrap();
    for (name, digest) in &listed {
        let text = fs::read(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let actual = base16ct::lower::encode_string(&Sha256::digest(text));
        assert_eq!(*digest, format!("sha256:{actual}"), "{name}");
    }
    let nodes = fs::read_dir(out.join("nodes")).unwrap().count();
    let listed_nodes = listed.keys().filter(|name| name.starts_with("nodes/"));
    assert_eq!(nodes, listed_nodes.count() + others.len());
}

#[test]
fn what_a_killed_run_left_is_private_and_removed_by_the_next_and_nothing_else_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let file = cluster(at, "v1.31.2", 150);
    let (mut alive, of_alive) = stopped(&file, &at.join("alive"), at);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&of_alive), 0o700);
    let foreign = [".nkd-cache", ".nkd-output-abcdef"].map(|name| at.join(name));
    for path in &foreign {
        fs::DirBuilder::new().mode(0o700).create(path).unwrap();
        fs::write(path.join("thesis.txt"), "years of work").unwrap();
    }
    // Another run's marker doesn't make somebody's open directory one of nkd's, nor a link.
    let open = at.join(".nkd-output-open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(of_alive.join("nkd-staging"), open.join("nkd-staging")).unwrap();
    symlink(&foreign[0], at.join(".nkd-output-link")).unwrap();
    let before = staged(at).len();

    compile(&demo(), &at.join("out"), &[]);
    assert!(of_alive.exists(), "of a run that is alive");
    assert_eq!(staged(at).len(), before);
    signal(&alive, Signal::SIGKILL);
    alive.wait().unwrap();
    compile(&demo(), &at.join("out2"), &[]);
    assert!(!of_alive.exists(), "of a run that was killed");
    assert_eq!(staged(at).len(), before - 1);
    for path in &foreign {
        assert!(path.join("thesis.txt").exists(), "{}", path.display());
    }
}

#[test]
fn a_first_output_is_there_as_a_whole_or_not_at_all_whenever_its_run_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let file = cluster(at, "v1.31.2", 40);
    let began = Instant::now();
    assert!(start(&file, &at.join("timed")).wait().unwrap().success());
    let took = began.elapsed();
    for round in 0..25 {
        let out = at.join(format!("out{round}"));
        let mut child = start(&file, &out);
        std::thread::sleep(took * round / 22);
        let _ = child.kill();
        child.wait().unwrap();
        if out.exists() {
            assert_whole(&out);
        }
    }
}

#[test]
fn an_output_replaced_stays_whole_file_by_file_and_as_a_whole_after_the_next_run() {
    let directory = tempfile::tempdir().unwrap();
    let (at, out) = (directory.path(), directory.path().join("out"));
    let files = [cluster(at, "v1.31.2", 40), cluster(at, "v1.30.1", 30)];
    compile(&files[0], &out, &[]);
    fs::write(out.join("thesis.txt"), "years of work").unwrap();
    let secrets = fs::read(out.join("secrets.json")).unwrap();
    let began = Instant::now();
    compile(&files[1], &out, &[]);
    let took = began.elapsed();
    for round in 0..25_u32 {
        let mut child = start(&files[usize::from(round % 2 == 1)], &out);
        std::thread::sleep(took * round / 22);
        let _ = child.kill();
        child.wait().unwrap();
        assert!(fs::read(out.join("secrets.json")).unwrap() == secrets);
        for node in fs::read_dir(out.join("nodes")).unwrap() {
            let text = fs::read(node.unwrap().path()).unwrap();
            serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        }
        // Whoever asks nkd sees one state or the other.
        let run = nkd(at, &["explain", "out", "cp1"]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        assert_whole(&out);
        assert_eq!(
            fs::read_to_string(out.join("thesis.txt")).unwrap(),
            "years of work"
        );
        assert!(staged(at).is_empty());
    }
    compile(&files[1], &out, &[]);
    assert_eq!(fs::read_dir(out.join("nodes")).unwrap().count(), 31);
    assert!(staged(&out).is_empty());
}

/// What a run leaves that is killed between two of its moves, which no clock hits.
#[test]
fn what_was_committed_is_finished_by_the_next_command() {
    let directory = tempfile::tempdir().unwrap();
    let (at, out) = (directory.path(), directory.path().join("out"));
    let (old, new) = (cluster(at, "v1.31.2", 3), cluster(at, "v1.30.1", 2));
    compile(&old, &out, &[]);
    let (other, secrets) = (at.join("other"), out.join("secrets.json"));
    compile(&new, &other, &["--secrets", secrets.to_str().unwrap()]);
    let stale = Sha256::digest(fs::read(out.join("nodes/w3.ign")).unwrap());
    let stale = format!("sha256:{}", base16ct::lower::encode_string(&stale));
    let staging = out.join(".nkd-output-killed");
    for path in [
        staging.clone(),
        staging.join("fresh"),
        staging.join("fresh/nodes"),
    ] {
        fs::DirBuilder::new().mode(0o700).create(path).unwrap();
    }
    let mark =
        "An unfinished output of nkd, with secrets in it. The next nkd compile removes it.\n";
    fs::write(staging.join("nkd-staging"), mark).unwrap();
    let fresh = [
        "nodes/cp1.ign",
        "nodes/w1.ign",
        "nodes/w2.ign",
        "kubeconfig",
        "cluster.lock",
    ];
    for (index, name) in fresh.iter().enumerate() {
        // The first two have come to their place already.
        let to = if index < 2 {
            out.clone()
        } else {
            staging.join("fresh")
        };
        fs::copy(other.join(name), to.join(name)).unwrap();
    }
    let commit = serde_json::json!({"fresh": fresh, "stale": {"nodes/w3.ign": stale}});
    fs::write(staging.join("commit.json"), commit.to_string()).unwrap();
    let run = nkd(at, &["explain", "out", "w2"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(staged(&out).is_empty());
    assert_whole(&out);
    assert!(!out.join("nodes/w3.ign").exists());
    for name in fresh {
        assert!(
            fs::read(out.join(name)).unwrap() == fs::read(other.join(name)).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn one_node_compiled_again_leaves_the_others_and_files_of_users_stay() {
    let directory = tempfile::tempdir().unwrap();
    let (at, out) = (directory.path(), directory.path().join("out"));
    let file = cluster(at, "v1.31.2", 3);
    let pxe = [
        "--target",
        "pxe",
        "--target",
        "aws",
        "--url",
        "http://10.0.0.1:8080",
    ];
    compile(&file, &out, &pxe);
    for live in ["pxe/live", "nodes/live"] {
        fs::create_dir(out.join(live)).unwrap();
        fs::write(out.join(live).join("kernel"), "a kernel").unwrap();
    }
    fs::write(out.join("thesis.txt"), "years of work").unwrap();
    let kept = [
        "nodes/cp1.ign",
        "nodes/w2.ign",
        "aws/cp1.ign",
        "pxe/cp1.ipxe",
        "secrets.json",
    ];
    let bytes = || kept.map(|name| fs::read(out.join(name)).unwrap());
    let before = bytes();
    let asked_for = fs::read(out.join("nodes/w1.ign")).unwrap();
    let newer = cluster(at, "v1.31.3", 3);
    compile(&newer, &out, &["--node", "w1"]);
    assert!(bytes() == before);
    assert_ne!(fs::read(out.join("nodes/w1.ign")).unwrap(), asked_for);
    assert_whole_but(&out, &["live"]);
    assert!(
        !out.join("aws/w1.ign").exists(),
        "of another version than the node"
    );
    let run = nkd(at, &["explain", "out", "w2"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);

    // A node that is gone goes; a file that somebody has changed since is theirs.
    fs::write(out.join("nodes/w3.ign"), "{\"changed\": true}").unwrap();
    compile(&cluster(at, "v1.31.3", 1), &out, &[]);
    assert!(!out.join("nodes/w2.ign").exists());
    assert!(!out.join("pxe/cp1.ipxe").exists() && !out.join("aws").exists());
    for name in [
        "pxe/live/kernel",
        "nodes/live/kernel",
        "nodes/w3.ign",
        "thesis.txt",
    ] {
        assert!(out.join(name).exists(), "{name}");
    }
    // And is not overwritten when there is such a node again.
    let back = file.to_str().unwrap();
    let run = nkd(at, &["compile", back, "-o", "out"]);
    assert_eq!(run.status, Some(3), "{}", run.stderr);
    assert!(
        run.stderr.contains("NKD0403") && run.stderr.contains("nodes/w3.ign"),
        "{}",
        run.stderr
    );
    assert!(!out.join("nodes/w2.ign").exists(), "nothing is written");
}

#[test]
fn a_lock_file_leads_to_nothing_outside_of_the_output() {
    let directory = tempfile::tempdir().unwrap();
    let (at, out) = (directory.path(), directory.path().join("out"));
    compile(&demo(), &out, &[]);
    fs::write(at.join("thesis.txt"), "years of work").unwrap();
    let digest = base16ct::lower::encode_string(&Sha256::digest("years of work"));
    let lock = fs::read_to_string(out.join("cluster.lock")).unwrap();
    let lock = lock.replace(
        "\"outputs\": {",
        &format!("\"outputs\": {{\"../thesis.txt\": \"sha256:{digest}\","),
    );
    fs::write(out.join("cluster.lock"), lock).unwrap();
    compile(&demo(), &out, &[]);
    assert!(at.join("thesis.txt").exists());
}

#[test]
fn runs_at_the_same_time_make_one_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let (at, out) = (directory.path(), directory.path().join("out"));
    let file = cluster(at, "v1.31.2", 20);
    for _ in 0..3 {
        let mut runs: Vec<_> = (0..8).map(|_| start(&file, &out)).collect();
        let first = loop {
            if let Ok(secrets) = fs::read(out.join("secrets.json")) {
                break secrets;
            }
        };
        for run in &mut runs {
            assert!(run.wait().unwrap().success());
        }
        assert!(
            fs::read(out.join("secrets.json")).unwrap() == first,
            "other secrets"
        );
        assert_whole(&out);
        assert!(staged(at).is_empty() && staged(&out).is_empty());
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn who_has_to_wait_for_another_run_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (at, out) = (directory.path(), directory.path().join("out"));
    compile(&demo(), &out, &[]);
    let held = fs::File::open(&out).unwrap();
    held.lock().unwrap();
    let (demo, log) = (demo(), at.join("log"));
    let mut run = Command::new(env!("CARGO_BIN_EXE_nkd"))
        .args([
            "compile",
            demo.to_str().unwrap(),
            "-o",
            out.to_str().unwrap(),
        ])
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(&log)
        .unwrap()
        .contains("waiting for another run of nkd")
    {
        assert!(Instant::now() < until && run.try_wait().unwrap().is_none());
    }
    drop(held);
    assert!(run.wait().unwrap().success());
}

#[test]
fn an_output_can_be_the_root_of_a_file_system() {
    let directory = tempfile::tempdir().unwrap();
    let (at, nkd) = (directory.path().display(), env!("CARGO_BIN_EXE_nkd"));
    let demo = demo();
    let demo = demo.display();
    let script = format!(
        "set -e; mkdir {at}/out; mount -t tmpfs tmpfs {at}/out; mkdir {at}/out/lost+found
         {nkd} compile {demo} -o {at}/out; cp {at}/out/secrets.json {at}/first
         {nkd} compile {demo} -o {at}/out --node w1
         cmp {at}/first {at}/out/secrets.json; ls {at}/out/nodes {at}/out"
    );
    let arguments = ["--user", "--map-root-user", "--mount", "sh", "-c", &script];
    let run = program("/usr/bin/unshare", "util-linux", &arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let listed: Vec<_> = run.stdout.lines().rev().take(8).collect();
    for name in [
        "cp1.ign",
        "w1.ign",
        "cluster.lock",
        "lost+found",
        "kubeconfig",
    ] {
        assert!(run.stdout.lines().any(|line| line == name), "{listed:?}");
    }
}
