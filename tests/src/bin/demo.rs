//! `cargo demo`: shows a cluster from power-on to Ready.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use clap::Parser;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use nkd_contract::{Cause, Event, NodeStatus, Stage, State, Word};
use testbed::cluster::ClusterFile;
use testbed::programs::workspace;
use testbed::requirements::{self, Purpose};
use testbed::{Cache, CallbackReceiver, Kubernetes, Lab, Machine, OsImage, Programs};

/// Compiles examples/demo, boots its control plane and its worker from nothing but the compiled files,
/// and shows how both become Ready.
#[derive(Debug, Parser)]
#[command(name = "cargo demo")]
struct Options {
    /// Boot this Kubernetes instead of the built one: a directory with bin/ and images/*.tar
    #[arg(long, value_name = "DIR")]
    kubernetes: Option<PathBuf>,
    /// Leave the cluster running until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// The time limit for a cluster, which takes about a minute on two cores.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// The time limit for starting a machine.
const BOOT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match demo(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(options: &Options) -> Result<()> {
    requirements::ensure(Purpose::Machines)?;
    let cache = Cache::open()?;
    let kubernetes = match &options.kubernetes {
        Some(directory) => Kubernetes::from_directory(directory)?,
        None => Kubernetes::built_in(&cache)?,
    };
    let programs = Programs::build()?;
    let image = OsImage::build(&cache, &kubernetes, &programs)?;
    let lab = Lab::new(&cache)?;
    let callbacks = lab.callbacks()?;

    let version = kubernetes.version();
    println!("\nCompiling examples/demo/cluster.yaml for Kubernetes {version}");
    let example = workspace().join("examples/demo/cluster.yaml");
    let mut file = ClusterFile::from_example(&lab, &example, &kubernetes)?;
    file.report_to(&callbacks)?;
    let cluster = file.compile(&programs)?;

    println!("Powering on. This is what the machines themselves report, by callbacks:\n");
    let machines = cluster.machines(&lab, &image)?;
    for machine in &machines {
        callbacks.trust_machine(machine)?;
    }
    let took = watch(&machines, &callbacks)?;

    println!("\nkubectl get nodes, with the kubeconfig that was compiled too:\n");
    let nodes = ["get", "nodes", "--output=wide"];
    print!("{}", cluster.kubectl(&lab, &kubernetes, &nodes)?);
    println!("\nCallbacks received, each with a valid signature, and none refused:\n");
    for machine in &machines {
        let events = callbacks.received_from(machine.name());
        let last = events.last().map_or("", |event| event.message.as_str());
        println!(
            "  {:8} {:3}, the last: {last}",
            machine.name(),
            events.len()
        );
    }
    let refused = callbacks.refused();
    ensure!(
        refused.is_empty(),
        "callbacks refused: {}",
        refused.join("; ")
    );
    println!("\nFrom power-on to a Ready cluster: {} s", took.as_secs());
    if options.keep {
        println!("Leaving it on until Ctrl-C.");
        loop {
            thread::park();
        }
    }
    Ok(())
}

/// Powers the machines on, shows what they report until all are Ready, and returns how long that took.
fn watch(machines: &[Machine], callbacks: &CallbackReceiver) -> Result<Duration> {
    let start = Instant::now();
    let mut board = Board::new(machines, start);
    thread::scope(|scope| {
        let boots: Vec<_> = machines
            .iter()
            .map(|machine| scope.spawn(|| machine.boot()))
            .collect();
        while !board.all_are_ready()? {
            ensure!(
                start.elapsed() < PATIENCE,
                "not Ready after {} s",
                PATIENCE.as_secs()
            );
            ensure!(
                machines.iter().all(Machine::is_running) || start.elapsed() < BOOT,
                "a machine went off"
            );
            board.show(&callbacks.received());
            thread::sleep(Duration::from_millis(200));
        }
        board.finish();
        for boot in boots {
            boot.join().map_err(|_| anyhow!("a boot panicked"))??;
        }
        Ok(start.elapsed())
    })
}

/// Shows the progress of each node in one line. Without a terminal, prints one line per event.
struct Board {
    nodes: BTreeMap<String, (NodeStatus, ProgressBar)>,
    shown: usize,
    start: Instant,
}

impl Board {
    fn new(machines: &[Machine], start: Instant) -> Self {
        let bars = MultiProgress::new();
        let style = ProgressStyle::with_template("  {prefix:8} {bar:16} {pos}/{len} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let nodes = machines.iter().map(|machine| {
            let name = machine.name().to_owned();
            let bar = bars.add(ProgressBar::new(Stage::ALL.len() as u64));
            bar.set_style(style.clone());
            bar.set_prefix(name.clone());
            bar.set_message("powered on");
            (name, (NodeStatus::default(), bar))
        });
        Self {
            nodes: nodes.collect(),
            shown: 0,
            start,
        }
    }

    fn show(&mut self, events: &[Event]) {
        let elapsed = self.start.elapsed();
        for event in &events[self.shown.min(events.len())..] {
            let Some((status, bar)) = self.nodes.get_mut(&event.node) else {
                continue;
            };
            status.apply(event);
            let line = line(status);
            if io::stderr().is_terminal() {
                bar.set_position(stages_done(status));
                bar.set_message(line);
            } else {
                println!("  {:5.1} s  {:8} {line}", elapsed.as_secs_f32(), event.node);
            }
        }
        self.shown = events.len();
    }

    fn all_are_ready(&self) -> Result<bool> {
        if let Some((status, _)) = self
            .nodes
            .values()
            .find(|(status, _)| status.state == State::Failed)
        {
            let remedy = status.cause.as_ref().and_then(Word::known);
            let remedy = remedy.map_or("", Cause::remedy);
            bail!("{} stopped in {}\n{remedy}", status.node, line(status));
        }
        Ok(self
            .nodes
            .values()
            .all(|(status, _)| status.state == State::Ready))
    }

    fn finish(&self) {
        for (_, bar) in self.nodes.values() {
            bar.abandon();
        }
    }
}

fn stages_done(status: &NodeStatus) -> u64 {
    if status.state == State::Ready {
        return Stage::ALL.len() as u64;
    }
    let stage = status.stage.as_ref().and_then(Word::known);
    let place = stage.and_then(|stage| Stage::ALL.iter().position(|other| *other == stage));
    place.unwrap_or(0) as u64
}

fn line(status: &NodeStatus) -> String {
    let stage = status.stage.as_ref();
    let stage = stage.map_or(status.state.as_str(), Word::as_str);
    let attempt = if status.attempt > 1 {
        format!(" (attempt {})", status.attempt)
    } else {
        String::new()
    };
    let progress = status
        .progress
        .as_ref()
        .map(|progress| format!(" ({progress})"))
        .unwrap_or_default();
    let cause = status
        .cause
        .as_ref()
        .map(|cause| format!(" [{cause}]"))
        .unwrap_or_default();
    format!("{stage}{attempt}: {}{progress}{cause}", status.message)
}
