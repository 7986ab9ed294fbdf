//! The `nkd-agent` command.

fn main() {}
