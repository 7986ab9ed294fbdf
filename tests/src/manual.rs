//! Commands of the manual, so that scenarios run what the manual tells an operator to run.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::programs::workspace;

/// The code block of a page in `docs/` that begins with `` ```sh NAME ``, without its indentation.
pub fn commands(page: &str, name: &str) -> Result<String> {
    let path = workspace().join("docs").join(page);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let start = format!("```sh {name}");
    let mut lines = text.lines();
    let fence = lines
        .find(|line| line.trim_start() == start)
        .with_context(|| format!("{page} has no block {name}"))?;
    let indent = &fence[..fence.len() - start.len()];
    let mut block = String::new();
    for line in lines {
        let line = line.strip_prefix(indent).unwrap_or(line);
        if line == "```" {
            ensure!(!block.is_empty(), "the block {name} of {page} is empty");
            return Ok(block);
        }
        block += line;
        block.push('\n');
    }
    anyhow::bail!("the block {name} of {page} does not end")
}
