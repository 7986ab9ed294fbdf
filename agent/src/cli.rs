//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::diagnose::Diagnose;
use crate::install::{self, Outcome};
use crate::report;
use crate::retry;
use crate::status::Status;
use crate::system::Root;
use crate::system::journal;

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
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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

fn run(root: &Root, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Install => {
            journal::init("nkd-agent")?;
            Ok(match install::install(root)? {
                Outcome::Ready => ExitCode::SUCCESS,
                Outcome::Stopped => ExitCode::from(STOPPED),
                Outcome::Lost => ExitCode::FAILURE,
            })
        }
        Command::Report => {
            journal::init("nkd-reporter")?;
            report::report(root)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Retry => {
            retry::retry(root)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Status(status) => {
            status.run(root)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Diagnose(diagnose) => {
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
