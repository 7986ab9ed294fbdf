//! The command line.

mod answer;
mod bundle;
mod butane;
mod callback_keys;
mod carriers;
mod compile;
mod diff;
mod explain;
mod extension;
mod images;
mod new;
mod rotate;
mod schema;
mod secrets;
mod shell;
mod shown;
mod table;
mod tokens;
mod validate;

use std::process::ExitCode;

use answer::{Answer, OutputFormat, report};
use clap::{Parser, Subcommand};
use serde_json::json;

use crate::failure::Failure;
use nkd_document::{Code, Diagnostics, WarningPolicy};

/// Exit status when nkd failed, whether or not the input is valid. Status 0 means success; clap exits
/// with 2 after wrong usage.
const NKD_FAILED: u8 = 1;

/// Exit status when the input is invalid.
const INVALID_INPUT: u8 = 3;

/// Exit status when the only errors are configs that are too large for their carriers.
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
                  4 a config is too large for its carrier, 5 outputs differ (diff --exit-code).\n\
                  Files are only written with status 0."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Output format
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
    /// Treat warnings as errors
    #[arg(short, long, global = true)]
    strict: bool,
    /// Drop warnings with this code, such as NKD0313; can be repeated
    #[arg(long, global = true, value_name = "CODE", value_parser = code)]
    allow: Vec<Code>,
}

fn code(text: &str) -> Result<Code, String> {
    Code::parse(text).ok_or_else(|| "nkd has no such code".to_owned())
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
    Extension(extension::Extension),
    Secrets(secrets::Secrets),
    Completions(shell::Completions),
    Man(shell::Man),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    let mut diagnostics = Diagnostics::with_policy(WarningPolicy {
        allowed: cli.allow.clone(),
        are_errors: cli.strict,
    });
    let answer = run(&cli, &mut diagnostics);
    let printed = answer.and_then(|answer| {
        answer.print(cli.format, &diagnostics)?;
        Ok(answer.status())
    });
    match printed {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            print(&failure, &diagnostics, cli.format);
            ExitCode::from(status(&failure, &diagnostics))
        }
    }
}

/// Prints what is wrong with a command line, or the help or the version that it asks for.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let asks_for_json = arguments
        .windows(2)
        .any(|two| two[0] == "--format" && two[1] == "json")
        || arguments.iter().any(|argument| argument == "--format=json");
    if error.use_stderr() && asks_for_json {
        let message = error.to_string();
        report(format_args!(
            "{:#}\n",
            json!({"errors": [{"message": message.trim_end()}]})
        ));
    } else if error.print().is_err() {
        return ExitCode::from(NKD_FAILED);
    }
    // clap's own statuses: 2 for wrong usage, 0 for help and version.
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(NKD_FAILED))
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
        Command::Extension(extension) => extension.run(diagnostics)?,
        Command::Secrets(secrets) => secrets.run(diagnostics)?,
        Command::Completions(completions) => completions.run()?,
        Command::Man(man) => man.run()?,
    };
    // There is no answer about an input that is wrong, whoever has reported that.
    diagnostics.as_result()?;
    Ok(answer)
}

/// Prints the warnings and notes of a run, all errors in the input, and then the one of nkd if there is one.
fn print(failure: &Failure, diagnostics: &Diagnostics, format: OutputFormat) {
    let error = match failure {
        Failure::Input(_) => None,
        Failure::Nkd(error) => Some(format!("{error:#}")),
    };
    match format {
        OutputFormat::Text => {
            report(diagnostics.remarks_in_lines());
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
            let mut document = json!({"errors": errors});
            diagnostics.add_remarks(&mut document);
            report(format_args!("{document:#}\n"));
        }
    }
}

/// An error of nkd takes precedence over errors in the input, because an interrupted run has not checked
/// all of the input.
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
