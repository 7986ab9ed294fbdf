//! The `nkd` command.

use std::process::ExitCode;

/// musl's own allocator makes compiling on all cores slow: it has one lock for all threads, and returns each large
/// allocation to the kernel at once.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nkd::cli::main()
}
