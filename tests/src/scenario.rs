//! The beginning of every scenario: the demo's cluster file, adapted to a lab of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nkd_contract::{names, paths};
use serde_json::{Value, json};

use crate::cluster::{Cluster, ClusterFile};
use crate::programs::workspace;
use crate::registry::Registry;
use crate::requirements::{self, Purpose};
use crate::{Cache, CallbackReceiver, Kubernetes, Lab, Machine, OsImage, Programs};
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

impl Scenario {
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
