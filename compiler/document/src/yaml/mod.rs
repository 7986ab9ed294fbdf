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
pub use parse::documents;
pub use read::{read, suggest, without_null, words};

use std::path::Path;

use anyhow::{Result, bail};

use crate::Diagnostics;

/// The documents of a YAML text that is part of nkd, without positions.
///
/// # Errors
/// The text is not YAML.
pub fn fragment(text: &str) -> Result<Vec<serde_json::Value>> {
    let mut diagnostics = Diagnostics::new();
    let source = diagnostics.add(Path::new("fragment"), text.to_owned());
    let Ok(documents) = documents(source, &mut diagnostics) else {
        bail!("a text that is part of nkd is not YAML:\n{diagnostics}");
    };
    Ok(documents.iter().map(Node::to_json).collect())
}
