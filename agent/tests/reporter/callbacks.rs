//! Callbacks: what a receiver can rely on.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use nkd_contract::{Event, Kind, ReportTarget, Timestamp, paths};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::json;
use sha2::Sha256;

use super::lab::{Machine, event, newer, wait_until};
use super::receiver::{Answer, Authority, KEY, Receiver, Request, target};

fn events(range: std::ops::RangeInclusive<u64>) -> Vec<Event> {
    range
        .map(|sequence| event(sequence, Kind::Progress))
        .collect()
}

/// Verifies as `docs/callbacks.md` tells receivers to.
fn is_signed(request: &Request) -> bool {
    let (id, timestamp) = (
        request.header("webhook-id"),
        request.header("webhook-timestamp"),
    );
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(&request.body);
    let signature = request
        .header("webhook-signature")
        .strip_prefix("v1,")
        .unwrap();
    let key = STANDARD.decode(KEY.trim_start_matches("whsec_")).unwrap();
    Hmac::<Sha256>::new_from_slice(&key)
        .unwrap()
        .chain_update(signed)
        .verify_slice(&STANDARD.decode(signature).unwrap())
        .is_ok()
}

#[test]
fn an_event_is_posted_as_a_signed_cloud_event_over_tls_with_the_plans_ca() {
    let authority = Authority::new();
    let receiver = Receiver::listen("127.0.0.1:0".parse().unwrap(), &[], Some(&authority));
    let machine = Machine::reporting_to(&ReportTarget {
        url: format!("https://{}/hook?a=b", receiver.address),
        certificate_authority: Some(authority.pem.clone()),
        signing_key: KEY.into(),
    });
    let _reporter = machine.report_without_bus();
    let event = event(1, Kind::StageDone);
    machine.log(std::slice::from_ref(&event));

    let request = receiver.next();
    assert_eq!(request.line, "POST /hook?a=b HTTP/1.1");
    assert_eq!(
        request.header("content-type"),
        "application/cloudevents+json"
    );
    assert_eq!(request.header("webhook-id"), event.id);
    let sent: u64 = request.header("webhook-timestamp").parse().unwrap();
    assert!(Timestamp::now().unix() - sent < 60);
    assert!(is_signed(&request));
    assert_eq!(
        request.json(),
        json!({
            "specversion": "1.0",
            "id": event.id,
            "source": "/clusters/demo/nodes/cp1",
            "type": "org.openeuler.nkd1.node.stage-done",
            "subject": "images",
            "time": "2023-11-14T22:13:21Z",
            "datacontenttype": "application/json",
            "data": event,
        })
    );
}

#[test]
fn the_user_and_password_of_the_url_are_sent_percent_decoded() {
    let receiver = Receiver::start(&[]);
    for (userinfo, credentials) in [
        ("me:p%40ss%3Aw%2Frd%25", "me:p@ss:w/rd%"),
        ("m%C3%A9", "m\u{e9}:"),
        (":token", ":token"),
    ] {
        let machine = Machine::reporting_to(&ReportTarget {
            url: format!("http://{userinfo}@{}/hook", receiver.address),
            ..receiver.target()
        });
        machine.log(&events(1..=1));
        let _reporter = machine.report_without_bus();
        let expected = format!("Basic {}", STANDARD.encode(credentials));
        assert_eq!(receiver.next().header("authorization"), expected);
    }
}

#[test]
fn an_event_of_a_later_worker_is_sent_as_it_was_written() {
    let receiver = Receiver::start(&[]);
    let machine = Machine::reporting_to(&receiver.target());
    let newer = newer(1, "stage-skipped");
    machine.log_json(&newer);
    let _reporter = machine.report_without_bus();
    let request = receiver.next();
    assert!(is_signed(&request));
    let envelope = request.json();
    assert_eq!(envelope["type"], "org.openeuler.nkd1.node.stage-skipped");
    assert_eq!(envelope["subject"], "upgrade");
    assert_eq!(envelope["data"], newer);
}

#[test]
fn a_receiver_with_a_certificate_of_another_ca_gets_nothing() {
    let receiver = Receiver::listen("127.0.0.1:0".parse().unwrap(), &[], Some(&Authority::new()));
    let machine = Machine::reporting_to(&ReportTarget {
        url: format!("https://{}/hook", receiver.address),
        certificate_authority: Some(Authority::new().pem),
        signing_key: KEY.into(),
    });
    machine.log(&events(1..=1));
    let mut reporter = machine.report_without_bus();
    reporter.wait_for_line("event 1 could not be sent: ");
    assert!(
        reporter.journal().contains("certificate"),
        "{}",
        reporter.journal()
    );
    assert!(reporter.is_running());
    assert!(receiver.is_idle());
}

/// Whether a node sends an event to a server that its authority vouches for.
fn is_trusted(authority: &Authority) -> bool {
    let any = "127.0.0.1:0".parse().unwrap();
    let receiver = Receiver::listen(any, &[], Some(authority));
    let machine = Machine::reporting_to(&ReportTarget {
        url: format!("https://{}/hook", receiver.address),
        certificate_authority: Some(authority.pem.clone()),
        signing_key: KEY.into(),
    });
    machine.log(&events(1..=1));
    let reporter = machine.report_without_bus();
    wait_until("an event or an error", || {
        machine.cursor() == 1 || reporter.journal().contains("event 1 could not be sent: ")
    });
    machine.cursor() == 1
}

#[test]
fn of_the_certificates_in_a_ca_file_the_ones_that_nkd_refuses_verify_no_server() {
    let mut expired = Authority::parameters();
    expired.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let p256 = KeyPair::generate().unwrap();
    assert!(!is_trusted(&Authority::with_key(
        &Authority::parameters(),
        p521
    )));
    // rustls uses only the name and the key of an authority.
    assert!(is_trusted(&Authority::with_key(&expired, p256)));

    let mut server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    assert!(is_trusted(&Authority::of_itself(&server)));
    server.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert!(!is_trusted(&Authority::of_itself(&server)));
    server.is_ca = IsCa::NoCa;
    server.not_after = expired.not_after;
    assert!(!is_trusted(&Authority::of_itself(&server)));
}

#[test]
fn events_come_in_order_also_those_from_before_the_reporter_started() {
    let receiver = Receiver::start(&[]);
    let machine = Machine::reporting_to(&receiver.target());
    machine.log(&events(1..=3));
    let _reporter = machine.report_without_bus();
    assert_eq!(receiver.sequences(3), [1, 2, 3]);
    machine.log(&events(4..=5));
    assert_eq!(receiver.sequences(2), [4, 5]);
}

#[test]
fn an_event_is_sent_until_it_is_taken_and_later_ones_wait() {
    let answers = [
        Answer::Status(503),
        Answer::With(429, "Retry-After: 1"),
        Answer::HangUp,
        Answer::Status(204),
    ];
    let receiver = Receiver::start(&answers);
    let machine = Machine::reporting_to(&receiver.target());
    machine.log(&events(1..=2));
    let _reporter = machine.report_without_bus();
    let requests: Vec<_> = (0..5).map(|_| receiver.next()).collect();
    let sequences: Vec<_> = requests.iter().map(Request::sequence).collect();
    assert_eq!(sequences, [1, 1, 1, 1, 2]);
    let after_retry_after = requests[2].at - requests[1].at;
    assert!(after_retry_after >= Duration::from_secs(1));
    assert!(requests.iter().all(is_signed));
}

#[test]
fn nodes_that_are_turned_away_together_come_back_apart_and_never_before_retry_after() {
    const NODES: usize = 8;
    let busy = [Answer::With(429, "Retry-After: 1"); NODES];
    let receiver = Receiver::start(&busy);
    let reporters: Vec<_> = (0..NODES)
        .map(|node| {
            let mut target = receiver.target();
            target.url = format!("http://{}/{node}", receiver.address);
            let machine = Machine::reporting_to(&target);
            machine.log(&events(1..=1));
            let reporter = machine.report_without_bus();
            (machine, reporter)
        })
        .collect();
    let requests: Vec<_> = (0..2 * NODES).map(|_| receiver.next()).collect();
    drop(reporters);
    let waits: Vec<_> = (0..NODES)
        .map(|node| {
            let line = format!("POST /{node} HTTP/1.1");
            let mut attempts = requests.iter().filter(|request| request.line == line);
            let (first, second) = (attempts.next().unwrap(), attempts.next().unwrap());
            second.at - first.at
        })
        .collect();
    let (shortest, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    assert!(*shortest >= Duration::from_secs(1), "{waits:?}");
    assert!(*longest < Duration::from_secs(4), "{waits:?}");
    assert!(
        longest.abs_diff(*shortest) > Duration::from_millis(200),
        "{waits:?}"
    );
}

#[test]
fn an_outage_of_the_receiver_loses_nothing() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let machine = Machine::reporting_to(&target(address));
    machine.log(&events(1..=3));
    let reporter = machine.report_without_bus();
    reporter.wait_for_line("event 1 could not be sent: ");
    let receiver = Receiver::listen(address, &[], None);
    assert_eq!(receiver.sequences(3), [1, 2, 3]);
}

#[test]
fn after_a_restart_delivery_goes_on_where_it_was() {
    let receiver = Receiver::start(&[]);
    let machine = Machine::reporting_to(&receiver.target());
    machine.log(&events(1..=2));
    let reporter = machine.report_without_bus();
    assert_eq!(receiver.sequences(2), [1, 2]);
    wait_until("the cursor is written", || machine.cursor() == 2);
    drop(reporter);

    machine.log(&events(3..=4));
    let _reporter = machine.report_without_bus();
    assert_eq!(receiver.sequences(2), [3, 4]);
}

#[test]
fn an_event_whose_answer_never_came_is_sent_again_after_a_kill() {
    let receiver = Receiver::start(&[Answer::Silence]);
    let machine = Machine::reporting_to(&receiver.target());
    machine.log(&events(1..=1));
    let reporter = machine.report_without_bus();
    let first = receiver.next();
    drop(reporter);

    let _reporter = machine.report_without_bus();
    let second = receiver.next();
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(second.body, first.body);
}

#[test]
fn a_refused_event_is_sent_again_with_a_new_time_and_signature_and_later_ones_wait() {
    let receiver = Receiver::start(&[
        Answer::With(401, "Retry-After: 1"),
        Answer::With(302, "Location: /elsewhere"),
        Answer::Status(204),
    ]);
    let machine = Machine::reporting_to(&receiver.target());
    machine.log(&events(1..=2));
    let reporter = machine.report_without_bus();
    let requests: Vec<_> = (0..4).map(|_| receiver.next()).collect();
    let sequences: Vec<_> = requests.iter().map(Request::sequence).collect();
    assert_eq!(sequences, [1, 1, 1, 2]);
    assert!(requests.iter().all(is_signed));
    assert_eq!(requests[0].body, requests[1].body);
    for header in ["webhook-timestamp", "webhook-signature"] {
        assert_ne!(requests[0].header(header), requests[1].header(header));
    }
    reporter.wait_for_line("event 1 could not be sent: the receiver refused it: 401 sorry");
    wait_until("the cursor is written", || machine.cursor() == 2);
    let delivered = std::fs::read(machine.path(paths::DELIVERED)).unwrap();
    let delivered: serde_json::Value = serde_json::from_slice(&delivered).unwrap();
    assert_eq!(delivered["refused"], json!([]));
}

#[test]
fn nothing_is_sent_any_more_to_a_receiver_that_says_it_is_gone() {
    let receiver = Receiver::start(&[Answer::Status(204), Answer::Status(410)]);
    let machine = Machine::reporting_to(&receiver.target());
    machine.log(&events(1..=3));
    let reporter = machine.report_without_bus();
    assert_eq!(receiver.sequences(2), [1, 2]);
    reporter.wait_for_line("the receiver is gone (410)");
    wait_until("the cursor is written", || machine.cursor() == 2);
    assert!(reporter.stop().success());

    // All of the log is passed over before what comes with another installation.
    let _reporter = machine.report_without_bus();
    machine.log(&events(4..=4));
    std::fs::remove_file(machine.path(paths::EVENTS)).unwrap();
    let other = Event {
        id: "of another log".into(),
        ..event(1, Kind::Started)
    };
    machine.log(&[other]);
    assert_eq!(receiver.next().header("webhook-id"), "of another log");
}

#[test]
fn without_a_usable_target_the_reporter_runs_on_and_says_so_without_the_key() {
    for (target, said) in [
        ("null".to_owned(), "no callbacks are sent"),
        (
            format!("{{\"url\":\"{KEY}\"}}"),
            "report.json is malformed at line 1",
        ),
        (
            json!({ "url": "ftp://a", "signingKey": KEY }).to_string(),
            "the URL is neither http nor https",
        ),
        (
            json!({ "url": "https://a", "signingKey": KEY, "certificateAuthority": "" })
                .to_string(),
            "the certificate authority has no certificate",
        ),
        (
            json!({ "url": "https://a", "signingKey": KEY.replace('_', "-") }).to_string(),
            "the signing key is not a webhook key",
        ),
    ] {
        let machine = Machine::new();
        std::fs::write(machine.path("/credentials/report.json"), target).unwrap();
        machine.log(&events(1..=1));
        let mut reporter = machine.report(Path::new("/nowhere"));
        reporter.wait_for_line(said);
        assert!(reporter.is_running());
        assert!(!reporter.journal().contains(&KEY["whsec_".len()..]));
    }
}
