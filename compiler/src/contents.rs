//! The contents of an Ignition file.

use anyhow::{Context, Result};
use serde_json::Value;

/// Who can read an entry, and whether it contains a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Contains a private key.
    Key,
    /// Only root can read it.
    Private,
    /// Every user on the node can read it.
    Public,
}

impl Secrecy {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}

/// An entry: a file, directory, link, unit or drop-in.
pub struct Entry {
    /// Its path on the node.
    pub path: String,
    /// The kind of the entry.
    pub kind: &'static str,
    /// The permission bits, if the config sets them.
    pub mode: Option<u64>,
    /// The content, if the config has it.
    pub content: Option<Vec<u8>>,
    /// The size of the entry in the config, in bytes.
    pub encoded: usize,
}

impl Entry {
    /// The size of the entry on the node, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.content.as_ref().map_or(0, Vec::len)
    }

    /// Who can read it.
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

/// All entries of a config and of the configs nested in it, sorted by path.
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

/// The parts of a config and their sizes in bytes, the largest first. Small parts of one directory are
/// added up.
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

/// Parts of this size or larger get a row of their own.
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
