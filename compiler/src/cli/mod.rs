//! The command line.

mod compile;
mod new;
mod validate;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::diagnostics::Diagnostics;

/// Exit status when the input is invalid; 0 is done, 1 an error of nkd, 2 wrong usage.
const INVALID_INPUT: u8 = 3;

/// Turns one cluster file into one Ignition file per machine, offline.
///
/// Boot each machine with its file and an OS image that has nkd-agent in it; they become Ready
/// nodes of one Kubernetes cluster, without anybody logging in.
#[derive(Parser)]
#[command(
    name = "nkd",
    version,
    after_help = "Exit status: 0 done, 1 an error of nkd, 2 wrong usage, 3 the input is invalid.\n\
                  Nothing is written unless the status is 0."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(new::New),
    Compile(compile::Compile),
    Validate(validate::Validate),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut diagnostics = Diagnostics::new();
    let result = match &cli.command {
        Command::New(new) => new.run(),
        Command::Compile(compile) => compile.run(&mut diagnostics),
        Command::Validate(validate) => validate.run(&mut diagnostics),
    };
    exit(result, &diagnostics)
}

fn exit(result: Result<()>, diagnostics: &Diagnostics) -> ExitCode {
    if !diagnostics.is_empty() {
        eprint!("{diagnostics}");
        return ExitCode::from(INVALID_INPUT);
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
