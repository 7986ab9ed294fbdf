//! Keys, certificates and what is derived from them.

pub(crate) mod anchor;
mod authority;
pub(crate) mod constraints;
mod generate;
pub(crate) mod kubeconfig;
pub(crate) mod own;
mod pem;
mod rotate;
mod secrets;
pub(crate) mod verify;

pub(crate) use generate::outlives_admin;
pub(crate) use rotate::Part;
pub use secrets::Secrets;
