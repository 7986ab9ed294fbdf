//! What the agent costs: boot to Ready with it, against a shell script that does the same steps.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use nkd_contract::paths;
use testbed::Machine;
use testbed::by_hand::{instead_of_nkd, median};
use testbed::scenario::Scenario;

/// How long a control plane may take at most.
const PATIENCE: Duration = Duration::from_secs(300);
const TICK: Duration = Duration::from_millis(20);

/// Boots the demo's control plane with nkd-agent and with a shell script, by turns, and compares
/// how long each takes until the node is Ready.
#[derive(Debug, Parser)]
struct Options {
    /// How often each is booted.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (mut agent, mut script) = (Vec::new(), Vec::new());
    for run in 1..=options.runs {
        agent.push(with_agent()?);
        script.push(with_script()?);
        let last = agent.last().zip(script.last());
        if let Some((agent, script)) = last {
            println!("run {run}: agent {agent:.2} s, script {script:.2} s");
        }
    }
    let (agent, script) = (median(agent), median(script));
    println!("median: agent {agent:.2} s, script {script:.2} s");
    println!("the agent takes {:.3} of the script's time", agent / script);
    Ok(())
}

fn with_agent() -> Result<f64> {
    let scenario = Scenario::new()?;
    let machine = scenario.machine(&scenario.compile()?, "cp1")?;
    boot_to_complete(&machine)
}

fn with_script() -> Result<f64> {
    let scenario = Scenario::new()?;
    let machine = scenario.machine(&scenario.compile()?, "cp1")?;
    instead_of_nkd(&machine, include_str!("../../overlay/plain.sh"), "cp1")?;
    boot_to_complete(&machine)
}

fn boot_to_complete(machine: &Machine) -> Result<f64> {
    let complete = machine.root().join(&paths::COMPLETE[1..]);
    let start = Instant::now();
    machine.boot()?;
    while !complete.exists() {
        if start.elapsed() > PATIENCE {
            let journal = machine.journal(&["--lines=60"])?;
            anyhow::bail!("{} isn't Ready\n{journal}", machine.name());
        }
        std::thread::sleep(TICK);
    }
    Ok(start.elapsed().as_secs_f64())
}
