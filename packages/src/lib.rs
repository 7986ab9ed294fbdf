//! The packages of nkd and of nkd-agent.
//!
//! [`Product::install`] makes the installed tree of a program, as it lies on a machine. Every package
//! of the program has the files of this tree, and its bytes: see [`dist::all`].

mod architecture;
mod archive;
pub mod command;
mod deb;
pub mod dist;
mod kubernetes;
mod nestos;
mod product;
mod release;
mod rpm;
mod sbom;
mod sums;
pub mod sysext;
pub mod tools;
mod tree;

pub use architecture::Architecture;
pub use kubernetes::KubernetesExtension;
pub use product::{Builder, Product, nkd_for_this_machine};
pub use release::Release;
pub use tree::Tree;
