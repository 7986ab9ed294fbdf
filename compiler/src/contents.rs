//! What is in an Ignition file, read back from it.

use anyhow::{Context, Result};
use serde_json::Value;

/// Who may read a thing, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Holds a private key.
    Key,
    /// Only root may read it.
    Private,
    /// Anyone on the node may read it.
    Public,
}

impl Secrecy {
    /// In tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}

/// A file, directory, link, unit or drop-in.
pub struct Entry {
    /// Its path on the node.
    pub path: String,
    /// What it is.
    pub kind: &'static str,
    /// Permission bits, where they are given.
    pub mode: Option<u64>,
    /// Its content, where the config has it.
    pub content: Option<Vec<u8>>,
    /// What it takes in the config.
    pub encoded: usize,
}

impl Entry {
    /// How many bytes it has on the node.
    pub(crate) fn bytes(&self) -> usize {
        self.content.as_ref().map_or(0, Vec::len)
    }

    /// Who may read it.
    pub(crate) fn secrecy(&self) -> Secrecy {
        let content = self.content.as_deref().unwrap_or_default();
        let holds_key = content.windows(11).any(|it| it == b"PRIVATE KEY");
        match self.mode {
            _ if holds_key => Secrecy::Key,
            Some(0o600 | 0o700 | 0o400) => Secrecy::Private,
            _ => Secrecy::Public,
        }
    }
}

/// Everything in a config and in the configs inside it, sorted by path.
pub fn read(config: &str) -> Result<Vec<Entry>> {
    let config: Value = serde_json::from_str(config)?;
    let mut entries = Vec::new();
    collect(&config, &mut entries)?;
    let nested = config.pointer("/ignition/config/merge");
    let nested = nested.and_then(Value::as_array).into_iter().flatten();
    for resource in nested {
        let inner = decoded(resource).context("nested config")?;
        collect(&serde_json::from_slice(&inner)?, &mut entries)?;
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// What takes how many bytes of a config, the largest first; small things of one directory count
/// together.
pub(crate) fn parts(config: &str) -> Result<Vec<(String, usize)>> {
    let entries = read(config)?;
    let mut parts: Vec<(String, usize)> = Vec::new();
    for entry in entries {
        let directory = entry.path.rsplit_once('/').map_or("", |(before, _)| before);
        let own = entry.encoded >= OWN_ROW;
        let name = if own { &entry.path } else { directory };
        match parts.iter_mut().find(|(known, _)| known == name) {
            Some((_, bytes)) => *bytes += entry.encoded,
            None => parts.push((name.to_owned(), entry.encoded)),
        }
    }
    parts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(parts)
}

/// Things of so many bytes are worth a row of their own.
const OWN_ROW: usize = 256;

fn decoded(resource: &Value) -> Option<Vec<u8>> {
    let compression = resource["compression"].as_str().unwrap_or_default();
    nkd_ignition::decode(resource["source"].as_str()?, compression)
}

fn collect(config: &Value, into: &mut Vec<Entry>) -> Result<()> {
    let items = |pointer| {
        let items = config.pointer(pointer).and_then(Value::as_array);
        items.into_iter().flatten()
    };
    for (pointer, kind) in [
        ("/storage/files", "file"),
        ("/storage/directories", "directory"),
        ("/storage/links", "link"),
    ] {
        for item in items(pointer) {
            into.push(Entry {
                path: item["path"].as_str().context("no path")?.to_owned(),
                kind,
                mode: item["mode"].as_u64(),
                content: decoded(&item["contents"]),
                encoded: item.to_string().len(),
            });
        }
    }
    for unit in items("/systemd/units") {
        let name = unit["name"].as_str().context("no name")?;
        let path = format!("/etc/systemd/system/{name}");
        let mut text = |path: String, kind, item: &Value| {
            let content = item["contents"].as_str().map(|it| it.as_bytes().to_vec());
            let encoded = content.as_ref().map_or(0, Vec::len);
            into.push(Entry {
                path,
                kind,
                mode: None,
                content,
                encoded,
            });
        };
        for dropin in unit["dropins"].as_array().into_iter().flatten() {
            let name = dropin["name"].as_str().context("no name")?;
            text(format!("{path}.d/{name}"), "drop-in", dropin);
        }
        text(path, "unit", unit);
    }
    Ok(())
}
