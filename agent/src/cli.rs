//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::clock;
use crate::diagnose::Diagnose;
use crate::install::{self, Outcome};
use crate::report;
use crate::retry;
use crate::stages::INSTALLATION;
use crate::status::Status;
use crate::system::Root;
use crate::system::journal;
use crate::tokens;

/// Exit status of `install` when only a person can help; its unit isn't restarted then
/// (`RestartPreventExitStatus=` in `nkd-agent.service`).
const STOPPED: u8 = 4;

/// Makes this machine a Ready node of the Kubernetes cluster it was given a plan for.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// Work on the tree below this directory, as if it were `/`.
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install the node: run the stages of /etc/nkd/plan.json until it is Ready.
    ///
    /// Started by nkd-agent.service. Goes on where it was cut off. A stage whose budget is used up is
    /// tried again every few minutes. Started again after a failure, it begins that stage's budget anew.
    /// Exit status: 0 Ready, 4 only a person can help, 1 anything else, such as another process that is
    /// installing the node.
    Install,
    /// Report on D-Bus and by HTTP callbacks what the event log says.
    ///
    /// Started by nkd-reporter.service as an unprivileged user.
    Report,
    /// Try the stage again at once in which the installation has failed.
    ///
    /// Restarts nkd-agent.service, which needs root. Exit status: 0 started, 1 there is nothing to try
    /// again or it can't be started.
    Retry,
    /// Set a clock that is before the cluster's certificates to the latest time this node has seen.
    ///
    /// Started by nkd-clock.service early on every boot, because the clock may have lost its battery.
    /// Leaves any other clock alone. Exit status: 0 the certificates are valid by the clock, 1 anything
    /// else.
    Clock,
    /// Renew bootstrap tokens that were made before a time server had set the clock.
    ///
    /// Started by nkd-tokens.timer whenever the clock is set. Exit status: 0 renewed, or there is
    /// nothing to renew, 1 they could not be renewed.
    Tokens,
    /// Say how far the installation is.
    Status(Status),
    Diagnose(Diagnose),
}

/// Runs the command line and gives its exit status.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let root = Root::new(cli.root);
    match run(&root, cli.command) {
        Ok(code) => code,
        Err(error) => {
            log::error!("{error:#}");
            eprintln!("nkd-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(root: &Root, task: Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::Install => {
            journal::init("nkd-agent")?;
            Ok(match install::install(root, INSTALLATION)? {
                Outcome::Ready => ExitCode::SUCCESS,
                Outcome::Stopped => ExitCode::from(STOPPED),
                Outcome::Lost => ExitCode::FAILURE,
            })
        }
        Task::Report => {
            journal::init("nkd-reporter")?;
            report::report(root)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Retry => {
            retry::retry(root)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Clock => {
            journal::init("nkd-agent")?;
            clock::raise(root)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Tokens => {
            journal::init("nkd-agent")?;
            tokens::renew(root)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Status(status) => {
            status.run(root)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Diagnose(diagnose) => {
            diagnose.run(root)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
