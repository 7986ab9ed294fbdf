//! `nkd-agent diagnose`: collects what an administrator needs to find out why a node is not Ready, in one
//! text without secrets.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use nkd_contract::{Plan, Runtime, Timestamp, paths};

use crate::runtimes;
use crate::system::{Command, Redactor, Root};

/// How long one command may take. On a machine in trouble, some commands may hang.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Files to include. Secrets in them are masked line by line.
const FILES: [&str; 6] = [
    paths::PLAN,
    paths::KUBEADM,
    paths::STATE,
    paths::EVENTS,
    // Ignition's own report (Ignition, "Operator notes").
    "/etc/.ignition-result.json",
    "/etc/os-release",
];

/// Commands that show the state of the machine.
const COMMANDS: [&[&str]; 16] = [
    &["uname", "-a"],
    &["uptime"],
    &["systemctl", "--no-pager", "--failed"],
    &[
        "journalctl",
        "--no-pager",
        "--boot",
        "--unit=nkd-agent",
        "--unit=nkd-clock",
        "--unit=nkd-tokens",
        "--lines=2000",
    ],
    &[
        "journalctl",
        "--no-pager",
        "--boot",
        "--unit=nkd-reporter",
        "--lines=500",
    ],
    &[
        "journalctl",
        "--no-pager",
        "--boot",
        "--unit=kubelet",
        "--lines=2000",
    ],
    &[
        "journalctl",
        "--no-pager",
        "--boot",
        "--priority=warning",
        "--lines=500",
    ],
    &["ip", "address"],
    &["ip", "route", "show", "table", "all"],
    &["ss", "--listening", "--tcp", "--numeric", "--processes"],
    &["df", "--human-readable"],
    &["free", "--mebi"],
    &["mount"],
    &["timedatectl"],
    &["firewall-cmd", "--list-all"],
    &["rpm-ostree", "status"],
];

/// Collect information about why this node is not Ready.
///
/// Writes the plan, the state, the events, the journals of the units, and the state of network and disks
/// into one text. Tokens and keys are masked. Read the text before you pass it on.
#[derive(Debug, Args)]
pub(crate) struct Diagnose {
    /// Write to this new file, which only its owner can read, instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Diagnose {
    /// Writes the text. If a part cannot be collected, the text contains the reason instead.
    ///
    /// # Errors
    /// The text cannot be written.
    pub(crate) fn run(&self, root: &Root) -> anyhow::Result<()> {
        let Some(path) = &self.output else {
            return match collect(root, &mut BufWriter::new(io::stdout().lock())) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                written => Ok(written?),
            };
        };
        let what = || path.display().to_string();
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(what)?;
        collect(root, &mut BufWriter::new(file)).with_context(what)
    }
}

fn collect(root: &Root, to: &mut impl Write) -> io::Result<()> {
    writeln!(
        to,
        "nkd-agent {} at {}",
        env!("CARGO_PKG_VERSION"),
        Timestamp::now()
    )?;
    for path in FILES {
        file(root, path, to)?;
    }
    for words in COMMANDS {
        command(root, words, to)?;
    }
    let plan = fs::read(root.path(paths::PLAN)).ok();
    let runtime = plan
        .and_then(|json| Plan::parse(&json).ok())
        .map(|plan| plan.runtime);
    if let Some(runtime) = runtime {
        self::runtime(root, runtime, to)?;
    }
    to.flush()
}

fn runtime(root: &Root, runtime: Runtime, to: &mut impl Write) -> io::Result<()> {
    for unit in runtime.units() {
        let unit = format!("--unit={unit}");
        let words = ["journalctl", "--no-pager", "--boot", &unit, "--lines=1000"];
        command(root, &words, to)?;
    }
    let container_runtime = runtimes::of(runtime);
    for words in container_runtime.inspections() {
        writeln!(to, "\n==== {runtime}: {}", words.join(" "))?;
        output(container_runtime.client(root).args(*words), to)?;
    }
    Ok(())
}

fn file(root: &Root, path: &str, to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "\n==== {path}")?;
    match fs::read(root.path(path)) {
        Ok(bytes) => {
            let mut redactor = Redactor::default();
            for line in String::from_utf8_lossy(&bytes).lines() {
                writeln!(to, "{}", redactor.line(line))?;
            }
            Ok(())
        }
        Err(error) => writeln!(to, "({error})"),
    }
}

fn command(root: &Root, words: &[&str], to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "\n==== {}", words.join(" "))?;
    let Some((program, arguments)) = words.split_first() else {
        return Ok(());
    };
    output(root.command(program).args(arguments), to)
}

/// The output of a command, or the reason why there is none.
fn output(command: Command, to: &mut impl Write) -> io::Result<()> {
    let mut written = Ok(());
    let ran = command.timeout(TIMEOUT).each_line(|line| {
        if written.is_ok() {
            written = writeln!(to, "{line}");
        }
    });
    written?;
    match ran {
        Ok(()) => Ok(()),
        Err(error) => writeln!(to, "({:#})", anyhow::Error::from(error)),
    }
}
