use std::path::PathBuf;

use clap::Args;
use nkd_contract::paths;
use serde_json::{Value, json};

use super::answer::Answer;
use super::table::table;
use crate::contents::{self, Entry};
use crate::failure::Failure;
use crate::kubeadm;
use crate::origin::Origin;
use crate::output::{self, Lock};
use nkd_document::{Code, Diagnostics, mask};

/// Show what Ignition creates on a node, and the lines of your files that led to it
///
/// Lists every file, unit, user, disk, kernel argument and so on, with its size in bytes, its secrecy (`key`:
/// contains a private key; `private`: not everyone on the node can read it; `public`), and the lines of your
/// files that it comes from. With a PATH, also prints the text of that file, with `*` in place of secrets. Of private
/// files, that is the case for those that nkd generates for kubeadm and the agent; others need --reveal.
#[derive(Args)]
pub struct Explain {
    /// An output of `nkd compile`
    out: PathBuf,
    /// The name of the node or open pool
    node: String,
    /// A path on the node, or the name of a user, device or kernel argument; or the beginning of one
    path: Option<String>,
    /// Print the text of private files too, with all secrets
    #[arg(long, requires = "path")]
    reveal: bool,
}

impl Explain {
    pub(super) fn run(&self, diagnostics: &mut Diagnostics) -> Result<Answer, Failure> {
        let lock = output::read_lock(&self.out, diagnostics)?;
        let config = output::read_node(&self.out, &self.node, diagnostics)?;
        let wanted = self.path.as_deref().unwrap_or_default();
        let mut entries = contents::read(&config)?;
        entries.retain(|entry| entry.path.starts_with(wanted));
        if entries.is_empty() {
            let message = format!("nkd has written nothing for `{wanted}` on {}", self.node);
            return Err(diagnostics
                .report_nowhere(Code::UnknownPath, message)
                .into());
        }
        let rows: Vec<Row<'_>> = entries.iter().map(|entry| self.row(entry, &lock)).collect();
        let mut text = table(&as_table(&rows));
        let one = match entries.as_slice() {
            [one] => Some(one),
            all => all.iter().find(|entry| entry.path == wanted),
        };
        if let Some(shown) = one.and_then(|one| self.shown(one, &lock)) {
            text = format!("{text}\n{shown}");
        }
        let entries: Vec<Value> = rows.iter().map(Row::to_json).collect();
        Ok(Answer::new(
            text,
            json!({"node": self.node, "entries": entries}),
        ))
    }

    /// The text of an entry, or how to get it.
    fn shown(&self, entry: &Entry, lock: &Lock) -> Option<String> {
        let text = String::from_utf8(entry.content.clone()?).ok()?;
        let is_readable = || {
            let is_own = lock.own(&self.node, entry).is_some();
            !is_own && READABLE.iter().any(|path| entry.path.starts_with(path))
        };
        let is_public = entry.secrecy() == contents::Secrecy::Public;
        Some(if self.reveal {
            text
        } else if is_public || is_readable() {
            mask(&text)
        } else {
            HIDDEN.to_owned()
        })
    }

    fn row<'a>(&self, entry: &'a Entry, lock: &Lock) -> Row<'a> {
        let source = |origin: Origin| Source {
            key: Some(origin.key),
            place: origin
                .line
                .map(|line| format!("{}:{line}", lock.cluster_file())),
        };
        let own = lock.own(&self.node, entry).map(|place| Source {
            key: None,
            place: Some(place.to_owned()),
        });
        let sources = match own {
            Some(own) => vec![own],
            None => lock
                .origins(&self.node, entry)
                .into_iter()
                .map(source)
                .collect(),
        };
        Row { entry, sources }
    }
}

/// What nkd generates for kubeadm and the agent. Only root can read it on the node, but masking finds every secret in it.
const READABLE: [&str; 5] = [
    paths::PLAN,
    paths::KUBEADM,
    paths::REPORT,
    paths::MANIFESTS,
    kubeadm::PATCHES,
];

const HIDDEN: &str =
    "The text is not shown, because not everyone on the node can read it. `--reveal` prints it.\n";

/// An entry and its origins.
struct Row<'a> {
    entry: &'a Entry,
    sources: Vec<Source>,
}

/// The origin of an entry: a key of the cluster file, and the file and line where it is written, or those of the user's
/// config.
struct Source {
    key: Option<String>,
    place: Option<String>,
}

impl Source {
    fn to_text(&self) -> String {
        match (&self.place, &self.key) {
            (Some(place), Some(key)) => format!("{place} ({key})"),
            (Some(place), None) => place.clone(),
            (None, key) => format!("default of {}", key.as_deref().unwrap_or_default()),
        }
    }

    fn to_json(&self) -> Value {
        json!({"key": self.key, "place": self.place})
    }
}

impl Row<'_> {
    fn mode(&self) -> String {
        let mode = self.entry.mode.map(|mode| format!("{mode:04o}"));
        mode.unwrap_or_default()
    }

    fn from(&self) -> String {
        if self.sources.is_empty() {
            return "on every node".to_owned();
        }
        let sources: Vec<_> = self.sources.iter().map(Source::to_text).collect();
        sources.join(", ")
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
            "from": self.sources.iter().map(Source::to_json).collect::<Vec<_>>(),
        })
    }
}

fn as_table(rows: &[Row<'_>]) -> Vec<Vec<String>> {
    let head = ["BYTES", "SECRECY", "MODE", "KIND", "PATH", "FROM"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(rows.iter().map(|row| {
        vec![
            row.entry
                .bytes()
                .map(|bytes| bytes.to_string())
                .unwrap_or_default(),
            row.entry.secrecy().name().to_owned(),
            row.mode(),
            row.entry.kind.to_owned(),
            row.entry.path.clone(),
            row.from(),
        ]
    }));
    table
}
