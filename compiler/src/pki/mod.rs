//! Keys, certificates and what is derived from them.

mod authority;
mod generate;
pub mod kubeconfig;
pub mod own;
mod pem;
mod rotate;
mod secrets;
pub mod verify;

pub use generate::outlives_admin;
pub use rotate::Part;
pub use secrets::{Admin, Authorities, Secrets};
