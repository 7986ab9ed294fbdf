use anyhow::Result;
use clap::Args;

use super::answer::Answer;
use crate::cluster_file::schema;

/// Print the JSON schema of the cluster file
///
/// Editors use it to complete and check cluster files while you type.
#[derive(Args)]
pub struct Schema {}

impl Schema {
    #[expect(clippy::unused_self)]
    pub(super) fn run(&self) -> Result<Answer> {
        let schema = serde_json::to_string_pretty(&schema::schema())?;
        Ok(Answer::document(schema + "\n"))
    }
}
