//! Boots one machine without nkd, and keeps it running until the command is interrupted.

use std::io::Write;

use anyhow::Result;
use testbed::overlay::{self, Node};
use testbed::requirements::{self, Purpose};
use testbed::{Cache, Kubernetes, Lab, OsImage};

fn main() -> Result<()> {
    requirements::ensure(Purpose::Machines)?;
    let cache = Cache::open()?;
    let image = OsImage::without_product(&cache, &Kubernetes::chosen(&cache)?)?;
    let lab = Lab::new(&cache)?;
    let config = lab.scratch("hold")?.join("hold.ign");
    let node = Node {
        address: "10.200.0.11",
        nodes: &[],
    };
    std::fs::write(&config, overlay::user_ignition(&node).to_string())?;
    let machine = lab.machine(&image, "hold", &config)?;
    machine.boot()?;
    let (root, leader) = (machine.root(), machine.leader()?);
    println!(
        "{} holds {}; a shell: nsenter --all --target {leader}",
        lab.name(),
        root.display()
    );
    std::io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}
