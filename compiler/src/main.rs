//! The `nkd` command.

fn main() {}
