//! The time for loading a bundle: compares the stage `images` with a shell script that loads the archives
//! from which the bundle was made.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use nkd_contract::{Event, Kind, Stage, paths};
use serde_json::json;
use sha2::{Digest, Sha256};
use testbed::Machine;
use testbed::by_hand::{instead_of_nkd, median};
use testbed::events::{events, is};
use testbed::scenario::Scenario;
use testbed::usage::{Process, WORKER};
use testbed::web::WebServer;

const PATIENCE: Duration = Duration::from_secs(300);
const TICK: Duration = Duration::from_millis(20);
const BUNDLE: &str = "images.tar";

/// Boots the demo's control plane alternately with nkd-agent and with a shell script, and compares how
/// long its images take, from a running containerd without images until it has all of them and all are
/// pinned.
#[derive(Debug, Parser)]
struct Options {
    /// Number of boots with each.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Source of the images.
    #[arg(long, value_enum, default_value_t = From::Image)]
    from: From,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// In the OS image.
    Image,
    /// On a web server.
    Server,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (mut bundle, mut archives) = (Vec::new(), Vec::new());
    for run in 1..=options.runs {
        let (agent, memory) = with_agent(options.from)?;
        let script = by_hand(options.from)?;
        println!("run {run}: nkd {agent:.2} s and {memory} KiB, by hand {script:.2} s");
        bundle.push(agent);
        archives.push(script);
    }
    let (bundle, archives) = (median(bundle), median(archives));
    println!("median: nkd {bundle:.2} s, by hand {archives:.2} s");
    println!("nkd takes {:.2} of the time", bundle / archives);
    Ok(())
}

/// The seconds that the stage takes, and the worker's largest memory in KiB.
fn with_agent(from: From) -> Result<(f64, u64)> {
    let mut scenario = Scenario::new()?;
    let bundle = scenario.bundle(BUNDLE, &[])?;
    let source = match from {
        From::Image => json!({ "directory": paths::BUNDLES }),
        From::Server => json!({ "urls": [WebServer::url()] }),
    };
    scenario
        .file
        .set_images(json!({ "bundles": [BUNDLE], "sources": [source] }));
    let cluster = scenario.compile()?;
    let _server = scenario.lab.web_server(std::slice::from_ref(&bundle))?;
    let machine = cluster.machine(&scenario.lab, &scenario.image, "cp1")?;
    if from == From::Image {
        machine.add(&bundle, paths::BUNDLES)?;
    }
    machine.boot()?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(seconds) = stage(&machine) {
            let used = machine.process(WORKER);
            let used = used.and_then(Process::usage);
            return Ok((seconds, used.map_or(0, |usage| usage.memory)));
        }
        std::thread::sleep(TICK);
    }
    bail!(
        "the images aren't loaded\n{}",
        machine.journal(&["--lines=60"])?
    )
}

/// How long the stage took, once it is over.
fn stage(machine: &Machine) -> Option<f64> {
    let done = |event: &Event| is(event, Kind::StageDone, Stage::Images);
    let message = events(machine).into_iter().find(done)?.message;
    message
        .strip_prefix("done in ")?
        .strip_suffix(" s")?
        .parse()
        .ok()
}

fn by_hand(from: From) -> Result<f64> {
    let scenario = Scenario::new()?;
    let cluster = scenario.compile()?;
    let machine = cluster.machine(&scenario.lab, &scenario.image, "cp1")?;
    let archives = scenario.kubernetes.image_archives();
    let _server = scenario.lab.web_server(archives)?;
    let url = match from {
        From::Image => String::new(),
        From::Server => WebServer::url(),
    };
    instead_of_nkd(&machine, include_str!("../../overlay/loading.sh"), &url)?;
    machine.write("/etc/nkd-testbed/sums", &sums(archives)?)?;
    let loaded = machine.root().join("var/lib/loaded");
    machine.boot()?;
    let start = Instant::now();
    while !loaded.exists() {
        if start.elapsed() > PATIENCE {
            bail!(
                "the images aren't loaded\n{}",
                machine.journal(&["--lines=60"])?
            );
        }
        std::thread::sleep(TICK);
    }
    let nanoseconds: u64 = fs::read_to_string(loaded)?.trim().parse()?;
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}

/// What `sha256sum` checks.
fn sums(files: &[PathBuf]) -> Result<String> {
    let sum = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let sum = base16ct::lower::encode_string(&Sha256::digest(fs::read(file)?));
        Ok(format!("{sum}  {name}\n"))
    };
    files.iter().map(sum).collect()
}
