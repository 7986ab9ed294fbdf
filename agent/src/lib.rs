//! `nkd-agent`: makes the machine it runs on a Ready Kubernetes node, and says how it goes.
//!
//! - [`install`]: the worker, root: a state machine over the [`stages`], writing the event log.
//! - [`announcer`]: tells what happens to everybody who listens.
//! - [`report`]: the reporter, unprivileged: reads the event log, serves D-Bus, sends callbacks.
//! - [`retry`]: goes on at once with an installation that has failed.
//! - [`status`]: what the event log adds up to, for a person.
//! - [`diagnose`]: everything needed to see from elsewhere why a node isn't Ready.
//! - [`clock`]: sets a clock that lost its battery, on every boot.
//! - [`tokens`]: renews bootstrap tokens that were made before a time server had set the clock.
//! - `runtimes`: what is particular to each container runtime.
//! - [`system`]: the machine underneath: files, commands, journal, systemd.

pub mod announcer;
pub mod cli;
mod clock;
mod diagnose;
mod events;
mod install;
mod report;
mod retry;
mod runtimes;
pub mod stages;
mod status;
pub mod system;
mod tokens;
