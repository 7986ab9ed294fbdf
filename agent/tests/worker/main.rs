//! The worker as its unit runs it, on a machine of files: a temporary root whose programs are
//! shell scripts. What real programs do is the testbed's to show; here it is the worker's own
//! doings in trouble.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod addons;
mod api_server;
mod budget;
mod clock;
mod cluster;
mod control_plane;
mod etcd;
mod gate;
mod hooks;
mod host;
mod install;
mod joined;
mod lock;
#[path = "../machine/mod.rs"]
mod machine;
mod open_pool;
mod pivot;
mod power_cut;
mod ready;
#[path = "../common/receiver.rs"]
#[allow(dead_code)] // The reporter's tests use the rest.
mod receiver;
mod tokens;
mod torn;
