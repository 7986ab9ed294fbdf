//! The part of the reporter that serves D-Bus.

use std::borrow::Cow;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::Context;
use nkd_contract::{Event, Kind, NodeStatus, Word, names};
use sd_notify::NotifyState;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::fdo::Properties;
use zbus::names::InterfaceName;
use zbus::object_server::InterfaceRef;

use super::LONGEST_DELAY;
use super::node::Node;
use super::notify;
use super::pulse::Pulse;
use crate::events::EventFollower;
use crate::system::{Backoff, TICK};

/// How long the bus may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the node on the system bus, without end. If the connection is lost, it connects again;
/// callbacks continue meanwhile. Reports once through `set_up` that the first attempt to connect has
/// ended.
///
/// # Errors
/// The event log cannot be read.
pub(super) fn serve(
    mut events: EventFollower,
    pulse: &Pulse,
    set_up: &Sender<()>,
) -> anyhow::Result<()> {
    let mut status = NodeStatus::default();
    let mut backoff = Backoff::new(LONGEST_DELAY);
    fold(&mut status, &next(&mut events, Duration::ZERO)?);
    loop {
        pulse.beat();
        let connected = zbus::block_on(Published::connect(&status));
        // Nobody listens any more after the first time.
        let _ = set_up.send(());
        match connected {
            Ok(published) => {
                backoff = Backoff::new(LONGEST_DELAY);
                log::info!("serving {} on the system bus", names::BUS);
                let lost = publish(published, &mut status, &mut events, pulse)?;
                log::warn!("lost the connection to the system bus: {lost}");
            }
            Err(error) => log::warn!("no connection to the system bus: {error}"),
        }
        let again = Instant::now() + backoff.next(None);
        while Instant::now() < again {
            pulse.beat();
            fold(&mut status, &next(&mut events, TICK)?);
        }
    }
}

/// Publishes new events until the connection is lost, and returns the reason.
fn publish(
    mut published: Published,
    status: &mut NodeStatus,
    events: &mut EventFollower,
    pulse: &Pulse,
) -> anyhow::Result<String> {
    while !published.connection.is_closed() {
        pulse.beat();
        let new = next(events, TICK)?;
        fold(status, &new);
        if let Err(error) = zbus::block_on(published.tell(status, &new)) {
            return Ok(error.to_string());
        }
    }
    Ok("the connection was closed".to_owned())
}

fn next(events: &mut EventFollower, patience: Duration) -> anyhow::Result<Vec<Event>> {
    events.next(patience).context("reading the event log")
}

fn fold(status: &mut NodeStatus, events: &[Event]) {
    if !events.is_empty() {
        status.extend(events);
        notify(&[NotifyState::Status(&summary(status))]);
    }
}

/// The state in one line, for `systemctl status`.
fn summary(status: &NodeStatus) -> String {
    let text = format!("{} is {}", status.node, status.state);
    match &status.stage {
        Some(stage) => format!("{text}, stage {stage}"),
        None => text,
    }
}

/// The published node.
struct Published {
    connection: Connection,
    interface: InterfaceRef<Node>,
    /// The properties that were published last.
    node: Node,
}

impl Published {
    async fn connect(status: &NodeStatus) -> zbus::Result<Self> {
        let node = Node::new(status.clone());
        let connection = Builder::system()
            .method_timeout(TIMEOUT)
            .serve_at(names::OBJECT, node.clone())
            .name(names::BUS)
            .build()
            .await?;
        let interface = connection.object_server().interface(names::OBJECT).await?;
        Ok(Self {
            connection,
            interface,
            node,
        })
    }

    /// Publishes the changes of these events in one signal, and then `Ready` or `Failed`.
    async fn tell(&mut self, status: &NodeStatus, events: &[Event]) -> zbus::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let node = Node::new(status.clone());
        *self.interface.get_mut().await = node.clone();
        let emitter = self.interface.signal_emitter();
        let changes = node.changes(&self.node);
        if !changes.is_empty() {
            let interface = InterfaceName::from_static_str_unchecked(names::INTERFACE);
            Properties::properties_changed(emitter, interface, changes, Cow::Borrowed(&[])).await?;
        }
        for event in events {
            match event.kind {
                Word::Known(Kind::Ready) => Node::ready(emitter).await?,
                Word::Known(Kind::Failed) => {
                    let cause = event.cause.as_ref().map_or("", Word::as_str);
                    Node::failed(emitter, cause, &event.message).await?;
                }
                _ => {}
            }
        }
        self.node = node;
        Ok(())
    }
}
