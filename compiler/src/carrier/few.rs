//! Names in messages.

/// How many nodes a line names.
const NAMED: usize = 5;

/// The first few of some names, and how many more there are.
pub fn few(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first = names[..names.len() - more].join(", ");
    match more {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
