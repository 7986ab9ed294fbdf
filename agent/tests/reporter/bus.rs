//! D-Bus: what a client can rely on.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use nkd_contract::{Cause, Event, Kind, Progress, Unit, names};
use snapbox::{Data, assert_data_eq};
use zbus::connection::Builder;
use zbus::export::futures_core::Stream;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedVariant, Variant};

use super::lab::{Bus, Machine, PATIENCE, event, newer, wait_until};
use super::receiver::{Answer, Receiver as HttpReceiver};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Somebody who watches the node.
struct Client(Connection);

/// What a client hears.
#[derive(Debug, PartialEq)]
enum Heard {
    Changed(BTreeMap<String, String>),
    Ready,
    Failed(String, String),
}

impl Client {
    fn connect(bus: &Bus) -> Self {
        let address = format!("unix:path={}", bus.socket.display());
        Self(zbus::block_on(Builder::address(address.as_str()).build()).unwrap())
    }

    fn call<B>(&self, interface: &str, method: &str, body: &B) -> zbus::Result<Message>
    where
        B: serde::Serialize + zbus::wire::DynamicType,
    {
        let call = self.0.call_method(
            Some(names::BUS),
            names::OBJECT,
            Some(interface),
            method,
            body,
        );
        zbus::block_on(call)
    }

    fn get(&self, property: &str) -> zbus::Result<String> {
        let reply = self.call(PROPERTIES, "Get", &(names::INTERFACE, property))?;
        let value: OwnedVariant = reply.body().deserialize()?;
        Ok(Variant::from(value).to_string())
    }

    fn get_all(&self) -> BTreeMap<String, String> {
        let reply = self.call(PROPERTIES, "GetAll", &names::INTERFACE).unwrap();
        let values: HashMap<String, OwnedVariant> = reply.body().deserialize().unwrap();
        texts(values)
    }

    fn wait_for(&self, property: &str, value: &str) {
        wait_until(value, || {
            self.get(property).is_ok_and(|found| found == value)
        });
    }

    /// All signals of the node from now on.
    fn listen(&self) -> Receiver<Heard> {
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .path(names::OBJECT)
            .build()
            .unwrap();
        let mut signals =
            zbus::block_on(MessageStream::for_match_rule(rule, &self.0, None)).unwrap();
        let (sender, heard) = mpsc::channel();
        thread::spawn(move || {
            let mut next = || {
                zbus::block_on(std::future::poll_fn(|context| {
                    Pin::new(&mut signals).poll_next(context)
                }))
            };
            while let Some(Ok(message)) = next() {
                let _ = sender.send(understand(&message));
            }
        });
        heard
    }
}

fn texts(values: HashMap<String, OwnedVariant>) -> BTreeMap<String, String> {
    let texts = values.into_iter();
    texts
        .map(|(name, value)| (name, Variant::from(value).to_string()))
        .collect()
}

fn understand(message: &Message) -> Heard {
    let body = message.body();
    match message.header().member().unwrap().as_str() {
        "PropertiesChanged" => {
            let (interface, changed, invalidated): (String, _, Vec<String>) =
                body.deserialize().unwrap();
            assert_eq!(interface, names::INTERFACE);
            assert!(invalidated.is_empty());
            Heard::Changed(texts(changed))
        }
        "Ready" => Heard::Ready,
        "Failed" => {
            let (cause, message) = body.deserialize().unwrap();
            Heard::Failed(cause, message)
        }
        other => panic!("unknown signal {other}"),
    }
}

/// A machine, its bus and a client that sees its reporter.
fn start(machine: &Machine) -> (Bus, super::lab::Reporter, Client) {
    let bus = Bus::start(&machine.path("/bus"));
    let reporter = machine.report(&bus.socket);
    let client = Client::connect(&bus);
    wait_until("the name is on the bus", || client.get("State").is_ok());
    (bus, reporter, client)
}

fn next(heard: &Receiver<Heard>) -> Heard {
    heard.recv_timeout(PATIENCE).unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn the_checked_in_interface_is_what_the_live_object_says() {
    let machine = Machine::new();
    let (_bus, _reporter, client) = start(&machine);
    let reply = client
        .call("org.freedesktop.DBus.Introspectable", "Introspect", &())
        .unwrap();
    let xml: String = reply.body().deserialize().unwrap();
    let begin = xml
        .find(&format!("  <interface name=\"{}\">", names::INTERFACE))
        .unwrap();
    let end = begin + xml[begin..].find("</interface>").unwrap();
    let live = format!("<node>\n{}</interface>\n</node>\n", &xml[begin..end]);

    let path = "../systemd/usr/share/dbus-1/interfaces/org.openeuler.nkd1.Node.xml";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    assert_data_eq!(live, Data::read_from(&golden, None).raw());
}

#[test]
fn before_the_first_event_the_node_waits() {
    let machine = Machine::new();
    let (_bus, _reporter, client) = start(&machine);
    let expected = map(&[
        ("Attempt", "uint32 0"),
        ("Cause", "\"\""),
        ("Cluster", "\"\""),
        ("Message", "\"\""),
        ("Name", "\"\""),
        ("PlanDigest", "\"\""),
        ("Progress", "(uint64 0, uint64 0, \"\")"),
        ("Role", "\"\""),
        ("Since", "uint64 0"),
        ("Stage", "\"\""),
        ("State", "\"waiting\""),
    ]);
    assert_eq!(client.get_all(), expected);
}

#[test]
fn properties_are_what_the_log_adds_up_to() {
    let machine = Machine::new();
    let failed = Event {
        attempt: 2,
        cause: Some(Cause::ImagesImport.into()),
        progress: Some(Progress::new(3, 7, Unit::Archives)),
        ..event(2, Kind::AttemptFailed)
    };
    machine.log(&[event(1, Kind::StageStarted), failed]);
    let (_bus, _reporter, client) = start(&machine);
    let expected = map(&[
        ("Attempt", "uint32 2"),
        ("Cause", "\"images.import\""),
        ("Cluster", "\"demo\""),
        ("Message", "\"message 2\""),
        ("Name", "\"cp1\""),
        ("PlanDigest", &format!("\"{}\"", "5".repeat(64))),
        ("Progress", "(uint64 3, uint64 7, \"archives\")"),
        ("Role", "\"init\""),
        ("Since", "uint64 1700000002000000"),
        ("Stage", "\"images\""),
        ("State", "\"retrying\""),
    ]);
    assert_eq!(client.get_all(), expected);
}

#[test]
fn each_batch_of_events_is_one_signal_with_what_changed_and_then_what_it_means() {
    let machine = Machine::new();
    machine.log(&[event(1, Kind::StageStarted)]);
    let (_bus, _reporter, client) = start(&machine);
    let heard = client.listen();
    machine.log(&[event(2, Kind::Progress), event(3, Kind::Progress)]);
    assert_eq!(
        next(&heard),
        Heard::Changed(map(&[("Message", "\"message 3\"")]))
    );

    let failed = Event {
        cause: Some(Cause::ImagesMissing.into()),
        ..event(4, Kind::Failed)
    };
    machine.log(&[failed]);
    let changed = map(&[
        ("Cause", "\"images.missing\""),
        ("Message", "\"message 4\""),
        ("Since", "uint64 1700000004000000"),
        ("State", "\"failed\""),
    ]);
    assert_eq!(next(&heard), Heard::Changed(changed));
    assert_eq!(
        next(&heard),
        Heard::Failed("images.missing".into(), "message 4".into())
    );

    machine.log(&[event(5, Kind::Ready)]);
    assert!(matches!(next(&heard), Heard::Changed(_)));
    assert_eq!(next(&heard), Heard::Ready);
}

#[test]
fn words_of_a_later_worker_pass_through_properties_and_signals() {
    let machine = Machine::new();
    machine.log(&[event(1, Kind::StageStarted)]);
    let (_bus, _reporter, client) = start(&machine);
    let heard = client.listen();
    machine.log_json(&newer(2, "stage-skipped"));
    let changed = map(&[
        ("Cause", "\"upgrade.held-back\""),
        ("Message", "\"message 2\""),
        ("Progress", "(uint64 1, uint64 2, \"volumes\")"),
        ("Role", "\"observe\""),
        ("Stage", "\"upgrade\""),
    ]);
    assert_eq!(next(&heard), Heard::Changed(changed.clone()));
    let properties = client.get_all();
    assert_eq!(properties["State"], "\"installing\"");
    assert!(
        changed
            .iter()
            .all(|(name, value)| properties[name] == *value)
    );

    machine.log_json(&newer(3, "failed"));
    assert!(matches!(next(&heard), Heard::Changed(_)));
    let failed = Heard::Failed("upgrade.held-back".into(), "message 3".into());
    assert_eq!(next(&heard), failed);
}

#[test]
fn a_bus_that_goes_away_is_joined_again_when_it_is_back() {
    let machine = Machine::new();
    machine.log(&[event(1, Kind::StageStarted)]);
    let (bus, reporter, client) = start(&machine);
    assert_eq!(client.get("Message").unwrap(), "\"message 1\"");
    drop(bus);
    reporter.wait_for_line("lost the connection to the system bus");
    machine.log(&[event(2, Kind::Ready)]);

    let bus = Bus::start(&machine.path("/bus"));
    Client::connect(&bus).wait_for("Message", "\"message 2\"");
}

#[test]
fn a_bus_that_comes_later_is_joined() {
    let machine = Machine::new();
    machine.log(&[event(1, Kind::StageStarted)]);
    let reporter = machine.report(&machine.path("/bus"));
    reporter.wait_for_line("no connection to the system bus");
    let bus = Bus::start(&machine.path("/bus"));
    Client::connect(&bus).wait_for("Message", "\"message 1\"");
}

#[test]
fn a_receiver_of_callbacks_that_never_answers_does_not_hold_up_the_bus() {
    let receiver = HttpReceiver::start(&[Answer::Silence]);
    let machine = Machine::reporting_to(&receiver.target());
    machine.log(&[event(1, Kind::StageStarted)]);
    let (_bus, _reporter, client) = start(&machine);
    assert_eq!(receiver.next().sequence(), 1);
    machine.log(&[event(2, Kind::Ready)]);
    client.wait_for("State", "\"ready\"");
}

/// The delivered policy on top of the system bus' own: no names, no method calls. Somebody stands in
/// for the reporter's user.
fn policy_with(reporter: &str) -> String {
    let policy = "../systemd/usr/share/dbus-1/system.d/org.openeuler.nkd1.conf";
    let policy = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(policy)).unwrap();
    let policy = policy.replace("user=\"nkd-reporter\"", &format!("user=\"{reporter}\""));
    let begin = policy.find("<policy").unwrap();
    let end = policy.find("</busconfig>").unwrap();
    let defaults = r#"
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>"#;
    format!("{defaults}{}", &policy[begin..end])
}

#[test]
fn by_the_policy_only_the_reporters_user_has_the_name() {
    let machine = Machine::new();
    let bus = Bus::with_policy(&machine.path("/bus"), &policy_with("nobody"));
    let reporter = machine.report(&bus.socket);
    reporter.wait_for_line("no connection to the system bus: ");
}

#[test]
fn by_the_policy_everybody_may_read_and_nobody_may_set() {
    let machine = Machine::new();
    let user = fs::metadata(machine.root.path()).unwrap().uid().to_string();
    let bus = Bus::with_policy(&machine.path("/bus"), &policy_with(&user));
    let _reporter = machine.report(&bus.socket);
    let client = Client::connect(&bus);
    client.wait_for("State", "\"waiting\"");
    client
        .call("org.freedesktop.DBus.Introspectable", "Introspect", &())
        .unwrap();
    client
        .call("org.freedesktop.DBus.Peer", "Ping", &())
        .unwrap();

    let set = (names::INTERFACE, "State", Variant::from("ready"));
    let error = client
        .call(PROPERTIES, "Set", &set)
        .unwrap_err()
        .to_string();
    assert!(error.contains("AccessDenied"), "{error}");
}
