//! The beginning of every scenario: the demo's cluster file, adapted to a lab of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nkd_contract::{Kind, Stage, names, paths};
use serde_json::{Value, json};

use crate::cluster::{Cluster, ClusterFile};
use crate::emulator::Emulator;
use crate::events::is;
use crate::programs::workspace;
use crate::registry::Registry;
use crate::requirements::{self, Purpose};
use crate::{
    Cache, CallbackReceiver, Carrier, Computer, DiskImage, Kubernetes, Lab, Machine, OsImage,
    Programs,
};
use packages::command;

/// A lab with a receiver of callbacks, and a cluster file that isn't compiled yet.
#[derive(Debug)]
pub struct Scenario {
    /// The product's programs.
    pub programs: Programs,
    /// The Kubernetes under test.
    pub kubernetes: Kubernetes,
    /// The OS image.
    pub image: OsImage,
    /// Receives what the nodes report.
    pub callbacks: CallbackReceiver,
    /// The cluster file, which reports to `callbacks`.
    pub file: ClusterFile,
    /// The lab; last, so that it goes last.
    pub lab: Lab,
}

/// How long the boot of a computer may take. It takes 40 s where nothing else uses the processors.
pub const BOOT: Duration = Duration::from_secs(400);

impl Scenario {
    /// The stages that need no images of Kubernetes.
    pub const FIRST_STAGES: [Stage; 3] = [Stage::Clock, Stage::Host, Stage::Runtime];

    /// Sets all of it up, building what isn't in the cache.
    pub fn new() -> Result<Self> {
        Self::of("demo")
    }

    /// The same with another of the examples.
    pub fn of(example: &str) -> Result<Self> {
        requirements::ensure(Purpose::Tests)?;
        let cache = Cache::open()?;
        let kubernetes = Kubernetes::chosen(&cache)?;
        let programs = Programs::build()?;
        let image = OsImage::build(&cache, &kubernetes, &programs)?;
        let lab = Lab::new(&cache)?;
        let callbacks = lab.callbacks()?;
        let example = workspace().join(format!("examples/{example}/cluster.yaml"));
        let mut file = ClusterFile::from_example(&lab, &example, &kubernetes)?;
        file.report_to(&callbacks)?;
        Ok(Self {
            programs,
            kubernetes,
            image,
            callbacks,
            file,
            lab,
        })
    }

    /// Makes an image bundle beside the cluster file.
    pub fn bundle(&self, name: &str, options: &[&str]) -> Result<PathBuf> {
        self.file
            .bundle(&self.programs, &self.kubernetes, name, options)
    }

    /// The same with all images, which nodes look for in their OS image.
    pub fn bundle_in_image(&mut self) -> Result<PathBuf> {
        let name = "images.tar";
        let bundle = self.bundle(name, &[])?;
        let source = json!({ "directory": paths::BUNDLES });
        self.file
            .set_images(json!({ "bundles": [name], "sources": [source] }));
        Ok(bundle)
    }

    /// An entry of `spec.runtime.registries`: images of Kubernetes' own registry come from this one, whose
    /// authority and user it names.
    pub fn mirror(&self, registry: &Registry) -> Result<Value> {
        let mut mirror = self.access(registry)?;
        mirror["url"] = json!(format!("https://{}", registry.project()));
        Ok(json!({ "host": self.kubernetes.registry()?, "mirrors": [mirror] }))
    }

    /// The authority and the user of a registry, as an entry of `spec.runtime.registries` has them.
    pub fn access(&self, registry: &Registry) -> Result<Value> {
        let authority = format!("{}-ca.pem", registry.host());
        self.file.add(&authority, registry.ca_pem())?;
        self.file.add("password", Registry::PASSWORD)?;
        Ok(json!({
            "caFile": authority,
            "auth": { "username": Registry::USER, "passwordFile": "password" },
        }))
    }

    /// Compiles the cluster file.
    pub fn compile(&self) -> Result<Cluster> {
        self.file.compile(&self.programs)
    }

    /// Has the receiver accept a node's callbacks, as an operator would.
    pub fn trust(&self, cluster: &Cluster, node: &str) -> Result<()> {
        let mut nkd = Command::new(&self.programs.nkd);
        nkd.args(["secrets", "callback-keys"]).arg(cluster.out());
        let line = command::check(nkd.arg(node))?;
        let (_, key) = line.trim().split_once(' ').context("no key")?;
        self.callbacks.trust(node, key.trim());
        Ok(())
    }

    /// A machine of an open pool, not yet started, whose callbacks are believed.
    pub fn pool_machine(
        &self,
        cluster: &Cluster,
        pool: &str,
        name_and_address: (&str, &str),
    ) -> Result<Machine> {
        let machine = cluster.pool_machine(&self.lab, &self.image, pool, name_and_address)?;
        self.callbacks.trust_machine_as(&machine, pool)?;
        Ok(machine)
    }

    /// The computer of a node, not yet switched on, which gets its config from a carrier.
    pub fn computer(&self, node: &str, carrier: Carrier) -> Result<Computer> {
        let cache = Cache::open()?;
        let image = DiskImage::build(&cache, &self.kubernetes, &self.programs)?;
        let emulator = Emulator::new(&cache)?;
        self.lab.computer(&emulator, &image, node, carrier)
    }

    /// Waits until a computer that was switched on has done the first stages of its installation, up to a running
    /// container runtime. Prints how long each took.
    pub fn await_first_stages(&self, computer: &Computer) -> Result<()> {
        let start = Instant::now();
        for stage in Self::FIRST_STAGES {
            let events = || self.callbacks.received().into_iter();
            let done = || events().any(|event| is(&event, Kind::StageDone, stage));
            computer.wait_for(&format!("the stage {stage}"), BOOT, done)?;
            println!("{stage} after {} s", start.elapsed().as_secs());
        }
        Ok(())
    }

    /// Powers an installed computer on, and waits until its agent reports something in the new boot.
    pub fn await_second_boot(&self, computer: &Computer) -> Result<()> {
        let start = Instant::now();
        let seen = self.callbacks.received();
        let first_boot = &seen.last().context("no event of a first boot")?.boot;
        let continues = || {
            let mut events = self.callbacks.received().into_iter();
            events.any(|event| event.boot != *first_boot)
        };
        computer.power_on()?;
        computer.wait_for("an event of the second boot", BOOT, continues)?;
        println!("second boot: {} s", start.elapsed().as_secs());
        Ok(())
    }

    /// The machine of a node, not yet started, whose callbacks are believed.
    pub fn machine(&self, cluster: &Cluster, node: &str) -> Result<Machine> {
        let machine = cluster.machine(&self.lab, &self.image, node)?;
        self.callbacks.trust_machine(&machine)?;
        Ok(machine)
    }
}

/// A property of the node's own, read by `busctl` on the machine: type and value, as it prints
/// them.
pub fn property(machine: &Machine, name: &str) -> Result<String> {
    let object = [names::BUS, names::OBJECT, names::INTERFACE, name];
    let line = machine.check(["busctl", "get-property"].into_iter().chain(object))?;
    Ok(line.trim().to_owned())
}

/// Waits until a node says that it is Ready.
pub fn wait_until_ready(machine: &Machine, patience: Duration) -> Result<()> {
    machine.wait_for("the node to be Ready", patience, || {
        Ok(property(machine, "State")? == r#"s "ready""#)
    })
}
