//! The example receivers, with the official libraries of Standard Webhooks, accept what nodes sign.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nkd_contract::callback::{
    CloudEvent, ID_HEADER, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER,
};
use nkd_contract::{Event, Timestamp};
use serde_json::json;
use testbed::Cache;
use testbed::receivers::Language;

const KEY: &str = "whsec_1UqydC27+UOho1p/x/J9tyCvPQUs+S+Mp4mRNz2PoaI=";
const OTHER_KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Longer than a receiver takes to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// The libraries of a receiver. Nothing where they can't be installed.
fn libraries(language: Language) -> Option<PathBuf> {
    let libraries = language.libraries(&Cache::open().unwrap());
    if let Err(error) = &libraries {
        eprintln!("SKIPPED: {}: {error:#}", language.not_run().0);
    }
    libraries.ok()
}

/// A receiver that ends with the test.
struct Receiver {
    child: Child,
    url: String,
}

impl Receiver {
    fn start(command: &mut Command, keys: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let child = command.arg(keys).arg(address.port().to_string());
        let child = child.stdout(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the receiver does not listen");
            thread::sleep(Duration::from_millis(50));
        }
        let url = format!("http://{address}/");
        Self { child, url }
    }

    /// Sends an event as the reporter does and returns the status.
    fn send(&self, event: &Event, key: &str, timestamp: u64) -> u16 {
        let body = serde_json::to_vec(&CloudEvent::new(event)).unwrap();
        let key: SigningKey = key.parse().unwrap();
        let request = ureq::post(&self.url).config().http_status_as_error(false);
        let request = request
            .build()
            .content_type(CloudEvent::CONTENT_TYPE)
            .header(ID_HEADER, &event.id)
            .header(TIMESTAMP_HEADER, timestamp.to_string())
            .header(SIGNATURE_HEADER, key.sign(&event.id, timestamp, &body));
        request.send(&body).unwrap().status().as_u16()
    }

    /// What it has printed, after it was ended.
    fn stop(mut self) -> String {
        self.child.kill().unwrap();
        let mut printed = String::new();
        let stdout = self.child.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut printed).unwrap();
        printed
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn event(id: &str, node: &str) -> Event {
    let event = json!({
        "sequence": 1, "id": id, "time": "2026-01-01T00:00:00Z", "boot": "b", "cluster": "demo",
        "node": node, "kind": "failed", "message": "h\u{e9}llo",
    });
    serde_json::from_value(event).unwrap()
}

fn accepts_what_nodes_sign(command: &mut Command, directory: &Path) {
    let keys = directory.join("keys.json");
    let nodes = json!({ "nodes": [
        { "name": "cp1", "key": KEY },
        { "name": "cloud", "key": OTHER_KEY },
    ] });
    fs::write(&keys, nodes.to_string()).unwrap();
    let receiver = Receiver::start(command, &keys);
    let now = Timestamp::now().unix();
    let first = event("1", "cp1");
    assert_eq!(receiver.send(&first, OTHER_KEY, now), 503, "another key");
    assert_eq!(receiver.send(&first, KEY, now - 400), 503, "a slow clock");
    assert_eq!(receiver.send(&first, KEY, now + 400), 503, "a fast clock");
    assert_eq!(
        receiver.send(&event("1", "w9"), KEY, now),
        503,
        "an unknown node"
    );
    assert_eq!(receiver.send(&first, KEY, now), 204);
    assert_eq!(receiver.send(&first, KEY, now), 204, "a repetition");
    let mut of_pool = event("2", "cp1");
    of_pool.pool = Some("cloud".to_owned());
    assert_eq!(receiver.send(&of_pool, KEY, now), 503, "a pool's event");
    assert_eq!(receiver.send(&of_pool, OTHER_KEY, now), 204);
    let printed = receiver.stop();
    assert_eq!(
        printed,
        "cp1: failed: h\u{e9}llo (a person is needed)\n\
         cloud/cp1: failed: h\u{e9}llo (a person is needed)\n"
    );
}

#[test]
fn the_example_receiver_in_python_accepts_what_nodes_sign() {
    let Some(libraries) = libraries(Language::Python) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let mut python = Command::new("python3");
    python.arg(Language::Python.receiver());
    python.env("PYTHONPATH", libraries);
    python.env("PYTHONIOENCODING", "utf-8");
    accepts_what_nodes_sign(&mut python, directory.path());
}

#[test]
fn the_example_receiver_in_javascript_accepts_what_nodes_sign() {
    let Some(libraries) = libraries(Language::JavaScript) else {
        return;
    };
    // Node.js looks for libraries beside the program.
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("receiver.mjs");
    fs::copy(Language::JavaScript.receiver(), &program).unwrap();
    let modules = directory.path().join("node_modules");
    symlink(libraries.join("node_modules"), modules).unwrap();
    accepts_what_nodes_sign(Command::new("node").arg(program), directory.path());
}
