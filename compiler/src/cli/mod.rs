//! The command line.

mod answer;
mod bundle;
mod butane;
mod carriers;
mod compile;
mod diff;
mod explain;
mod images;
mod new;
mod rotate;
mod schema;
mod secrets;
mod shell;
mod shown;
mod table;
mod validate;

use std::process::ExitCode;

use answer::{Answer, Format};
use anyhow::Result;
use clap::{Parser, Subcommand};
use serde_json::json;

use nkd_document::{Code, Diagnostics};

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
    /// How to answer
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Subcommand)]
enum Command {
    New(new::New),
    Schema(schema::Schema),
    Compile(compile::Compile),
    Validate(validate::Validate),
    Butane(butane::Butane),
    Explain(explain::Explain),
    Diff(diff::Diff),
    Images(images::Images),
    Bundle(bundle::Bundle),
    Secrets(secrets::Secrets),
    Completions(shell::Completions),
    Man(shell::Man),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut diagnostics = Diagnostics::new();
    let result = match &cli.command {
        Command::New(new) => new.run(),
        Command::Schema(schema) => schema.run(),
        Command::Compile(compile) => compile.run(cli.format == Format::Json, &mut diagnostics),
        Command::Validate(validate) => validate.run(&mut diagnostics),
        Command::Butane(butane) => Ok(butane.run(&mut diagnostics)),
        Command::Explain(explain) => explain.run(&mut diagnostics),
        Command::Diff(diff) => diff.run(&mut diagnostics),
        Command::Images(images) => images.run(&mut diagnostics),
        Command::Bundle(bundle) => bundle.run(cli.format == Format::Json, &mut diagnostics),
        Command::Secrets(secrets) => secrets.run(&mut diagnostics),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    };
    exit(result, &diagnostics, cli.format)
}

fn exit(result: Result<Answer>, diagnostics: &Diagnostics, format: Format) -> ExitCode {
    if !diagnostics.is_empty() {
        match format {
            Format::Text => eprint!("{diagnostics}"),
            Format::Json => eprintln!("{:#}", diagnostics.to_json()),
        }
        let fits = !diagnostics.are_all(Code::TooLarge);
        return ExitCode::from(if fits { INVALID_INPUT } else { TOO_LARGE });
    }
    match result.and_then(|answer| answer.print(format)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match format {
                Format::Text => eprintln!("error: {error:#}"),
                Format::Json => {
                    let errors = json!({"errors": [{"message": format!("{error:#}")}]});
                    eprintln!("{errors:#}");
                }
            }
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
