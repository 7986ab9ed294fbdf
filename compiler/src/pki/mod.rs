//! Keys, certificates and what is derived from them.

mod authority;
mod generate;
pub mod kubeconfig;
pub mod own;
mod pem;
mod rotate;
mod secret;
mod secrets;
pub mod verify;

pub use generate::outlives_admin;
pub use rotate::Part;
pub use secret::Secret;
pub use secrets::{Admin, Authorities, KeyPair, Secrets};
