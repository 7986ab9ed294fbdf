//! The agent under test.

use std::process::Command;

/// What runs programs of the agent's architecture, where the machine can't: a program of the user's
/// choice, such as qemu-user. Test runners run the tests themselves through it, but not what these
/// start.
const RUNNER: &str = "NKD_AGENT_RUNNER";

/// The agent's program.
pub fn agent() -> Command {
    let program = env!("CARGO_BIN_EXE_nkd-agent");
    let Some(runner) = std::env::var_os(RUNNER) else {
        return Command::new(program);
    };
    let mut command = Command::new(runner);
    command.arg(program);
    command
}
