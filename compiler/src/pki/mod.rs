//! Keys, certificates and what is derived from them.

mod authority;
mod generate;
pub mod kubeconfig;
mod secret;
mod secrets;

pub use secret::Secret;
pub use secrets::{Admin, Authorities, KeyPair, Secrets};
