//! Ignition configs of specification 3.0.0 to 3.6.0, and Butane configs.
//!
//! A config is read ([`read`]) into a tree in which every value has its position in the file ([`tree`]),
//! checked as Ignition checks it ([`check`]), and merged as Ignition merges it ([`merge`]). The fields of
//! each version are in one table ([`spec`]). A Butane config is translated first ([`butane`]). This crate
//! does not depend on nkd's clusters, and fetches nothing: a URL in a config stays a URL.

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
