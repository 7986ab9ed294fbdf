//! The `nkd-agent` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    nkd_agent::cli::main()
}
