//! Image bundles on the operator's side: made, checked and looked into.

mod config;
pub mod create;
mod input;
mod layer;
mod parts;
mod progress;
mod read;
mod search;
pub mod verify;

pub use progress::ProgressMonitor;
pub use read::read;
