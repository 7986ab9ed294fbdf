use anyhow::{Result, bail};
use serde::de::DeserializeOwned;

use nkd_document::yaml;

/// The data of a file. The tests parse every file, so a malformed one fails them and the default is never used.
pub fn data<T: DeserializeOwned + Default>(text: &str) -> T {
    parse(text).unwrap_or_default()
}

/// Parses a file.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    let documents = yaml::fragment(text)?;
    let [document] = &documents[..] else {
        bail!("there are {} documents", documents.len());
    };
    Ok(T::deserialize(document)?)
}
