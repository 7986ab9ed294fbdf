//! The operator of a cluster, who runs commands beside the machines: the commands of docs/day-2.md.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use packages::command;

use crate::cluster::Cluster;
use crate::scenario::Scenario;
use crate::{Machine, manual};

/// The page with the commands.
const PAGE: &str = "day-2.md";

/// A shell in the directory of the cluster file, with `nkd` and `kubectl`.
#[derive(Debug)]
pub struct Operator<'a> {
    scenario: &'a Scenario,
    directory: &'a Path,
    output: &'a str,
}

impl<'a> Operator<'a> {
    /// The operator who has compiled this cluster. The cluster file is `cluster.yaml` as the scenario has it now.
    pub fn new(scenario: &'a Scenario, cluster: &'a Cluster) -> Result<Self> {
        let directory = cluster
            .out()
            .parent()
            .context("an output without a parent")?;
        let file = scenario.file.write()?;
        fs::copy(file, directory.join("cluster.yaml"))?;
        Ok(Self {
            scenario,
            directory,
            output: "out",
        })
    }

    /// The same operator, with the kubeconfig of another output.
    #[must_use]
    pub fn with_output(self, output: &'a str) -> Self {
        Self { output, ..self }
    }

    /// The commands of the page's block of this name.
    pub fn block(&self, name: &str) -> Result<String> {
        manual::commands(PAGE, name)
    }

    /// Copies a file from the operator's directory into a directory of a machine.
    pub fn copy(&self, file: &str, machine: &Machine, directory: &str) -> Result<()> {
        machine.add(&self.directory.join(file), directory)
    }

    /// Runs the commands of the page's block of this name where the operator compiles.
    pub fn run(&self, block: &str) -> Result<String> {
        self.shell(&self.block(block)?)
    }

    /// Runs the commands of the page's block of this name on a machine.
    pub fn run_on(&self, machine: &Machine, block: &str) -> Result<String> {
        let text = self.block(block)?;
        println!("{}# {text}", machine.name());
        machine.check(["bash", "-euo", "pipefail", "-c", &text])
    }

    /// Runs a shell script, and returns its standard output.
    pub fn shell(&self, text: &str) -> Result<String> {
        println!("$ {text}");
        let Scenario {
            programs,
            kubernetes,
            lab,
            ..
        } = self.scenario;
        let kubectl = kubernetes.program("kubectl");
        let programs =
            [&programs.nkd, &kubectl].map(|program| program.parent().map(Path::to_owned));
        let path = env::var_os("PATH").unwrap_or_default();
        let path = programs
            .into_iter()
            .flatten()
            .chain(env::split_paths(&path));
        let output = command::check(
            lab.host_command("bash")
                .args(["-euo", "pipefail", "-c", text])
                .current_dir(self.directory)
                .env("PATH", env::join_paths(path.collect::<Vec<PathBuf>>())?)
                .env(
                    "KUBECONFIG",
                    self.directory.join(self.output).join("kubeconfig"),
                ),
        )?;
        println!("{output}");
        Ok(output)
    }
}
