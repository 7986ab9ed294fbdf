//! Ignition configs of specification 3.0.0 to 3.5.0, and Butane configs, as a machine would take them.
//!
//! A config is read ([`read`]) into a tree whose every value has its place in the file ([`tree`]), checked as
//! Ignition checks it ([`check`]), and merged as Ignition merges it ([`merge`]); the fields of each version
//! are in one table ([`spec`]). A Butane config is translated first ([`butane`]). Nothing here knows of
//! clusters, and nothing is fetched: what a config names elsewhere stays a name.

pub mod butane;
pub mod check;
mod data_url;
pub mod lists;
pub mod merge;
pub mod read;
pub mod spec;
pub mod tree;

pub use data_url::{LIMIT, decode, encode, encode_as_is, gzip, plain};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
