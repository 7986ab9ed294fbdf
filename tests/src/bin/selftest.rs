//! `cargo selftest`: everything that is promised, proved on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use testbed::cache::Cache;
use testbed::image::Image;
use testbed::kubernetes::{self, Kubernetes};
use testbed::programs::{Programs, workspace};
use testbed::{requirements, tools};

/// Runs all tests: unit, golden, command line, contract, and real clusters in the testbed.
///
/// Does its own set-up: Debian packages, Rust tools, and, the first time, a build of Kubernetes
/// that is kept in the cache directory.
#[derive(Debug, Parser)]
#[command(name = "cargo selftest")]
struct Options {
    /// Boot this Kubernetes instead: a directory with bin/ and images/*.tar
    #[arg(long, value_name = "DIR")]
    kubernetes: Option<PathBuf>,
    /// Run only tests whose names contain one of these
    #[arg(value_name = "TEST")]
    tests: Vec<String>,
}

fn main() -> ExitCode {
    match selftest(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("selftest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn selftest(options: &Options) -> Result<()> {
    let start = Instant::now();
    requirements::ensure()?;
    let cache = Cache::open()?;
    prepare(&cache, options.kubernetes.as_deref())?;
    eprintln!("selftest: set up after {} s", start.elapsed().as_secs());
    let mut steps = vec![("tests", tests(&cache, options)?)];
    if options.tests.is_empty() {
        steps.push(("licences, bans and sources of dependencies", deny(&cache)?));
    }
    for (name, passed) in &steps {
        eprintln!(
            "selftest: {name}: {}",
            if *passed { "passed" } else { "FAILED" }
        );
    }
    for (number, (what, why)) in (1..).zip(NOT_RUN) {
        eprintln!(
            "selftest: not run, {number} of {}: {what}: {why}",
            NOT_RUN.len()
        );
    }
    eprintln!("selftest: {} s in all", start.elapsed().as_secs());
    ensure!(
        steps.iter().all(|(_, passed)| *passed),
        "not everything passed"
    );
    Ok(())
}

/// What is promised but can't be shown here.
const NOT_RUN: [(&str, &str); 2] = [
    (
        "Kubernetes other than the built one",
        "Debian has no other; give one with --kubernetes DIR",
    ),
    (
        "known vulnerabilities of dependencies",
        "the advisory database is not in a package; run `cargo deny check advisories`",
    ),
];

/// Builds all that is built once, so that no test pays for it.
fn prepare(cache: &Cache, kubernetes: Option<&Path>) -> Result<()> {
    let kubernetes = match kubernetes {
        Some(directory) => Kubernetes::from_directory(directory)?,
        None => Kubernetes::built_in(cache)?,
    };
    Image::build(cache, &kubernetes, &Programs::build()?).map(drop)
}

fn tests(cache: &Cache, options: &Options) -> Result<bool> {
    let mut command = tools::nextest(cache)?;
    command
        .args(["nextest", "run", "--workspace", "--no-fail-fast"])
        .args(&options.tests)
        .current_dir(workspace());
    if let Some(directory) = &options.kubernetes {
        command.env(kubernetes::DIRECTORY, directory.canonicalize()?);
    }
    run(&mut command)
}

fn deny(cache: &Cache) -> Result<bool> {
    run(tools::deny(cache)?
        .args([
            "--log-level",
            "error",
            "check",
            "licenses",
            "bans",
            "sources",
        ])
        .current_dir(workspace()))
}

fn run(command: &mut Command) -> Result<bool> {
    let status = command
        .status()
        .with_context(|| format!("can't run {command:?}"))?;
    Ok(status.success())
}
