//! `nkd-agent`: makes the machine it runs on a Ready Kubernetes node, and reports its progress.
//!
//! - `install`: the worker, which runs as root: a state machine over a list of [`stages`].
//! - [`announcer`]: writes each event to the event log, the journal, systemd and the console.
//! - `report`: the reporter, unprivileged: reads the event log, serves D-Bus, sends callbacks.
//! - `retry`: retries the stage in which an installation has failed.
//! - `status`: shows the state of the installation, which it computes from the event log.
//! - `diagnose`: collects what shows why a node isn't Ready.
//! - `check_image`: reports what an OS image lacks to become a node.
//! - `clock`: sets a clock whose battery is empty, on every boot.
//! - `tokens`: renews bootstrap tokens that were made before a time server had set the clock.
//! - `requirements`: what an OS image must have, as tables.
//! - `runtimes`: what is particular to each container runtime.
//! - [`system`]: the machine underneath: files, commands, journal, systemd.

pub mod announcer;
mod check_image;
pub mod cli;
mod clock;
mod diagnose;
mod events;
mod install;
mod report;
mod requirements;
mod retry;
mod runtimes;
pub mod stages;
mod status;
pub mod system;
mod tokens;
