//! What both halves rely on.

use std::collections::HashSet;

use nkd_contract::{
    Cause, Event, Kind, NodeStatus, Plan, PlanError, Stage, State, Timestamp, Word,
};

fn event(sequence: u64, kind: Kind, attempt: u32, cause: Option<Cause>) -> Event {
    Event {
        sequence,
        id: format!("id-{sequence}"),
        time: Timestamp::from_unix(1_800_000_000 + sequence),
        boot: "boot".into(),
        cluster: Some("demo".into()),
        node: "cp-1".into(),
        pool: None,
        role: None,
        plan: None,
        kind: kind.into(),
        stage: Some(Stage::Gate.into()),
        attempt,
        progress: None,
        cause: cause.map(Word::from),
        message: format!("message {sequence}"),
        retry_after: None,
        unknown_fields: serde_json::Map::new(),
    }
}

#[test]
fn a_newer_plan_is_called_newer_whatever_else_is_in_it() {
    let error = Plan::parse(br#"{"schema": 99, "novelty": true}"#).unwrap_err();
    assert!(matches!(error, PlanError::Schema { found: 99 }), "{error}");
}

#[test]
fn a_plan_that_requires_what_this_agent_does_not_know_is_refused_by_that_name() {
    let plan = br#"{"schema": 1, "requires": ["novelty"], "runtime": "a-new-one"}"#;
    let error = Plan::parse(plan).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plan requires `novelty`, which this agent does not support"
    );
}

#[test]
fn stages_follow_each_other_in_order_and_end_with_ready() {
    let mut stage = Stage::Clock;
    let mut seen = vec![stage];
    while let Some(next) = stage.next() {
        stage = next;
        seen.push(stage);
    }
    assert_eq!(seen, Stage::ALL);
}

#[test]
fn stage_names_are_those_of_json() {
    for stage in Stage::ALL {
        assert_eq!(serde_json::to_value(stage).unwrap(), stage.name());
    }
}

#[test]
fn causes_have_codes_of_their_own_that_survive_json() {
    let codes: HashSet<_> = Cause::ALL.iter().map(|cause| cause.code()).collect();
    assert_eq!(codes.len(), Cause::ALL.len());
    for cause in Cause::ALL {
        let json = serde_json::to_string(cause).unwrap();
        assert_eq!(serde_json::from_str::<Cause>(&json).unwrap(), *cause);
    }
}

fn state_and_cause(status: &NodeStatus) -> (Option<State>, Option<Cause>) {
    let cause = status.cause.as_ref();
    (status.state.known(), cause.and_then(Word::known))
}

#[test]
fn status_keeps_the_cause_while_the_stage_is_tried_again_and_drops_it_on_success() {
    let cause = Some(Cause::GateUnreachable);
    let mut status = NodeStatus::default();
    status.apply(&event(1, Kind::StageStarted, 1, None));
    assert_eq!(state_and_cause(&status), (Some(State::Installing), None));
    status.apply(&event(2, Kind::AttemptFailed, 1, cause));
    assert_eq!(state_and_cause(&status), (Some(State::Retrying), cause));
    status.apply(&event(3, Kind::StageStarted, 2, None));
    assert_eq!(state_and_cause(&status), (Some(State::Installing), cause));
    status.apply(&event(4, Kind::StageDone, 2, None));
    assert_eq!(state_and_cause(&status), (Some(State::Installing), None));
}

#[test]
fn status_says_since_when_the_state_is_what_it_is() {
    let mut status = NodeStatus::default();
    status.extend(&[
        event(1, Kind::Started, 0, None),
        event(2, Kind::StageStarted, 1, None),
        event(3, Kind::Ready, 1, None),
        event(4, Kind::Ready, 1, None),
    ]);
    assert_eq!(status.state, State::Ready);
    assert_eq!(status.since, Some(Timestamp::from_unix(1_800_000_003)));
    assert_eq!(status.sequence, 4);
}

#[test]
fn timestamps_are_rfc_3339_in_utc() {
    let time: Timestamp = "2026-11-23T09:12:09Z".parse().unwrap();
    assert_eq!(time.to_string(), "2026-11-23T09:12:09Z");
    assert_eq!(Timestamp::from_unix(time.unix()), time);
}
