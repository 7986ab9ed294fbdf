//! The receiver believes what a node's key has signed, and nothing else.
#![allow(clippy::unwrap_used)]

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use testbed::callbacks::Mood;
use testbed::{Cache, CallbackReceiver, Lab};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_KEY: &str = "whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Sends an event from within the lab, as a node does, and returns the HTTP status.
fn send(lab: &Lab, callbacks: &CallbackReceiver, id: &str, key: &str) -> String {
    let event = json!({
        "sequence": 1, "id": id, "time": "2026-01-01T00:00:00Z", "boot": "b", "node": "cp1",
        "kind": "started", "message": "hello",
    });
    let body = json!({
        "specversion": "1.0", "id": id, "source": "/nodes/cp1", "time": event["time"],
        "type": "org.openeuler.nkd1.node.started", "datacontenttype": "application/json",
        "data": event,
    })
    .to_string();
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let secret = STANDARD
        .decode(key.strip_prefix("whsec_").unwrap())
        .unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&secret)
        .unwrap()
        .chain_update(format!("{id}.{time}.{body}"));
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let ca = lab.scratch("sender").unwrap().join("ca.pem");
    std::fs::write(&ca, callbacks.ca_pem()).unwrap();
    let output = lab
        .host_command("curl")
        .args([
            "--silent",
            "--write-out",
            "%{http_code}",
            "--data-binary",
            &body,
        ])
        .args(["--header", "content-type: application/cloudevents+json"])
        .args(["--header", &format!("webhook-id: {id}")])
        .args(["--header", &format!("webhook-timestamp: {time}")])
        .args(["--header", &format!("webhook-signature: v1,{signature}")])
        .arg("--cacert")
        .arg(&ca)
        .arg(callbacks.url())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn only_what_a_trusted_key_signed_is_received() {
    let lab = Lab::new(&Cache::open().unwrap()).unwrap();
    let callbacks = lab.callbacks().unwrap();
    assert_eq!(send(&lab, &callbacks, "1", KEY), "401", "an unknown node");
    callbacks.trust("cp1", KEY);
    assert_eq!(
        send(&lab, &callbacks, "1", OTHER_KEY),
        "401",
        "a wrong signature"
    );
    assert_eq!(callbacks.received(), []);
    assert_eq!(
        callbacks.refused(),
        [
            "there is no key of cp1",
            "webhook-signature has no signature of cp1"
        ]
    );

    assert_eq!(send(&lab, &callbacks, "1", KEY), "204");
    assert_eq!(
        send(&lab, &callbacks, "1", KEY),
        "204",
        "an event sent twice"
    );
    assert_eq!(callbacks.received_from("cp1")[0].message, "hello");
    assert_eq!((callbacks.received().len(), callbacks.repeated()), (1, 1));
}

#[test]
fn it_can_be_busy_or_gone_for_a_while() {
    let lab = Lab::new(&Cache::open().unwrap()).unwrap();
    let callbacks = lab.callbacks().unwrap();
    callbacks.trust("cp1", KEY);
    callbacks.set(Mood::Unavailable);
    assert_eq!(send(&lab, &callbacks, "1", KEY), "503");
    callbacks.set(Mood::Down);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(send(&lab, &callbacks, "1", KEY), "000", "no connection");
    assert_eq!(callbacks.received(), []);
    callbacks.set(Mood::Open);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(send(&lab, &callbacks, "1", KEY), "204");
    assert_eq!(
        (callbacks.received().len(), callbacks.turned_away()),
        (1, 1)
    );
}
