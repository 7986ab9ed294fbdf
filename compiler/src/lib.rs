//! `nkd`: an offline compiler from one cluster file to one proven Ignition file per machine.
//!
//! The way of the data: [`cluster_file`] (as written, resolved, validated), [`node`] (what goes
//! onto one machine, from [`kubeadm`], [`pki`], [`images`] and the [`fragments`]), [`ignition`]
//! (as the machine reads it), [`proof`] (all machines against each other), [`carrier`] (how it gets
//! there), [`output`].

pub mod bundle;
pub mod carrier;
pub mod cli;
pub mod cluster_file;
pub mod compile;
pub mod config;
pub mod contents;
pub mod fragments;
pub mod images;
pub mod kubeadm;
pub mod node;
pub mod output;
pub mod own_configs;
pub mod parallel;
pub mod pki;
pub mod proof;
pub mod provenance;
pub mod secrets_file;
pub mod version;
