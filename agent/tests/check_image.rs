//! `nkd-agent check-image`: the command line. The checks have tests of their own.
#![allow(clippy::unwrap_used)]

#[path = "common/agent.rs"]
mod agent;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn check(root: &Path, arguments: &[&str]) -> Output {
    let mut command: Command = agent::agent();
    command.arg("check-image").arg("--root").arg(root);
    command.args(arguments).output().unwrap()
}

#[test]
fn an_empty_image_lacks_everything_and_stays_empty() {
    let root = tempfile::tempdir().unwrap();
    let output = check(root.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "error: the image has no /usr/bin/nkd-agent\n",
        "error[host.program-missing]: the image has no program kubeadm\n",
        "error[host.program-missing]: the image has no container runtime\n",
        "not checked: the kernel, because the image has none in /usr/lib/modules\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn the_report_is_one_json_document() {
    let root = tempfile::tempdir().unwrap();
    let output = check(root.path(), &["--json", "--kubernetes", "v1.30.1"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let errors = findings
        .iter()
        .filter(|finding| finding["severity"] == "error");
    assert_eq!(report["errors"], errors.count());
    let causes = findings
        .iter()
        .filter_map(|finding| finding["cause"].as_str());
    assert!(causes.collect::<Vec<_>>().contains(&"kubeadm.preflight"));
}

#[test]
fn a_mistake_in_the_command_line_is_no_finding() {
    let root = tempfile::tempdir().unwrap();
    let output = check(root.path(), &["--kubernetes", "1.30"]);
    assert_eq!(output.status.code(), Some(2));
    let missing = root.path().join("missing");
    let output = check(&missing, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("missing: No such file or directory"),
        "{message}"
    );
    let plan = root.path().join("plan.json");
    fs::write(&plan, "{}").unwrap();
    let output = check(root.path(), &["--plan", plan.to_str().unwrap()]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("plan.json: cannot read the plan"),
        "{message}"
    );
}
