//! `nkd`: an offline compiler from one cluster file to one proven Ignition file per machine.
//!
//! The way of the data: [`cluster_file`] (as written, resolved, validated) makes a `model`; `node` makes
//! from it what goes onto one machine, with `kubeadm`, [`pki`], `images` and the fragments; the user's own
//! configs are merged into that ([`config`]); [`proof`] holds all machines against each other; carriers and
//! output write it. `docs/architecture.md` has the order of the modules, which a test holds.

pub mod bundle;
pub mod carrier;
pub mod cli;
pub mod cluster_file;
pub mod compile;
pub mod compiled;
pub mod config;
pub mod contents;
pub mod failure;
mod fragments;
mod image_name;
mod images;
mod kubeadm;
mod model;
mod node;
pub mod output;
mod own_configs;
mod parallel;
pub mod pki;
pub mod proof;
mod provenance;
mod runtime;
mod secrets_file;
pub mod version;
