//! The user's own Ignition configs.

use ignition_config::{Config, Error};
use serde_json::Value;

use crate::diagnostics::{Code, Diagnostics, SourceId, Span};

/// A config that Ignition would take, and what it sets.
pub struct UserConfig {
    /// The file it is from.
    pub source: SourceId,
    /// Its text, without blanks.
    pub text: String,
    /// Everything it puts into the file system.
    pub paths: Vec<UserPath>,
    /// Everything it does to units.
    pub units: Vec<UserUnit>,
}

/// A file, directory or link.
pub struct UserPath {
    /// Its full path.
    pub path: String,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// What is done to a unit.
pub struct UserUnit {
    /// Its name.
    pub name: String,
    /// Whether nothing but drop-ins is added.
    pub only_dropins: bool,
    /// Names of the drop-ins.
    pub dropins: Vec<String>,
}

impl UserConfig {
    /// Reads a config and reports what is wrong with it.
    pub fn read(source: SourceId, to: &mut Diagnostics) -> Option<Self> {
        let text = to.text(source).to_owned();
        let before = to.len();
        match Config::parse_str(&text) {
            Ok((config, warnings)) => {
                if matches!(config, Config::V3_4(_) | Config::V3_5(_) | Config::V3_6(_)) {
                    let message = format!("this config is newer than {}", super::SPEC);
                    to.report(
                        Code::IgnitionInvalid,
                        find(&text, "version", source),
                        message,
                    );
                }
                for warning in &warnings {
                    let warning = warning.to_string();
                    let path = warning.rsplit(' ').next().unwrap_or_default();
                    let key = path.rsplit('.').next().unwrap_or_default();
                    let message = format!("Ignition doesn't know the key `{path}`");
                    to.report(Code::IgnitionInvalid, find(&text, key, source), message);
                }
            }
            Err(error) => {
                let (span, message) = explain(&error, &text, source);
                to.report(Code::IgnitionInvalid, span, message);
            }
        }
        let json: Value = serde_json::from_str(&text).ok()?;
        refuse_references(&json, &text, source, to);
        let config = Self {
            source,
            text: json.to_string(),
            paths: paths(&json),
            units: items(&json, "/systemd/units").map(unit).collect(),
        };
        config.refuse_bad_paths(&text, to);
        (to.len() == before).then_some(config)
    }

    /// Where something is said in the file.
    pub fn place(&self, word: &str, diagnostics: &Diagnostics) -> Span {
        find(diagnostics.text(self.source), word, self.source)
    }

    /// What Ignition would refuse at boot: paths that aren't full and simple, and two
    /// of one path or unit.
    fn refuse_bad_paths(&self, text: &str, to: &mut Diagnostics) {
        for UserPath { path, .. } in &self.paths {
            let simple = path.strip_prefix('/').is_some_and(|rest| {
                rest.split('/')
                    .all(|part| !part.is_empty() && part != "." && part != "..")
            });
            if !simple {
                let message = format!("the path `{path}` is not full and simple");
                to.report(
                    Code::IgnitionInvalid,
                    find(text, path, self.source),
                    message,
                );
            }
        }
        let paths = self.paths.iter().map(|it| it.path.as_str());
        let units = self.units.iter().map(|it| it.name.as_str());
        for names in [paths.collect::<Vec<_>>(), units.collect()] {
            for (index, name) in names.iter().enumerate() {
                if names[..index].contains(name) {
                    let message = format!("`{name}` is given twice");
                    to.report(
                        Code::IgnitionInvalid,
                        find(text, name, self.source),
                        message,
                    );
                }
            }
        }
    }
}

fn items<'a>(json: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    json.pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text_of(json: &Value, key: &str) -> String {
    json.get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn paths(json: &Value) -> Vec<UserPath> {
    let kinds = [("files", false), ("links", false), ("directories", true)];
    let of_kind = |(kind, is_directory)| {
        items(json, &format!("/storage/{kind}")).map(move |item| UserPath {
            path: text_of(item, "path"),
            is_directory,
        })
    };
    kinds.into_iter().flat_map(of_kind).collect()
}

fn unit(json: &Value) -> UserUnit {
    let given = |key: &str| json.get(key).is_some_and(|value| !value.is_null());
    UserUnit {
        name: text_of(json, "name"),
        only_dropins: !["contents", "enabled", "mask"].into_iter().any(given),
        dropins: items(json, "/dropins")
            .map(|dropin| text_of(dropin, "name"))
            .collect(),
    }
}

/// A config that is fetched at boot can't be checked now, and one that is nested not easily.
fn refuse_references(json: &Value, text: &str, source: SourceId, to: &mut Diagnostics) {
    for key in ["merge", "replace"] {
        let given = json
            .pointer(&format!("/ignition/config/{key}"))
            .is_some_and(|it| !it.is_null());
        if given {
            let message = format!("`ignition.config.{key}` refers to another config");
            to.report(
                Code::IgnitionReference,
                find(text, &format!("\"{key}\""), source),
                message,
            );
        }
    }
}

/// The first place of a word in a text; its beginning when it isn't there.
fn find(text: &str, word: &str, source: SourceId) -> Span {
    let start = text.find(word).filter(|_| !word.is_empty());
    Span::new(
        source,
        start.map_or(0..0, |start| start..start + word.len()),
    )
}

/// Says what is wrong without repeating the file's values: they may be secrets.
fn explain(error: &Error, text: &str, source: SourceId) -> (Span, String) {
    let Error::Serialization(error) = error else {
        let message = "this is not a version of Ignition's config that nkd reads";
        return (find(text, "version", source), message.to_owned());
    };
    let lines = text.split_inclusive('\n').take(error.line().max(1) - 1);
    let line: usize = lines.map(str::len).sum();
    let at = (line + error.column().saturating_sub(1)).min(text.len());
    let message = match error.classify() {
        serde_json::error::Category::Data => without_values(&error.to_string()),
        _ => "this is not JSON: it can't be read on from here".to_owned(),
    };
    (Span::new(source, at..(at + 1).min(text.len())), message)
}

/// serde's messages quote the value they don't like; the kind of value is enough.
fn without_values(message: &str) -> String {
    let mut parts = message.split('"');
    let head = parts.next().unwrap_or_default();
    let tail = message.rsplit('"').next().unwrap_or_default();
    let quoted = parts.next().is_some();
    let said = if quoted {
        format!("{head}…{tail}")
    } else {
        message.to_owned()
    };
    let position = said.rfind(" at line ").unwrap_or(said.len());
    format!("this is not an Ignition config: {}", &said[..position])
}
