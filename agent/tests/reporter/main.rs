//! The reporter as its unit runs it: the real program, a real message bus, a real HTTP server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/agent.rs"]
mod agent;
mod bus;
mod callbacks;
mod lab;
#[path = "../common/receiver.rs"]
mod receiver;
mod unit;
