//! A testbed for first boots: real Ignition, systemd, containerd and kubeadm, without virtual
//! machines.
//!
//! ```no_run
//! # use std::path::Path;
//! # use testbed::requirements::{self, Purpose};
//! # use testbed::{Cache, OsImage, Kubernetes, Lab, Programs};
//! # fn main() -> anyhow::Result<()> {
//! requirements::ensure(Purpose::Machines)?;
//! let cache = Cache::open()?;
//! let kubernetes = Kubernetes::built_in(&cache)?;
//! let image = OsImage::build(&cache, &kubernetes, &Programs::build()?)?;
//! let lab = Lab::new(&cache)?;
//! let machine = lab.machine(&image, "cp1", Path::new("out/nodes/cp1.ign"))?;
//! machine.boot()?;
//! println!("{}", machine.check(["systemctl", "is-system-running", "--wait"])?);
//! # Ok(())
//! # }
//! ```
//!
//! See `tests/README.md` for what is real and what is a stand-in.

pub mod aarch64;
mod authority;
pub mod balancer;
pub mod by_hand;
pub mod cache;
pub mod callbacks;
mod cgroup;
pub mod cluster;
pub mod computer;
pub mod containerd;
mod daemon;
pub mod dhcp;
mod disk;
pub mod emulator;
pub mod events;
pub mod extensions;
pub mod ignition;
pub mod image;
pub mod impostor;
pub mod kubernetes;
pub mod lab;
pub mod machine;
pub mod manual;
mod network;
mod node;
pub mod operator;
pub mod overlay;
pub mod programs;
pub mod receivers;
pub mod registry;
pub mod requirements;
pub mod scenario;
pub mod snapshot;
pub mod stick;
mod teardown;
pub mod usage;
pub mod web;

pub use cache::Cache;
pub use callbacks::CallbackReceiver;
pub use cluster::{Cluster, ClusterFile};
pub use computer::{Carrier, Computer, DiskImage, LiveImage};
pub use containerd::ContainerdSeries;
pub use disk::{FileSystem, Stalled};
pub use image::OsImage;
pub use kubernetes::Kubernetes;
pub use lab::Lab;
pub use machine::Machine;
pub use operator::Operator;
pub use programs::Programs;
