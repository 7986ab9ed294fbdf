//! The `nkd` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    nkd::cli::main()
}
