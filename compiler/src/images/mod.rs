//! The images that a cluster runs: those of its Kubernetes version, as `kubeadm config images list` prints them, and
//! everything else.

mod closure;
mod configured;
pub mod manifest;
mod planned;

pub use closure::Closure;
pub use configured::{Configured, default_repository, pause};
pub use planned::Planned;
