//! `nkd-agent status`: the state that follows from the event log, for people and scripts.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::AsFd;

use anyhow::{Context, bail};
use clap::Args;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nkd_contract::{Event, NodeStatus, Stage, State, Timestamp, Word, paths};

use crate::events::{EventFollower, EventReader};
use crate::system::{Root, TICK};

/// Show the state of the installation.
///
/// Every user can run this command. Exit status: 0 if the state could be read, whatever the state is;
/// 1 otherwise. With --follow: 0 if the node is Ready, 1 if the installation has failed.
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// Print JSON: one object with the state, or with --follow one object per event.
    #[arg(long)]
    json: bool,
    /// Print all earlier events, and then each new event, until the node is Ready or the installation
    /// has failed.
    #[arg(long)]
    follow: bool,
}

impl Status {
    /// Writes the state to standard output. Ends without an error when the reader closes the pipe.
    ///
    /// # Errors
    /// The event log cannot be read, or with `--follow` the installation has failed.
    pub fn run(&self, root: &Root) -> anyhow::Result<()> {
        let mut output = io::stdout().lock();
        let written = if self.follow {
            self.follow(root, &mut output)
        } else {
            self.now(root, &mut output)
        };
        match written {
            Err(error) if is_broken_pipe(&error) => Ok(()),
            other => other,
        }
    }

    fn now(&self, root: &Root, output: &mut impl Write) -> anyhow::Result<()> {
        let path = root.path(paths::EVENTS);
        let mut reader = EventReader::new(path.clone());
        let events = reader
            .read()
            .with_context(|| format!("reading {}", path.display()))?;
        let mut status = NodeStatus::default();
        status.extend(&events);
        if self.json {
            writeln!(output, "{}", serde_json::to_string(&status)?)?;
        } else if events.is_empty() {
            output.write_all(not_begun(root).as_bytes())?;
        } else {
            output.write_all(describe(&status).as_bytes())?;
        }
        Ok(output.flush()?)
    }

    fn follow(&self, root: &Root, output: &mut (impl Write + AsFd)) -> anyhow::Result<()> {
        let path = root.path(paths::EVENTS);
        let mut follower = EventFollower::new(path.clone())
            .with_context(|| format!("following {}", path.display()))?;
        let mut status = NodeStatus::default();
        loop {
            for event in follower.next(TICK).context("reading the event log")? {
                status.apply(&event);
                let line = if self.json {
                    serde_json::to_string(&event)?
                } else {
                    line(&event)
                };
                writeln!(output, "{line}")?;
            }
            output.flush()?;
            if is_unread(output) {
                return Ok(());
            }
            // After all that is there: a failed installation may have gone on since.
            match status.state {
                Word::Known(State::Ready) => return Ok(()),
                Word::Known(State::Failed) => {
                    bail!("the installation of {} has failed", status.node)
                }
                _ => {}
            }
        }
    }
}

/// Whether the reader has closed the pipe. Without a new event, nothing is written, so no write would
/// fail and show this.
fn is_unread(output: &impl AsFd) -> bool {
    let mut wanted = [PollFd::new(output.as_fd(), PollFlags::empty())];
    matches!(poll(&mut wanted, PollTimeout::ZERO), Ok(1..))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The state before the first event.
fn not_begun(root: &Root) -> String {
    let why = if root.path(paths::PLAN).exists() {
        "nkd-agent.service has not begun to install this node; see `systemctl status nkd-agent`."
    } else {
        "No plan was delivered to this machine: there is no /etc/nkd/plan.json."
    };
    format!("Nothing has happened yet. {why}\n")
}

/// The state as text, with one property per line.
fn describe(status: &NodeStatus) -> String {
    let mut facts = vec![("node", status.node.clone())];
    facts.extend(status.cluster.clone().map(|cluster| ("cluster", cluster)));
    facts.extend(status.role.iter().map(|role| ("role", role.to_string())));
    facts.push(("state", state(status)));
    let stage = status.stage.iter();
    facts.extend(stage.map(|stage| ("stage", place(stage, status.attempt))));
    let progress = status.progress.iter();
    facts.extend(progress.map(|progress| ("progress", progress.to_string())));
    match &status.cause {
        None => {}
        Some(Word::Known(cause)) => {
            facts.push(("cause", format!("{cause}: {}", cause.meaning())));
            facts.push(("remedy", cause.remedy().to_owned()));
        }
        Some(Word::Other(cause)) => facts.push(("cause", cause.clone())),
    }
    facts.push(("message", status.message.clone()));

    facts
        .into_iter()
        .fold(String::new(), |mut text, (name, fact)| {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{name:<8}  {}", printable(&fact));
            text
        })
}

fn state(status: &NodeStatus) -> String {
    let name = &status.state;
    match status.since {
        Some(since) => format!("{name} since {}", seconds(since)),
        None => name.to_string(),
    }
}

/// A moment as text for people.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_unix(time.unix())
}

fn place(stage: &Word<Stage>, attempt: u32) -> String {
    let mut text = stage.to_string();
    if let Some(stage) = stage.known() {
        let up_to = Stage::ALL.iter().take_while(|other| **other <= stage);
        let _ = write!(text, " ({} of {})", up_to.count(), Stage::ALL.len());
    }
    if attempt > 1 {
        let _ = write!(text, ", attempt {attempt}");
    }
    text
}

/// An event as one line of text.
fn line(event: &Event) -> String {
    let stage = event.stage.as_ref().map_or("-", Word::as_str);
    let (time, kind) = (seconds(event.time), &event.kind);
    let mut text = format!("{time}  {stage:<7}  {kind:<14}  ");
    if let Some(cause) = &event.cause {
        let _ = write!(text, "{cause}: ");
    }
    text.push_str(&printable(&event.message));
    if let Some(progress) = &event.progress {
        let _ = write!(text, " ({progress})");
    }
    if let Some(millis) = event.retry_after {
        let _ = write!(text, " (again in {} s)", millis.div_ceil(1000));
    }
    text
}

/// Text without characters that control a terminal: messages contain the output of other programs.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}
