//! The output of a command, as text for people or as JSON for programs.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use nkd_document::Diagnostics;
use serde_json::Value;

/// The output format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Text for people
    Text,
    /// One JSON document for programs
    Json,
}

/// The answer of a command. An answer that is a document has only one form.
pub struct Answer {
    text: String,
    json: Option<Value>,
    is_report: bool,
}

/// Writes to standard error. A standard error that is full or closed leaves nowhere to report that.
pub fn report(text: impl Display) {
    let _ = write!(std::io::stderr().lock(), "{text}");
}

impl Answer {
    /// A document that is the same in every output format, such as YAML.
    pub fn document(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            json: None,
            is_report: false,
        }
    }

    /// An answer in both forms.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json: Some(json),
            is_report: false,
        }
    }

    /// Marks an answer that only reports on files which the command has written. The files are good even if the
    /// report cannot be printed.
    pub fn about_files(self) -> Self {
        Self {
            is_report: true,
            ..self
        }
    }

    /// The answer of a command that only writes files and prints nothing.
    pub fn nothing() -> Self {
        Self::document("")
    }

    /// Writes it to standard output. Warnings and notes go to standard error, or into the JSON document.
    pub fn print(&self, format: OutputFormat, diagnostics: &Diagnostics) -> Result<()> {
        let text = if let (Some(json), OutputFormat::Json) = (&self.json, format) {
            let json = with_remarks(json.clone(), diagnostics);
            &(serde_json::to_string_pretty(&json)? + "\n")
        } else {
            report(diagnostics.remarks_in_lines());
            &self.text
        };
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            Ok(()) => Ok(()),
            // The reader has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(error) if self.is_report => {
                report(format_args!(
                    "warning: the files are written, but standard output failed: {error}\n"
                ));
                Ok(())
            }
            Err(error) => Err(error).context("cannot write to standard output"),
        }
    }
}

fn with_remarks(mut answer: Value, diagnostics: &Diagnostics) -> Value {
    let remarks: Vec<&str> = diagnostics.remarks().collect();
    if !remarks.is_empty() {
        answer["note"] = remarks.join("\n").into();
    }
    answer
}
