//! Events, statuses and callbacks may be older than their reader, or newer. `frozen/` has what nkd has written at
//! some time. These files are never changed: whoever changes the contract adds to them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nkd_contract::callback::{CloudEvent, Received, Refusal, SigningKey};
use nkd_contract::{Cause, Event, Kind, NodeStatus, ReportTarget, State, Word};
use serde_json::{Value, json};

fn frozen(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen");
    fs::read_to_string(path.join(name)).unwrap()
}

/// Events of every kind, with every unit.
fn events() -> Vec<Value> {
    let lines = frozen("events.jsonl");
    let events = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    events.collect()
}

/// An event with words and fields that no release has had.
fn newer() -> Value {
    json!({
        "sequence": 12,
        "id": "5c5b8e2f-8a0e-4a52-9f8d-000000000012",
        "time": "2026-11-23T09:12:09.123456789Z",
        "boot": "0f9d1a52-6e0b-4f0e-9c5e-3f6a7c1b2d4e",
        "cluster": "demo",
        "node": "cp1",
        "role": "observe",
        "plan": "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
        "kind": "stage-skipped",
        "stage": "upgrade",
        "attempt": 3,
        "progress": { "done": 1, "total": 2, "unit": "volumes", "rate": 0.5 },
        "cause": "upgrade.held-back",
        "message": "another node is upgraded first",
        "retryAfter": 1000,
        "action": { "name": "drain", "since": [1, "a", null] },
    })
}

fn read(event: &Value) -> Event {
    serde_json::from_str(&event.to_string()).unwrap()
}

/// All machines of an open pool sign with the key of the pool.
#[test]
fn an_event_of_an_open_pool_names_the_pool_as_its_signer() {
    let written: Value = serde_json::from_str(&frozen("event-open-pool.json")).unwrap();
    let event = read(&written);
    assert_eq!(serde_json::to_value(&event).unwrap(), written);
    assert_eq!((&*event.node, event.signer()), ("worker-7", "workers"));
    assert_eq!(read(&events()[1]).signer(), "cp1");
}

#[test]
fn every_event_that_was_ever_written_is_read_and_written_alike() {
    for written in events() {
        let event = read(&written);
        assert!(event.kind.known().is_some(), "{written}");
        assert!(event.unknown_fields.is_empty(), "{written}");
        assert_eq!(serde_json::to_value(&event).unwrap(), written);
    }
}

#[test]
fn an_older_reader_passes_on_unchanged_what_it_does_not_know() {
    let event = read(&newer());
    assert_eq!(event.kind, Word::Other("stage-skipped".into()));
    assert_eq!(event.cause, Some(Word::Other("upgrade.held-back".into())));
    assert_eq!(serde_json::to_value(&event).unwrap(), newer());
}

#[test]
fn what_could_harm_a_terminal_or_a_bus_is_not_a_word() {
    for word in ["", "two words", "a\nb", "a\0", "ü", "\u{1b}[31m"] {
        let mut event = newer();
        event["kind"] = word.into();
        assert!(serde_json::from_value::<Event>(event).is_err(), "{word:?}");
    }
}

#[test]
fn every_status_that_was_ever_written_is_read() {
    let written: Value = serde_json::from_str(&frozen("status.json")).unwrap();
    let status: NodeStatus = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(status.state, State::Retrying);
    assert_eq!(status.cause, Some(Cause::ImagesImport.into()));
    assert_eq!(serde_json::to_value(&status).unwrap(), written);

    let mut later = written;
    later["state"] = "upgrading".into();
    later["novelty"] = json!({ "a": [1] });
    let later: NodeStatus = serde_json::from_value(later).unwrap();
    assert_eq!(later.state, Word::Other("upgrading".into()));
}

#[test]
fn a_status_takes_the_words_of_an_unknown_event_but_keeps_its_state() {
    let mut status = NodeStatus::default();
    let failed = read(&events()[6]);
    status.apply(&failed);
    let since = status.since;
    let mut event = read(&newer());
    status.apply(&event);
    assert_eq!(
        (status.state.known(), status.since),
        (Some(State::Retrying), since)
    );
    assert_eq!((&status.stage, &status.cause), (&event.stage, &event.cause));
    assert_eq!(
        (&status.role, &status.progress),
        (&event.role, &event.progress)
    );
    assert_eq!((&*status.message, status.sequence), (&*event.message, 12));

    // Outside of stages it says nothing of where the installation is.
    (event.stage, event.cause, event.progress, event.attempt) = (None, None, None, 0);
    let before = status.clone();
    status.apply(&event);
    assert_eq!(status, before);
}

/// A request as it was sent: headers, an empty line, the body.
fn received(request: &str) -> Received<'_> {
    let (head, body) = request.split_once("\n\n").unwrap();
    let header = |name: &str| {
        let mut headers = head.lines().map(|line| line.split_once(": ").unwrap());
        headers.find(|(header, _)| *header == name).unwrap().1
    };
    Received {
        content_type: header("content-type"),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: body.as_bytes(),
    }
}

/// The key of the frozen report target, with which the frozen callbacks were signed by
/// `printf %s "$ID.$TIMESTAMP.$BODY" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$KEY -binary | base64`.
fn key() -> SigningKey {
    let target: ReportTarget = serde_json::from_str(&frozen("report.json")).unwrap();
    target.signing_key.parse().unwrap()
}

#[test]
fn every_callback_that_was_ever_sent_is_verified_and_signed_alike() {
    for name in ["callback.http", "callback-without-plan.http"] {
        let request = frozen(name);
        let received = received(&request);
        let event = received
            .verify(|event| (event.node == "cp1").then(key))
            .unwrap();
        let envelope = serde_json::to_value(CloudEvent::new(&event)).unwrap();
        let body: Value = serde_json::from_slice(received.body).unwrap();
        assert_eq!(envelope, body, "{name}");
        let timestamp = received.timestamp.parse().unwrap();
        let signature = key().sign(received.id, timestamp, received.body);
        assert_eq!(signature, received.signature, "{name}");
    }
}

#[test]
fn a_callback_of_an_unknown_kind_with_unknown_attributes_is_believed_and_passed_on() {
    let event = read(&newer());
    let mut envelope = serde_json::to_value(CloudEvent::new(&event)).unwrap();
    assert_eq!(envelope["type"], "org.openeuler.nkd1.node.stage-skipped");
    assert_eq!(envelope["subject"], "upgrade");
    assert_eq!(envelope["data"], newer());
    envelope["dataschema"] = "https://nkd.example.org/event".into();
    envelope["traceparent"] = "00-a-b-01".into();
    let body = envelope.to_string();
    let signature = format!("v2,later {}", key().sign(&event.id, 7, body.as_bytes()));
    let received = Received {
        content_type: "application/cloudevents+json; charset=utf-8",
        id: &event.id,
        timestamp: "7",
        signature: &signature,
        body: body.as_bytes(),
    };
    assert_eq!(received.verify(|_| Some(key())).unwrap(), event);
}

#[test]
fn what_the_nodes_key_has_not_signed_is_refused() {
    let request = frozen("callback.http");
    let whole = received(&request);
    let longer = [whole.body, b" "].concat();
    let other: SigningKey = "whsec_b3RoZXI=".parse().unwrap();
    let refused = |received: Received<'_>| received.verify(|_| Some(key())).unwrap_err();
    for forged in [
        Received {
            id: "another",
            ..whole
        },
        Received {
            timestamp: "1795425128",
            ..whole
        },
        Received {
            signature: "v1,",
            ..whole
        },
        Received {
            signature: "",
            ..whole
        },
        Received {
            body: &longer,
            ..whole
        },
    ] {
        assert!(
            matches!(refused(forged), Refusal::Signature(_)),
            "{forged:?}"
        );
    }
    let error = whole.verify(|_| Some(other)).unwrap_err();
    assert!(matches!(error, Refusal::Signature(_)), "{error}");
    let error = whole.verify(|_| None::<SigningKey>).unwrap_err();
    assert_eq!(error.to_string(), "there is no key of cp1");
    let error = refused(Received {
        content_type: "application/json",
        ..whole
    });
    assert!(matches!(error, Refusal::ContentType(_)), "{error}");
    let error = refused(Received {
        timestamp: "soon",
        ..whole
    });
    assert!(matches!(error, Refusal::Timestamp(_)), "{error}");
}

#[test]
fn an_envelope_that_contradicts_its_event_is_refused_although_it_is_signed() {
    let event = read(&events()[6]);
    for (attribute, value) in [
        ("specversion", "2.0"),
        ("id", "another"),
        ("type", "org.openeuler.nkd1.node.ready"),
    ] {
        let mut envelope = serde_json::to_value(CloudEvent::new(&event)).unwrap();
        envelope[attribute] = value.into();
        let body = envelope.to_string();
        let signature = key().sign(&event.id, 7, body.as_bytes());
        let received = Received {
            content_type: CloudEvent::CONTENT_TYPE,
            id: &event.id,
            timestamp: "7",
            signature: &signature,
            body: body.as_bytes(),
        };
        let error = received.verify(|_| Some(key())).unwrap_err().to_string();
        assert!(error.starts_with(attribute), "{error}");
    }
}

/// The example in the specification's own libraries.
#[test]
fn the_specifications_example_is_signed_alike() {
    let key: SigningKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let (id, time, body) = (
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        br#"{"test": 2432232314}"#,
    );
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(key.sign(id, time, body), signature);
    assert!(key.verify(id, time, body, signature));
}

#[test]
fn what_is_no_key_is_refused_and_a_key_is_not_shown() {
    for text in ["", "whsec_", "whsec_?", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        assert!(text.parse::<SigningKey>().is_err(), "{text}");
    }
    assert_eq!(format!("{:?}", key()), "SigningKey(secret)");
}

#[test]
fn the_source_of_a_callback_names_cluster_and_node() {
    let mut event = read(&events()[6]);
    assert_eq!(CloudEvent::new(&event).source, "/clusters/demo/nodes/cp1");
    event.cluster = None;
    event.node = "a b/ü".into();
    assert_eq!(CloudEvent::new(&event).source, "/nodes/a%20b%2F%C3%BC");
}

#[test]
fn a_moment_of_an_attempt_is_recent_within_the_tolerance() {
    let request = frozen("callback.http");
    let received = received(&request);
    let at = |seconds| nkd_contract::Timestamp::from_unix(seconds);
    assert!(received.is_recent(at(1_795_425_127 + 300), 300).unwrap());
    assert!(!received.is_recent(at(1_795_425_127 - 301), 300).unwrap());
}

/// The properties and signals of an interface, without comments and white space.
fn members(xml: &str) -> BTreeSet<String> {
    let (mut members, mut rest) = (BTreeSet::new(), xml);
    while let Some(begin) = rest
        .find("<property")
        .into_iter()
        .chain(rest.find("<signal"))
        .min()
    {
        let end = if rest[begin..].starts_with("<signal") {
            "</signal>"
        } else {
            "/>"
        };
        let length = rest[begin..].find(end).unwrap() + end.len();
        let member = rest[begin..begin + length].split_whitespace();
        members.insert(member.collect::<Vec<_>>().join(" "));
        rest = &rest[begin + length..];
    }
    members
}

#[test]
fn the_interface_on_d_bus_only_grows() {
    let path = "../../systemd/usr/share/dbus-1/interfaces/org.openeuler.nkd1.Node.xml";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let today = members(&fs::read_to_string(path).unwrap());
    let frozen = members(&frozen("org.openeuler.nkd1.Node.xml"));
    assert_eq!(frozen.len(), 13);
    let gone: Vec<_> = frozen.difference(&today).collect();
    assert!(gone.is_empty(), "{gone:#?}");
}

#[test]
fn every_kind_and_unit_is_among_the_frozen_events() {
    let events: Vec<_> = events().iter().map(read).collect();
    let kinds: BTreeSet<_> = events.iter().map(|event| event.kind.as_str()).collect();
    let of_schema = |name: &str| {
        let schema = serde_json::to_value(schemars::schema_for!(Event)).unwrap();
        schema["$defs"][name]["oneOf"].as_array().unwrap().len()
    };
    assert_eq!(kinds.len(), of_schema("Kind"));
    let units = events.iter().filter_map(|event| event.progress.as_ref());
    let units: BTreeSet<_> = units.map(|progress| progress.unit.as_str()).collect();
    assert_eq!(units.len(), of_schema("Unit"));
    assert!(events.iter().any(|event| event.kind == Kind::Ready));
}
