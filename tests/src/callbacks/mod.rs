//! The operator's receiver of callbacks: an HTTPS server that accepts only callbacks that it can verify.

mod message;
mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use nkd_contract::{Event, ReportTarget, paths};

use crate::authority;
use crate::lab::Lab;
use crate::machine::Machine;

const PORT: u16 = 8443;

/// A receiver of callbacks in a lab's network; it ends when it is dropped.
#[derive(Debug)]
pub struct CallbackReceiver {
    inbox: Arc<Inbox>,
    authority: String,
}

/// How the receiver behaves.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Takes what it can verify (204) and refuses everything else (401).
    #[default]
    Open,
    /// The same, two seconds after each message.
    Slow,
    /// Answers 503 to everything.
    Unavailable,
    /// Is not there: connections are refused.
    Down,
    /// Ends for good.
    Ended,
}

#[derive(Debug, Default)]
struct Inbox(Mutex<InboxState>);

#[derive(Default)]
struct InboxState {
    mood: Mood,
    keys: BTreeMap<String, String>,
    received: Vec<Event>,
    refused: Vec<String>,
    repeated: usize,
    turned_away: usize,
}

impl fmt::Debug for InboxState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxState")
            .field("mood", &self.mood)
            .field("nodes", &self.keys.keys())
            .field("received", &self.received.len())
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

impl CallbackReceiver {
    /// Listens in a network namespace, with a certificate authority made in the directory.
    pub(crate) fn listen(network: &Path, directory: &Path) -> Result<Self> {
        let authority = authority::new(directory, Lab::GATEWAY)?;
        let inbox = Arc::new(Inbox::default());
        server::start(
            network,
            (Lab::GATEWAY, PORT),
            authority.server,
            inbox.clone(),
        )?;
        Ok(Self {
            inbox,
            authority: authority.pem,
        })
    }

    /// Where nodes are to send events: `spec.report.url`.
    pub fn url(&self) -> String {
        format!("https://{}:{PORT}/events", Lab::GATEWAY)
    }

    /// The certificate authority nodes are to trust: the text of `spec.report.caFile`.
    pub fn ca_pem(&self) -> &str {
        &self.authority
    }

    /// From now on believes a node that signs with this key (`whsec_…`).
    pub fn trust(&self, node: &str, key: &str) {
        self.inbox
            .lock()
            .keys
            .insert(node.to_owned(), key.to_owned());
    }

    /// Trusts a machine with the key that Ignition delivered to it.
    pub fn trust_machine(&self, machine: &Machine) -> Result<()> {
        self.trust_machine_as(machine, machine.name())
    }

    /// The same for a machine that signs in the name of another, such as an open pool.
    pub fn trust_machine_as(&self, machine: &Machine, signer: &str) -> Result<()> {
        let json = machine.read(paths::REPORT)?;
        let target: ReportTarget = serde_json::from_str(&json)
            .with_context(|| format!("{} on {}", paths::REPORT, machine.name()))?;
        self.trust(signer, &target.signing_key);
        Ok(())
    }

    /// Changes how the receiver behaves from now on.
    pub fn set(&self, mood: Mood) {
        self.inbox.lock().mood = mood;
    }

    /// What was received and verified, in the order it came, each event once.
    pub fn received(&self) -> Vec<Event> {
        self.inbox.lock().received.clone()
    }

    /// What was received from one node.
    pub fn received_from(&self, node: &str) -> Vec<Event> {
        let mut events = self.received();
        events.retain(|event| event.node == node);
        events
    }

    /// Why messages were refused.
    pub fn refused(&self) -> Vec<String> {
        self.inbox.lock().refused.clone()
    }

    /// How many verified messages held an event that had come before.
    pub fn repeated(&self) -> usize {
        self.inbox.lock().repeated
    }

    /// How many messages were answered 503.
    pub fn turned_away(&self) -> usize {
        self.inbox.lock().turned_away
    }
}

impl Drop for CallbackReceiver {
    fn drop(&mut self) {
        self.set(Mood::Ended);
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message in and says which HTTP status it gets.
    fn take(&self, message: &message::Message) -> u16 {
        let mut state = self.lock();
        if !matches!(state.mood, Mood::Open | Mood::Slow) {
            state.turned_away += 1;
            return 503;
        }
        match message.verify(&state.keys) {
            Ok(event) => {
                if state.received.iter().any(|known| known.id == event.id) {
                    state.repeated += 1;
                } else {
                    state.received.push(event);
                }
                204
            }
            Err(reason) => {
                state.refused.push(format!("{reason:#}"));
                401
            }
        }
    }
}
