//! The command line.

mod carriers;
mod compile;
mod new;
mod table;
mod validate;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::diagnostics::{Code, Diagnostics};

/// Exit status when the input is invalid; 0 is done, 1 an error of nkd, 2 wrong usage.
const INVALID_INPUT: u8 = 3;

/// Exit status when nothing is wrong but that an output doesn't fit its carrier.
const TOO_LARGE: u8 = 4;

/// Turns one cluster file into one Ignition file per machine, offline.
///
/// Boot each machine with its file and an OS image that has nkd-agent in it; they become Ready
/// nodes of one Kubernetes cluster, without anybody logging in.
#[derive(Parser)]
#[command(
    name = "nkd",
    version,
    after_help = "Exit status: 0 done, 1 an error of nkd, 2 wrong usage, 3 the input is invalid,\n\
                  4 an output does not fit its carrier. Nothing is written unless the status is 0."
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
        let fits = !diagnostics.are_all(Code::TooLarge);
        return ExitCode::from(if fits { INVALID_INPUT } else { TOO_LARGE });
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
