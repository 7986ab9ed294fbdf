//! The cost of a boot after the installation: compares the agent's units with the same units without the agent.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use testbed::Machine;
use testbed::by_hand::median;
use testbed::scenario::{Scenario, property, wait_until_ready};
use testbed::usage::{Process, REPORTER};

const PATIENCE: Duration = Duration::from_secs(300);
const SETTINGS: &str = "/etc/systemd/system";

/// Reboots a Ready control plane, and measures the agent's units. Each of them is compared with a copy that has the
/// same sandbox, but runs a program that does nothing.
#[derive(Debug, Parser)]
struct Options {
    /// Number of boots.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

const CLOCK: &str = "nkd-clock.service";
const CLOCK_COPY: &str = "copy-of-nkd-clock.service";
const REPORTER_UNIT: &str = "nkd-reporter.service";
const REPORTER_COPY: &str = "copy-of-nkd-reporter.service";
const NOTHING: &str = "/usr/bin/true";
const NOTHING_WITHOUT_END: &str = "/usr/bin/sleep infinity";
/// A service of the node whose start is compared, too.
const RUNTIME: &str = "containerd.service";

/// Milliseconds of processor time, and until the unit is active.
#[derive(Debug, Default)]
struct Cost {
    processor: Vec<f64>,
    start: Vec<f64>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let scenario = Scenario::new()?;
    let machine = scenario.machine(&scenario.compile()?, "cp1")?;
    machine.boot()?;
    wait_until_ready(&machine, PATIENCE)?;
    print_times_of_clock(&machine)?;
    copy(&machine, CLOCK, "sysinit.target", &and_times(NOTHING))?;
    copy(
        &machine,
        REPORTER_UNIT,
        "multi-user.target",
        NOTHING_WITHOUT_END,
    )?;
    let units = [CLOCK, CLOCK_COPY, REPORTER_UNIT, REPORTER_COPY, RUNTIME];
    let mut costs = units.map(|unit| (unit, Cost::default()));
    for run in 1..=options.runs {
        machine.power_off()?;
        machine.boot()?;
        wait_for_boot(&machine)?;
        println!("run {run}");
        for (unit, cost) in &mut costs {
            let (processor, start) = (processor(&machine, unit)?, start(&machine, unit)?);
            print(unit, processor, start);
            cost.processor.push(processor);
            cost.start.push(start);
        }
    }
    println!("median");
    let mut medians = Vec::new();
    for (unit, cost) in costs {
        let (processor, start) = (median(cost.processor), median(cost.start));
        print(unit, processor, start);
        medians.push(processor);
    }
    if let [clock, clock_copy, reporter, reporter_copy, _] = medians[..] {
        let (agent, copies) = (clock + reporter, clock_copy + reporter_copy);
        println!("the agent's units: {agent:.1} ms of processor, their copies: {copies:.1} ms");
    }
    Ok(())
}

fn print(unit: &str, processor: f64, start: f64) {
    println!("  {unit}: {processor:.1} ms of processor, active after {start:.1} ms");
}

/// A command that also prints the processor time of the shell, which includes that of the sandbox, and of the program.
fn and_times(program: &str) -> String {
    format!("/usr/bin/bash -c '{program}; times'")
}

fn print_times_of_clock(machine: &Machine) -> Result<()> {
    let directory = format!("{SETTINGS}/{CLOCK}.d");
    machine.check(["mkdir", "-p", &directory])?;
    let command = and_times("/usr/bin/nkd-agent clock");
    machine.write(
        &format!("{directory}/times.conf"),
        &format!("[Service]\nExecStart=\nExecStart={command}\n"),
    )
}

/// Adds a copy of a unit that runs this program.
fn copy(machine: &Machine, unit: &str, target: &str, program: &str) -> Result<()> {
    let original = machine.read(&format!("/usr/lib/systemd/system/{unit}"))?;
    let lines = original.lines().map(|line| match line.split_once('=') {
        Some(("ExecStart", _)) => format!("ExecStart={program}\n"),
        Some(("Type", "notify")) => "Type=exec\n".to_owned(),
        Some(("WatchdogSec", _)) => String::new(),
        _ => format!("{line}\n"),
    });
    let copy = format!("copy-of-{unit}");
    machine.write(&format!("{SETTINGS}/{copy}"), &lines.collect::<String>())?;
    let wanted = machine
        .root()
        .join(&SETTINGS[1..])
        .join(format!("{target}.wants"));
    fs::create_dir_all(&wanted)?;
    symlink(format!("../{copy}"), wanted.join(&copy))?;
    Ok(())
}

fn wait_for_boot(machine: &Machine) -> Result<()> {
    machine.wait_for("the end of the boot", PATIENCE, || {
        let jobs = machine.check(["systemctl", "list-jobs", "--no-legend"])?;
        Ok(jobs.trim().is_empty() && property(machine, "State")? == r#"s "ready""#)
    })?;
    // The reporter also reads the event log for callbacks.
    std::thread::sleep(Duration::from_secs(2));
    Ok(())
}

fn processor(machine: &Machine, unit: &str) -> Result<f64> {
    let command = match unit {
        REPORTER_UNIT => REPORTER,
        REPORTER_COPY => NOTHING_WITHOUT_END,
        RUNTIME => "/usr/bin/containerd",
        _ => return printed_times(machine, unit),
    };
    let process = machine.process(command);
    let time = process.and_then(Process::scheduled);
    let time = time.with_context(|| format!("{unit} does not run"))?;
    Ok(time.as_secs_f64() * 1000.0)
}

/// The sum of what `times` printed in this boot: two lines such as `0m0.003s 0m0.002s`.
fn printed_times(machine: &Machine, unit: &str) -> Result<f64> {
    let unit = format!("--unit={unit}");
    let journal = machine.journal(&["--boot", "--output=cat", &unit])?;
    let times = journal.split_whitespace().filter_map(|word| {
        let seconds = word.strip_prefix("0m")?.strip_suffix('s')?;
        seconds.parse::<f64>().ok()
    });
    let times: Vec<_> = times.collect();
    anyhow::ensure!(times.len() == 4, "no times in the journal: {journal}");
    Ok(times.iter().sum::<f64>() * 1000.0)
}

/// The time from the unit's start until it is active.
fn start(machine: &Machine, unit: &str) -> Result<f64> {
    let begin_and_end = ["InactiveExit", "ActiveEnter"].map(|moment| {
        let property = format!("--property={moment}TimestampMonotonic");
        let shown = machine.check(["systemctl", "show", "--value", &property, unit])?;
        let microseconds: f64 = shown.trim().parse().context("not a time")?;
        Ok::<f64, anyhow::Error>(microseconds / 1000.0)
    });
    let [begin, end] = begin_and_end;
    Ok(end? - begin?)
}
