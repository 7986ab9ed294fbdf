//! The JSON schemas that are checked in are those of the types.
//! After a deliberate change: `SNAPSHOTS=overwrite cargo test -p nkd-contract`.

#![allow(clippy::unwrap_used)]

use nkd_contract::{Event, NodeStatus, Plan, ReportTarget};
use snapbox::{Data, assert_data_eq, file};

fn assert_schema<T: schemars::JsonSchema>(golden: Data) {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(T)).unwrap() + "\n";
    assert_data_eq!(schema, golden.raw());
}

#[test]
fn plan() {
    assert_schema::<Plan>(file!["../schemas/plan.schema.json"]);
}

#[test]
fn report_target() {
    assert_schema::<ReportTarget>(file!["../schemas/report.schema.json"]);
}

#[test]
fn event() {
    assert_schema::<Event>(file!["../schemas/event.schema.json"]);
}

#[test]
fn status() {
    assert_schema::<NodeStatus>(file!["../schemas/status.schema.json"]);
}
