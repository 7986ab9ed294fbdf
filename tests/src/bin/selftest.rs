//! `cargo selftest`: runs all tests on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use packages::tools::{self, Tools};
use testbed::aarch64;
use testbed::cache::Cache;
use testbed::computer::DiskImage;
use testbed::emulator::Emulator;
use testbed::image::OsImage;
use testbed::kubernetes::{self, Kubernetes};
use testbed::programs::{Programs, workspace};
use testbed::receivers::Language;
use testbed::requirements::{self, Purpose};

/// Runs all tests: unit, golden, command line, contract, and real clusters in the testbed.
///
/// Installs what it needs: Debian packages and Rust tools. The first run also builds Kubernetes, and
/// keeps the result in the cache directory.
#[derive(Debug, Parser)]
#[command(name = "cargo selftest")]
struct Options {
    /// Boot this Kubernetes instead: a directory with bin/ and images/*.tar
    #[arg(long, value_name = "DIR")]
    kubernetes: Option<PathBuf>,
    /// Run the long scenarios too
    #[arg(long)]
    long: bool,
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
    requirements::ensure(Purpose::Tests)?;
    let cache = Cache::open()?;
    prepare(&cache, options.kubernetes.as_deref())?;
    eprintln!("selftest: set up after {} s", start.elapsed().as_secs());
    let mut steps = vec![("tests", tests(&cache, options)?)];
    if options.tests.is_empty() {
        steps.push(("licences, bans and sources of dependencies", deny(&cache)?));
        steps.push(("bans of the agent's dependencies", deny_agent(&cache)?));
        steps.push(("fuzz targets", fuzz(&cache, options.long)?));
        if aarch64::hindrance().is_none() {
            requirements::ensure(Purpose::Aarch64)?;
            let name = "the agent for aarch64, in qemu-user";
            steps.push((name, run(&mut aarch64::tests(&cache)?)?));
        }
    }
    for (name, passed) in &steps {
        let verdict = if *passed { "passed" } else { "FAILED" };
        eprintln!("selftest: {name}: {verdict}");
    }
    let not_run = not_run(options, &cache);
    for (number, (what, why)) in (1..).zip(&not_run) {
        let all = not_run.len();
        eprintln!("selftest: not run, {number} of {all}: {what}: {why}");
    }
    eprintln!("selftest: {} s in all", start.elapsed().as_secs());
    ensure!(
        steps.iter().all(|(_, passed)| *passed),
        "not everything passed"
    );
    Ok(())
}

/// The tests that this run skips, with the reasons.
fn not_run(options: &Options, cache: &Cache) -> Vec<(&'static str, &'static str)> {
    let mut not_run = vec![(
        "known vulnerabilities of dependencies",
        "the advisory database is not in a package; run `cargo deny check advisories`",
    )];
    if options.kubernetes.is_none() {
        let other = "Debian has no other; give one with --kubernetes DIR";
        not_run.push(("Kubernetes other than the built one", other));
    }
    if let Some(why) = aarch64::hindrance() {
        not_run.push(("the agent for aarch64, in qemu-user", why));
    }
    let without_libraries = Language::ALL
        .into_iter()
        .filter(|language| language.libraries(cache).is_err());
    not_run.extend(without_libraries.map(Language::not_run));
    if !options.long {
        not_run.push(("the long scenarios", "run with --long"));
    }
    if !options.tests.is_empty() {
        not_run.push(("all other tests", "only some were asked for"));
    }
    not_run
}

/// Builds everything that is built once, so that no test has to wait for it.
fn prepare(cache: &Cache, kubernetes: Option<&Path>) -> Result<()> {
    let kubernetes = match kubernetes {
        Some(directory) => Kubernetes::from_directory(directory)?,
        None => Kubernetes::built_in(cache)?,
    };
    let programs = Programs::build()?;
    OsImage::build(cache, &kubernetes, &programs)?;
    DiskImage::build(cache, &kubernetes, &programs)?;
    Emulator::new(cache).map(drop)
}

fn tests(cache: &Cache, options: &Options) -> Result<bool> {
    let mut command = Tools::at(cache.directory()).command(tools::NEXTEST)?;
    command
        .args(["nextest", "run", "--workspace", "--no-fail-fast"])
        .args([
            "--run-ignored",
            if options.long { "all" } else { "default" },
        ])
        .args(&options.tests)
        .env("NKD_TOOLS", cache.directory())
        .current_dir(workspace());
    if let Some(directory) = &options.kubernetes {
        command.env(kubernetes::DIRECTORY, directory.canonicalize()?);
    }
    run(&mut command)
}

fn deny(cache: &Cache) -> Result<bool> {
    run(Tools::at(cache.directory())
        .command(tools::DENY)?
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

/// Checks the bans on dependencies for the agent, which is the only root of this graph.
fn deny_agent(cache: &Cache) -> Result<bool> {
    run(Tools::at(cache.directory())
        .command(tools::DENY)?
        .args(["--log-level", "error"])
        .args(["--manifest-path", "agent/Cargo.toml"])
        .args(["--config", "agent/deny.toml", "check", "bans"])
        .current_dir(workspace()))
}

/// Runs each fuzz target for some time. Inputs that fail are in `fuzz/artifacts`; see `fuzz/README.md`. A
/// short run always has the same seed, so that it finds what a change has broken. The long runs search
/// for new inputs.
fn fuzz(cache: &Cache, long: bool) -> Result<bool> {
    let (seconds, seed) = if long { (300, 0) } else { (20, 1) };
    let mut passed = true;
    for target in fuzz_targets()? {
        eprintln!("selftest: fuzzing {target} for {seconds} s");
        let corpus = format!("fuzz/corpus/{target}");
        let seeds = format!("fuzz/seeds/{target}");
        fs::create_dir_all(workspace().join(&corpus))?;
        let limits = [
            format!("-max_total_time={seconds}"),
            format!("-seed={seed}"),
            "-timeout=30".to_owned(),
            "-rss_limit_mb=2048".to_owned(),
            "-max_len=4096".to_owned(),
            "-verbosity=0".to_owned(),
            "-print_final_stats=1".to_owned(),
        ];
        passed &= run(Tools::at(cache.directory())
            .command(tools::FUZZ)?
            // Without a sanitizer nothing of the unstable compiler is needed.
            .args(["fuzz", "run", "--sanitizer", "none", "--target-dir"])
            .arg(cache.directory().join("fuzz-target"))
            .arg(&target)
            .args([&corpus, &seeds])
            .arg("--")
            .args(limits)
            .current_dir(workspace()))?;
    }
    Ok(passed)
}

fn fuzz_targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for source in fs::read_dir(workspace().join("fuzz/fuzz_targets"))? {
        let path = source?.path();
        names.extend(
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    ensure!(!names.is_empty(), "there are no fuzz targets");
    Ok(names)
}

fn run(command: &mut Command) -> Result<bool> {
    let status = command
        .status()
        .with_context(|| format!("can't run {command:?}"))?;
    Ok(status.success())
}
