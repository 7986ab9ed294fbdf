//! YAML that keeps the position of every value. Only this module uses the YAML library.

mod de;
mod emit;
mod explain;
mod node;
mod parse;
mod read;
mod schema;

pub use de::{Both, Pairs};
pub use emit::to_yaml;
pub use node::{Entry, Node, Value};
pub use parse::{documents, values};
pub use read::{read, suggest, without_null, words};

use anyhow::{Context as _, Result};

/// The documents of a YAML text that is part of nkd, without positions.
///
/// # Errors
/// The text is not YAML.
pub fn fragment(text: &str) -> Result<Vec<serde_json::Value>> {
    let documents = serde_saphyr::from_multiple_with_options(text, parse::options());
    documents.context("a text that is part of nkd is not YAML")
}
