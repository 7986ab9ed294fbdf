//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::check_image::CheckImage;
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

/// Exit status of `install` when an administrator has to act. systemd then does not restart the unit
/// (`RestartPreventExitStatus=` in `nkd-agent.service`).
const STOPPED: u8 = 4;

/// Makes this machine a Ready node of a Kubernetes cluster, following the plan that nkd compiled for it.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// Use this directory as the root of the file system.
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install the node that /etc/nkd/plan.json describes, until it is Ready.
    ///
    /// nkd-agent.service runs this command. It resumes an installation that was interrupted. When the
    /// time budget of a stage is used up, it retries the stage every few minutes. If the command is
    /// started again after a failure, the failed stage gets its whole budget again. Exit status: 0 if
    /// the node is Ready, 4 if the installation needs an administrator, 1 otherwise, for example if
    /// another process is installing the node.
    Install,
    /// Report the events of the installation over D-Bus and with HTTP callbacks.
    ///
    /// nkd-reporter.service runs this command as an unprivileged user.
    Report,
    /// Retry the failed stage now, without waiting.
    ///
    /// Restarts nkd-agent.service, which needs root. Exit status: 0 if the service was restarted, 1 if
    /// the installation has not failed or the service cannot be restarted.
    Retry,
    /// Set the clock if it is earlier than the cluster's certificates.
    ///
    /// nkd-clock.service runs this command early on every boot, because the battery of the clock may be
    /// empty. If the certificates are not valid yet, it sets the clock to the latest time that it finds
    /// in a certificate or in the times of certain files. Otherwise it does not change the clock. Exit
    /// status: 0 if the certificates are now valid, 1 otherwise.
    Clock,
    /// Renew bootstrap tokens that were made before a time server had set the clock.
    ///
    /// nkd-tokens.timer runs this command whenever the clock is set. Exit status: 0 if the tokens were
    /// renewed or need no renewal, 1 if they could not be renewed.
    Tokens,
    Status(Status),
    Diagnose(Diagnose),
    CheckImage(CheckImage),
}

/// Runs the command line and returns its exit status.
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
        Task::CheckImage(check_image) => Ok(if check_image.run(root)? {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }),
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
