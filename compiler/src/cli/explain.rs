use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::answer::Answer;
use super::table::table;
use crate::contents::{self, Entry};
use crate::failure::Failure;
use crate::output::{self, Lock};
use crate::provenance;
use nkd_document::{Code, Diagnostics, mask};

/// Show the files and units of a node, and the line of your files that each comes from
///
/// Lists every file and unit with its size in bytes, its secrecy (`key`: contains a private key;
/// `private`: only root can read it; `public`), and the line of your files that it comes from. With a
/// PATH, also prints the text of that file, unless it is secret.
#[derive(Args)]
pub struct Explain {
    /// An output of `nkd compile`
    out: PathBuf,
    /// The name of the node
    node: String,
    /// A path on the node, or the beginning of a path
    path: Option<String>,
}

impl Explain {
    pub(super) fn run(&self, diagnostics: &mut Diagnostics) -> Result<Answer, Failure> {
        let lock = output::read_lock(&self.out, diagnostics)?;
        let config = output::read_node(&self.out, &self.node, diagnostics)?;
        let wanted = self.path.as_deref().unwrap_or("/");
        let mut entries = contents::read(&config)?;
        entries.retain(|entry| entry.path.starts_with(wanted));
        if entries.is_empty() {
            let message = format!("nkd compiled nothing for `{wanted}` on {}", self.node);
            return Err(diagnostics
                .report_nowhere(Code::UnknownPath, message)
                .into());
        }
        let rows: Vec<Row<'_>> = entries.iter().map(|entry| self.row(entry, &lock)).collect();
        let mut text = table(&as_table(&rows));
        if let [one] = entries.as_slice()
            && let Some(shown) = shown(one)
        {
            text = format!("{text}\n{shown}");
        }
        let entries: Vec<Value> = rows.iter().map(Row::to_json).collect();
        Ok(Answer::new(
            text,
            json!({"node": self.node, "entries": entries}),
        ))
    }

    fn row<'a>(&self, entry: &'a Entry, lock: &Lock) -> Row<'a> {
        let (key, place) = if let Some(place) = lock.own(&self.node, &entry.path) {
            (None, Some(place))
        } else {
            let (key, line) = provenance::cause(&entry.path, &self.node, &lock.keys);
            let place = line.map(|line| format!("{}:{line}", lock.cluster_file()));
            (key, place)
        };
        Row { entry, key, place }
    }
}

/// An entry and where it is from.
struct Row<'a> {
    entry: &'a Entry,
    key: Option<String>,
    place: Option<String>,
}

impl Row<'_> {
    fn mode(&self) -> String {
        let mode = self.entry.mode.map(|mode| format!("{mode:04o}"));
        mode.unwrap_or_default()
    }

    fn from(&self) -> String {
        match (&self.place, &self.key) {
            (Some(place), Some(key)) => format!("{place} ({key})"),
            (Some(place), None) => place.clone(),
            (None, Some(key)) => format!("default of {key}"),
            (None, None) => "on every node".to_owned(),
        }
    }

    fn to_json(&self) -> Value {
        let Entry {
            path, kind, mode, ..
        } = self.entry;
        json!({
            "path": path,
            "kind": kind,
            "mode": mode.map(|mode| format!("{mode:04o}")),
            "bytes": self.entry.bytes(),
            "secrecy": self.entry.secrecy().name(),
            "key": self.key,
            "place": self.place,
        })
    }
}

fn as_table(rows: &[Row<'_>]) -> Vec<Vec<String>> {
    let head = ["BYTES", "SECRECY", "MODE", "KIND", "PATH", "FROM"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(rows.iter().map(|row| {
        vec![
            row.entry.bytes().to_string(),
            row.entry.secrecy().name().to_owned(),
            row.mode(),
            row.entry.kind.to_owned(),
            row.entry.path.clone(),
            row.from(),
        ]
    }));
    table
}

/// The text of what anyone may read; what looks secret in it is masked all the same.
fn shown(entry: &Entry) -> Option<String> {
    let is_public = entry.secrecy() == contents::Secrecy::Public;
    let text = String::from_utf8(entry.content.clone().filter(|_| is_public)?).ok()?;
    Some(mask(&text))
}
