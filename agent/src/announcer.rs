//! Writes each event to the event log, the journal, systemd and the console.

use std::io;

use nkd_contract::{Cause, Event, Kind, Plan, Progress, Stage, Timestamp, Word, paths};
use sd_notify::NotifyState;
use serde_json::Map;

use crate::events::EventLog;
use crate::system::files::write_atomic;
use crate::system::{self, Root, journal};

/// The part of an event that differs between events of one node.
#[derive(Debug, Clone)]
pub(crate) struct News {
    /// The kind of the event.
    pub(crate) kind: Kind,
    /// The stage.
    pub(crate) stage: Option<Stage>,
    /// The attempt at the stage.
    pub(crate) attempt: u32,
    /// The progress of the stage.
    pub(crate) progress: Option<Progress>,
    /// The cause of a failure.
    pub(crate) cause: Option<Cause>,
    /// The message for people.
    pub(crate) message: String,
    /// Milliseconds until the next attempt.
    pub(crate) retry_after: Option<u64>,
}

impl News {
    /// News that belong to no stage.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            stage: None,
            attempt: 0,
            progress: None,
            cause: None,
            message: message.into(),
            retry_after: None,
        }
    }

    /// News of an attempt at a stage.
    pub(crate) fn of(kind: Kind, stage: Stage, attempt: u32, message: impl Into<String>) -> Self {
        Self {
            stage: Some(stage),
            attempt,
            ..Self::new(kind, message)
        }
    }
}

/// Writes events in the name of the node.
#[derive(Debug)]
pub struct Announcer {
    root: Root,
    log: EventLog,
    boot: String,
    /// The plan and its digest, once there is one.
    plan: Option<(Plan, String)>,
    hostname: String,
    /// Whether progress is written to the journal only.
    quiet: bool,
}

impl Announcer {
    /// Opens the event log.
    ///
    /// # Errors
    /// The file cannot be opened, or the hostname cannot be read.
    pub fn open(root: &Root, boot: String) -> io::Result<Self> {
        let hostname = nix::unistd::gethostname()?.to_string_lossy().into_owned();
        Ok(Self {
            root: root.clone(),
            log: EventLog::open(&root.path(paths::EVENTS))?,
            boot,
            plan: None,
            hostname,
            quiet: false,
        })
    }

    /// Writes progress to the journal only from now on, or to all places again.
    pub(crate) fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Puts the plan's node into all further events.
    pub(crate) fn adopt(&mut self, plan: &Plan, digest: &str) {
        journal::set_field("NKD_CLUSTER", &plan.cluster);
        journal::set_field("NKD_NODE", &plan.node);
        journal::set_field("NKD_PLAN", digest);
        self.plan = Some((plan.clone(), digest.to_owned()));
    }

    /// Puts the name that the node has got into all further events.
    pub(crate) fn rename(&mut self, node: &str) {
        if let Some((plan, _)) = &mut self.plan {
            journal::set_field("NKD_NODE", node);
            node.clone_into(&mut plan.node);
        }
    }

    /// The next events of the log, which are not written yet.
    pub(crate) fn events(&self, news: impl IntoIterator<Item = News>) -> Vec<Event> {
        (self.log.last() + 1..)
            .zip(news)
            .map(|(sequence, news)| self.event(sequence, news))
            .collect()
    }

    fn event(&self, sequence: u64, news: News) -> Event {
        let News { message, .. } = news;
        let plan = self.plan.as_ref();
        Event {
            sequence,
            id: system::uuid(),
            time: Timestamp::now(),
            boot: self.boot.clone(),
            cluster: plan.map(|(plan, _)| plan.cluster.clone()),
            node: plan
                .map(|(plan, _)| plan.node.clone())
                .filter(|node| !node.is_empty())
                .unwrap_or_else(|| self.hostname.clone()),
            pool: plan.and_then(|(plan, _)| plan.pool.clone()),
            role: plan.map(|(plan, _)| plan.role.into()),
            plan: plan.map(|(_, digest)| digest.clone()),
            kind: news.kind.into(),
            stage: news.stage.map(Word::from),
            attempt: news.attempt,
            progress: news.progress,
            cause: news.cause.map(Word::from),
            // Some of it is from the cluster's API and from servers.
            message: system::printable(&message),
            retry_after: news.retry_after,
            unknown_fields: Map::new(),
        }
    }

    /// Writes an event that may be lost in a crash.
    ///
    /// # Errors
    /// The event log cannot be written.
    pub(crate) fn announce(&mut self, news: News) -> io::Result<()> {
        if self.quiet {
            log::info!("{}", news.message);
            return Ok(());
        }
        let event = self.event(self.log.last() + 1, news);
        self.publish(&event)
    }

    /// Writes an event, unless the log has it already.
    ///
    /// # Errors
    /// The event log cannot be written.
    pub(crate) fn publish(&mut self, event: &Event) -> io::Result<()> {
        if event.sequence <= self.log.last() {
            return Ok(());
        }
        self.log.append(event)?;
        tell_machine(&self.root, event);
        Ok(())
    }
}

/// Announces everywhere except in the event log that the agent cannot save its own state.
pub(crate) fn tell_of_lost_state(root: &Root, error: &anyhow::Error) {
    let hostname = nix::unistd::gethostname().unwrap_or_default();
    tell_machine(
        root,
        &Event {
            sequence: 0,
            id: system::uuid(),
            time: Timestamp::now(),
            boot: system::boot_id(),
            cluster: None,
            node: hostname.to_string_lossy().into_owned(),
            pool: None,
            role: None,
            plan: None,
            kind: Kind::AttemptFailed.into(),
            stage: None,
            attempt: 0,
            progress: None,
            cause: Some(Cause::AgentState.into()),
            message: format!("{error:#}"),
            retry_after: None,
            unknown_fields: Map::new(),
        },
    );
}

/// Writes to the journal, systemd and the console.
fn tell_machine(root: &Root, event: &Event) {
    to_journal(event);
    let line = headline(event);
    // Neither systemd nor a console is needed to install a node.
    let _ = sd_notify::notify(&[NotifyState::Status(&line)]);
    let issue = format!("nkd: {}: {line}\n", event.node);
    if let Err(error) = write_atomic(&root.path(paths::ISSUE), issue.as_bytes(), 0o644) {
        log::debug!("cannot write the line for the console: {error}");
    } else if root.program("agetty").is_some() {
        // Login prompts that are already shown are redrawn with the new line.
        let _ = root.command("agetty").args(["--reload"]).run();
    }
}

/// The event in one line, without the node's name.
fn headline(event: &Event) -> String {
    let place = match (&event.stage, event.attempt) {
        (None, _) => String::new(),
        (Some(stage), 0 | 1) => format!("{stage}: "),
        (Some(stage), attempt) => format!("{stage} (attempt {attempt}): "),
    };
    let progress = event.progress.as_ref();
    let progress = progress.map(|progress| format!(" ({progress})"));
    let cause = event.cause.as_ref().map(|cause| format!(" [{cause}]"));
    format!(
        "{place}{}{}{}",
        event.message,
        progress.unwrap_or_default(),
        cause.unwrap_or_default()
    )
}

/// The event with the fields by which `journalctl` finds and explains it. The texts of the catalog
/// contain `NKD_MEANING` and `NKD_REMEDY`.
fn to_journal(event: &Event) {
    journal::set_field("NKD_STAGE", event.stage.as_ref().map_or("", Word::as_str));
    let attempt = if event.attempt == 0 {
        String::new()
    } else {
        event.attempt.to_string()
    };
    journal::set_field("NKD_ATTEMPT", attempt);
    let level = match event.kind {
        Word::Known(Kind::Failed) => log::Level::Error,
        Word::Known(Kind::AttemptFailed) => log::Level::Warn,
        _ => log::Level::Info,
    };
    let line = headline(event);
    let message_id = event.kind.known().map_or("", Kind::message_id);
    match &event.cause {
        None => log::log!(level, MESSAGE_ID = message_id; "{line}"),
        Some(Word::Other(cause)) => {
            log::log!(level, MESSAGE_ID = message_id, NKD_CAUSE = cause.as_str(); "{line}");
        }
        Some(Word::Known(cause)) => log::log!(
            level,
            MESSAGE_ID = message_id,
            NKD_CAUSE = cause.code(),
            NKD_MEANING = cause.meaning(),
            NKD_REMEDY = cause.remedy();
            "{line}"
        ),
    }
}
