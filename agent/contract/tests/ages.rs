//! Plans and reports may be older than the agent that reads them, or newer. `frozen/` has what nkd has
//! written at some time. These files are never changed: whoever changes the contract adds to them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use nkd_contract::{OPEN_POOL, PATCHES_ARGUMENT, Plan, ReportTarget, Role, Stage};
use serde_json::{Value, json};

fn frozen(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen");
    let text = fs::read_to_string(path.join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn read(plan: &Value) -> Plan {
    Plan::parse(plan.to_string().as_bytes()).unwrap()
}

/// Every mapping gets a key that no release has had.
fn with_novelties(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(with_novelties);
            map.insert("novelty".into(), json!({"a": [1]}));
        }
        Value::Array(items) => items.iter_mut().for_each(with_novelties),
        _ => {}
    }
}

#[test]
fn every_plan_that_was_ever_written_means_what_it_meant() {
    for (name, role) in [
        ("plan-init.json", Role::Init),
        ("plan-join-control-plane.json", Role::JoinControlPlane),
        ("plan-join-worker.json", Role::JoinWorker),
        ("plan-open-pool.json", Role::JoinWorker),
        ("plan-patches-argument.json", Role::JoinControlPlane),
    ] {
        let written = frozen(name);
        let plan = read(&written);
        assert_eq!(plan.role, role, "{name}");
        assert_eq!(serde_json::to_value(&plan).unwrap(), written, "{name}");
    }
}

#[test]
fn an_older_agent_ignores_what_a_newer_plan_has_besides() {
    for name in [
        "plan-init.json",
        "plan-join-control-plane.json",
        "plan-join-worker.json",
        "plan-open-pool.json",
        "plan-patches-argument.json",
    ] {
        let written = frozen(name);
        let mut newer = written.clone();
        // A mapping with a single key names a kind, such as where images come from.
        let source = newer["images"]["source"].take();
        let budgets = newer.as_object_mut().unwrap().remove("budgets");
        with_novelties(&mut newer);
        newer["images"]["source"] = source;
        let mut budgets = budgets.unwrap_or_else(|| json!({}));
        budgets["a-later-stage"] = json!(60);
        newer["budgets"] = budgets;
        let plan = read(&newer);
        assert_eq!(plan, read(&written), "{name}");
    }
    let plan = read(&frozen("plan-init.json"));
    assert_eq!(plan.budgets.get(&Stage::Clock), Some(&30));
}

/// An agent without the feature would give all machines of the pool the same empty name.
#[test]
fn a_plan_without_a_name_is_that_of_an_open_pool_which_older_agents_refuse() {
    let written = frozen("plan-open-pool.json");
    assert_eq!(read(&written).requires, [OPEN_POOL]);
    assert_eq!(read(&written).pool.as_deref(), Some("workers"));
    let mut nameless = written;
    nameless.as_object_mut().unwrap().remove("pool");
    let error = Plan::parse(nameless.to_string().as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the plan: missing field `node`"
    );
}

/// An agent without the feature would leave SELinux to keep etcd and the API server from their files.
#[test]
fn a_plan_that_names_patches_requires_an_agent_that_passes_them_on() {
    let plan = read(&frozen("plan-patches-argument.json"));
    assert_eq!(plan.requires, [PATCHES_ARGUMENT]);
    assert_eq!(plan.patches_argument.as_deref(), Some("/etc/nkd/patches"));
}

#[test]
fn every_report_target_that_was_ever_written_is_read() {
    let written = frozen("report.json");
    let target: ReportTarget = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&target).unwrap(), written);
    let mut newer = written;
    with_novelties(&mut newer);
    let newer: ReportTarget = serde_json::from_value(newer).unwrap();
    assert_eq!(newer, target);
}
