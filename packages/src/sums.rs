//! `SHA256SUMS`, in the form that sha256sum(1) checks.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The name of the file.
const NAME: &str = "SHA256SUMS";

/// Writes the sums of all files in a directory; those in its subdirectories are in the packages.
pub(crate) fn write(directory: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != NAME {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let mut lines = Vec::new();
    for name in names {
        let path = directory.join(&name);
        let contents =
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let hash = base16ct::lower::encode_string(&Sha256::digest(contents));
        lines.push(format!("{hash}  {name}\n"));
    }
    fs::write(directory.join(NAME), lines.concat()).with_context(|| format!("cannot write {NAME}"))
}
