//! Image bundles on the operator's machine: create, verify and list them.

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
pub use read::{is_file_name, read};
