//! The cost of the agent: compares a boot to Ready with a shell script that does the same steps.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use nkd_contract::paths;
use testbed::Machine;
use testbed::by_hand::{instead_of_nkd, median};
use testbed::scenario::Scenario;
use testbed::usage::{Process, REPORTER, Usage, WORKER};

/// The time limit for a control plane.
const PATIENCE: Duration = Duration::from_secs(300);
const TICK: Duration = Duration::from_millis(50);

/// Boots the demo's control plane alternately with nkd-agent and with a shell script, and compares the
/// times until the node is Ready.
#[derive(Debug, Parser)]
struct Options {
    /// Number of boots with each.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Keep the journal of each boot in this existing directory: `1-agent.log` and so on, with the host's
    /// monotonic seconds.
    #[arg(long)]
    journals: Option<PathBuf>,
    /// Also boot with this agent, such as one of an earlier commit.
    #[arg(long, value_name = "FILE")]
    other_agent: Option<PathBuf>,
}

/// Whose processor time and memory is told, instead of the agent's.
const SCRIPT: &str = "/bin/sh /etc/nkd-testbed/by-hand.sh cp1";

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(directory) = &options.journals {
        std::fs::create_dir_all(directory)?;
    }
    let (mut agent, mut other, mut script) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=options.runs {
        println!("run {run}");
        let keep = |who: &str| {
            let directory = options.journals.as_ref()?;
            Some(directory.join(format!("{run}-{who}.log")))
        };
        agent.push(with_agent(None, keep("agent"))?);
        if let Some(file) = &options.other_agent {
            other.push(with_agent(Some(file), keep("other"))?);
        }
        script.push(with_script(keep("script"))?);
    }
    let (agent, script) = (median(agent), median(script));
    println!("median: agent {agent:.2} s, script {script:.2} s");
    println!("the agent takes {:.3} of the script's time", agent / script);
    if !other.is_empty() {
        let other = median(other);
        println!(
            "and {:.3} of the other agent's, {other:.2} s",
            agent / other
        );
    }
    Ok(())
}

fn with_agent(other: Option<&PathBuf>, journal: Option<PathBuf>) -> Result<f64> {
    let scenario = Scenario::new()?;
    let machine = scenario.machine(&scenario.compile()?, "cp1")?;
    if let Some(other) = other {
        fs::copy(other, machine.root().join("usr/bin/nkd-agent"))?;
    }
    boot_to_complete(&machine, &[WORKER, REPORTER], journal)
}

fn with_script(journal: Option<PathBuf>) -> Result<f64> {
    let scenario = Scenario::new()?;
    let machine = scenario.machine(&scenario.compile()?, "cp1")?;
    instead_of_nkd(&machine, include_str!("../../overlay/plain.sh"), "cp1")?;
    boot_to_complete(&machine, &[SCRIPT], journal)
}

/// Gives the seconds it takes, and tells what these processes have used.
fn boot_to_complete(machine: &Machine, commands: &[&str], journal: Option<PathBuf>) -> Result<f64> {
    let complete = machine.root().join(&paths::COMPLETE[1..]);
    let mut used = vec![Usage::default(); commands.len()];
    let mut processes = vec![None; commands.len()];
    let start = Instant::now();
    machine.boot()?;
    while !complete.exists() {
        if start.elapsed() > PATIENCE {
            let journal = machine.journal(&["--lines=60"])?;
            anyhow::bail!("{} isn't Ready\n{journal}", machine.name());
        }
        for ((used, process), command) in used.iter_mut().zip(&mut processes).zip(commands) {
            *process = process.or_else(|| machine.process(command));
            *used = process.and_then(Process::usage).unwrap_or(*used);
        }
        std::thread::sleep(TICK);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("  {seconds:.2} s");
    for (used, command) in used.iter().zip(commands) {
        let (own, children) = (used.processor.as_secs_f64(), used.children.as_secs_f64());
        let memory = used.memory;
        println!(
            "    {command}: {own:.2} s of processor, {memory} KiB; its children {children:.2} s"
        );
    }
    if let Some(journal) = journal {
        fs::write(journal, machine.journal(&["--output=short-monotonic"])?)?;
    }
    Ok(seconds)
}
