//! What a command has to say, for people and for programs.

use std::io::{ErrorKind, Write as _};

use anyhow::Result;
use clap::ValueEnum;
use serde_json::Value;

/// For whom answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs: one JSON document
    Json,
}

/// A command's answer. What is a document already has no other form.
pub struct Answer {
    text: String,
    json: Option<Value>,
    note: Option<String>,
}

impl Answer {
    /// A document that is the same for everyone, such as YAML.
    pub fn document(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            json: None,
            note: None,
        }
    }

    /// An answer in both forms.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json: Some(json),
            note: None,
        }
    }

    /// The same, with something that people should know, which isn't part of it: it goes to
    /// standard error, or into the JSON document.
    pub fn with_note(mut self, note: String) -> Self {
        if let Some(Value::Object(json)) = &mut self.json {
            json.insert("note".to_owned(), note.clone().into());
        }
        self.note = Some(note);
        self
    }

    /// Writes it to standard output. A reader who has seen enough is no error.
    pub fn print(&self, format: Format) -> Result<()> {
        let text = match (&self.json, format) {
            (Some(json), Format::Json) => &(serde_json::to_string_pretty(json)? + "\n"),
            _ => &self.text,
        };
        if let (Some(note), Format::Text) = (&self.note, format) {
            for line in note.lines() {
                eprintln!("note: {line}");
            }
        }
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}
