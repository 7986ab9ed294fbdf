//! `nkd`: an offline compiler from one cluster file to one proven Ignition file per machine.
//!
//! Data flows in one direction. [`cluster_file`] reads and checks the cluster file and makes the model
//! (`nkd_model`). From the model, `node` makes nkd's part of each config, with `kubeadm`, [`pki`],
//! `images` and the fragments. [`config`] merges it with the user's own configs. [`proof`] checks all
//! nodes against each other. [`carrier`] and [`output`] write the result. `docs/architecture.md` lists
//! the order of the modules, and a test enforces it.

mod advice;
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
mod node;
mod origin;
pub mod output;
mod parallel;
pub mod pki;
pub mod proof;
mod releases;
mod runtime;
mod secrets_file;
mod sysext;
mod user_configs;
