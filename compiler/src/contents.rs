//! The contents of an Ignition file.

use anyhow::{Context, Result};
use nkd_document::mask;
use nkd_ignition::lists::{self, LISTS, List};
use serde_json::Value;

/// Who can read an entry, and whether it contains a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Contains a private key.
    Key,
    /// Not every user on the node can read it.
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

/// An entry: something that Ignition creates or changes on a node.
pub struct Entry {
    /// Its path on the node, or its name: of a user, a device, a kernel argument.
    pub path: String,
    /// The kind of the entry.
    pub kind: &'static str,
    /// The permission bits, if the config sets them.
    pub mode: Option<u64>,
    /// The content, if the config has it.
    pub content: Option<Vec<u8>>,
    /// The size of the entry in the config, in bytes.
    pub encoded: usize,
    /// What the config has on it, without a unit's drop-ins.
    pub definition: Value,
}

/// Fields that make a definition secret: the hash of a user's password, and the key of an encrypted device.
const SECRETS: [&str; 2] = ["passwordHash", "keyFile"];

impl Entry {
    /// The size of the entry on the node in bytes, if the config has its content.
    pub(crate) fn bytes(&self) -> Option<usize> {
        self.content.as_ref().map(Vec::len)
    }

    /// Who can read it.
    pub(crate) fn secrecy(&self) -> Secrecy {
        let content = self.content.as_deref().unwrap_or_default();
        let holds_key = content.windows(11).any(|bytes| bytes == b"PRIVATE KEY");
        let is_closed = self.mode.is_some_and(|mode| mode & 0o004 == 0);
        let mut secrets = SECRETS.iter();
        let has_secret = secrets.any(|field| !self.definition[field].is_null());
        if holds_key {
            Secrecy::Key
        } else if is_closed || has_secret {
            Secrecy::Private
        } else {
            Secrecy::Public
        }
    }

    /// What it is called in the lock file.
    pub(crate) fn id(&self) -> String {
        lists::id(self.kind, &self.path)
    }
}

/// All entries of a config and of the configs nested in it, sorted by path.
pub fn read(config: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    collect(&serde_json::from_str(config)?, &mut entries)?;
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// The parts of a config and their sizes in bytes, the largest first. Small parts of one directory or kind
/// are added up.
pub(crate) fn parts(config: &str) -> Result<Vec<(String, usize)>> {
    let entries = read(config)?;
    let mut parts: Vec<(String, usize)> = Vec::new();
    for entry in entries {
        let id = entry.id();
        let group = match id.rsplit_once('/') {
            Some((directory, _)) if id.starts_with('/') => directory,
            _ => entry.kind,
        };
        let own = entry.encoded >= OWN_ROW;
        let name = if own { &id } else { group };
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

fn items<'a>(config: &'a Value, section: &str, list: &str) -> impl Iterator<Item = &'a Value> {
    config[section][list].as_array().into_iter().flatten()
}

fn collect(config: &Value, into: &mut Vec<Entry>) -> Result<()> {
    for list in &LISTS {
        for item in items(config, list.section, list.name) {
            into.push(entry(list, item)?);
        }
    }
    for unit in items(config, "systemd", "units") {
        units(unit, into)?;
    }
    for (name, setting) in config["ignition"].as_object().into_iter().flatten() {
        match &**name {
            "version" => {}
            "config" => configs(setting, into)?,
            _ => into.push(bare("setting", format!("ignition.{name}"), setting)),
        }
    }
    Ok(())
}

fn entry(list: &List, item: &Value) -> Result<Entry> {
    let name = list.field.map_or(item, |field| &item[field]);
    let name = name.as_str().context("an item without a name")?.to_owned();
    Ok(Entry {
        mode: item["mode"].as_u64(),
        content: decoded(&item["contents"]),
        ..bare(list.kind, name, item)
    })
}

/// What has neither mode nor content.
fn bare(kind: &'static str, path: String, definition: &Value) -> Entry {
    Entry {
        path,
        kind,
        mode: None,
        content: None,
        encoded: definition.to_string().len(),
        definition: definition.clone(),
    }
}

/// A unit and its drop-ins.
fn units(unit: &Value, into: &mut Vec<Entry>) -> Result<()> {
    let name = unit["name"].as_str().context("a unit without a name")?;
    let path = format!("{}/{name}", nkd_ignition::check::UNITS);
    let mut text = |path: String, kind, definition: Value| {
        let content = definition["contents"].as_str();
        let content = content.map(|text| text.as_bytes().to_vec());
        into.push(Entry {
            encoded: content.as_ref().map_or(0, Vec::len),
            content,
            ..bare(kind, path, &definition)
        });
    };
    let mut unit = unit.clone();
    let dropins = unit.as_object_mut().and_then(|unit| unit.remove("dropins"));
    for dropin in dropins.iter().filter_map(Value::as_array).flatten() {
        let name = dropin["name"]
            .as_str()
            .context("a drop-in without a name")?;
        text(format!("{path}.d/{name}"), "drop-in", dropin.clone());
    }
    text(path, "unit", unit);
    Ok(())
}

/// The configs that a config is merged with or replaced by.
fn configs(config: &Value, into: &mut Vec<Entry>) -> Result<()> {
    let merged = config["merge"].as_array().into_iter().flatten();
    let replacing = Some(&config["replace"]).filter(|replacing| replacing["source"].is_string());
    for resource in merged.chain(replacing) {
        if let Some(inner) = decoded(resource) {
            let inner = serde_json::from_slice(&inner).context("nested config")?;
            collect(&inner, into)?;
        } else {
            let source = resource["source"].as_str().unwrap_or_default();
            into.push(bare("config", mask(source), resource));
        }
    }
    Ok(())
}
