//! The journal's message catalog explains every kind of event, and no other.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use nkd_contract::Kind;

#[test]
fn every_kind_of_event_is_explained_in_the_journals_catalog() {
    let catalog = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../systemd/usr/lib/systemd/catalog/nkd.catalog"
    );
    let text = std::fs::read_to_string(catalog).unwrap();
    let explained: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("-- "))
        .collect();
    let kinds = [
        Kind::Started,
        Kind::StageStarted,
        Kind::Progress,
        Kind::AttemptFailed,
        Kind::StageDone,
        Kind::Ready,
        Kind::Failed,
    ];
    let known: BTreeSet<_> = kinds.into_iter().map(Kind::message_id).collect();
    assert_eq!(explained, known);
}
