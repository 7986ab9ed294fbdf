//! The command line.

mod answer;
mod bundle;
mod butane;
mod callback_keys;
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

use answer::{Answer, OutputFormat, report};
use clap::{Parser, Subcommand};
use serde_json::json;

use crate::failure::Failure;
use nkd_document::{Code, Diagnostics};

/// Exit status when nkd failed, whether the input is valid or not; 0 is done, 2 wrong usage (by clap).
const NKD_FAILED: u8 = 1;

/// Exit status when the input is invalid.
const INVALID_INPUT: u8 = 3;

/// Exit status when the only fault is a config that is too large for its carrier.
const TOO_LARGE: u8 = 4;

/// Turns one cluster file into one Ignition file per machine, offline.
///
/// Boot each machine with its file and an OS image that contains nkd-agent. The machines become Ready
/// nodes of one Kubernetes cluster without a login.
#[derive(Parser)]
#[command(
    name = "nkd",
    version,
    after_help = "Exit status: 0 success, 1 nkd failed, 2 invalid command line, 3 invalid input,\n\
                  4 a config is too large for its carrier. Files are only written with status 0."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Output format
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
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
    let answer = run(&cli, &mut diagnostics);
    match answer.and_then(|answer| Ok(answer.print(cli.format, &diagnostics)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print(&failure, &diagnostics, cli.format);
            ExitCode::from(status(&failure, &diagnostics))
        }
    }
}

fn run(cli: &Cli, diagnostics: &mut Diagnostics) -> Result<Answer, Failure> {
    let quiet = cli.format == OutputFormat::Json;
    let answer = match &cli.command {
        Command::New(new) => new.run()?,
        Command::Schema(schema) => schema.run()?,
        Command::Compile(compile) => compile.run(quiet, diagnostics)?,
        Command::Validate(validate) => validate.run(diagnostics)?,
        Command::Butane(butane) => butane.run(diagnostics)?,
        Command::Explain(explain) => explain.run(diagnostics)?,
        Command::Diff(diff) => diff.run(diagnostics)?,
        Command::Images(images) => images.run(diagnostics)?,
        Command::Bundle(bundle) => bundle.run(quiet, diagnostics)?,
        Command::Secrets(secrets) => secrets.run(diagnostics)?,
        Command::Completions(completions) => completions.run()?,
        Command::Man(man) => man.run()?,
    };
    // There is no answer about an input that is wrong, whoever has reported that.
    diagnostics.as_result()?;
    Ok(answer)
}

/// Prints all errors of a run: those in the input, and then the one of nkd if there is one.
fn print(failure: &Failure, diagnostics: &Diagnostics, format: OutputFormat) {
    let error = match failure {
        Failure::Input(_) => None,
        Failure::Nkd(error) => Some(format!("{error:#}")),
    };
    match format {
        OutputFormat::Text => {
            if !diagnostics.is_empty() {
                report(diagnostics);
            }
            if let Some(error) = error {
                report(format_args!("error: {error}\n"));
            }
        }
        OutputFormat::Json => {
            let mut errors = diagnostics.to_json();
            errors.extend(error.map(|message| json!({"message": message})));
            report(format_args!("{:#}\n", json!({"errors": errors})));
        }
    }
}

/// An error of nkd goes before errors in the input: a run that was cut off hasn't seen all of those.
fn status(failure: &Failure, diagnostics: &Diagnostics) -> u8 {
    match failure {
        Failure::Nkd(_) => NKD_FAILED,
        Failure::Input(_) if diagnostics.are_all(Code::TooLarge) => TOO_LARGE,
        Failure::Input(_) => INVALID_INPUT,
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
