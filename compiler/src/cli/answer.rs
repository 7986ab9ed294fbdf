//! The output of a command, as text for people or as JSON for programs.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use nkd_document::Diagnostics;
use serde_json::{Value, json};

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
    status: u8,
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
            status: 0,
        }
    }

    /// An answer in both forms.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json: Some(json),
            is_report: false,
            status: 0,
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

    /// Sets the exit status of a command that has succeeded.
    pub fn with_status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        self.status
    }

    /// The answer of a command that only writes files and prints nothing.
    pub fn nothing() -> Self {
        Self::document("")
    }

    /// Writes it to standard output. Warnings and notes go into the JSON document, or to standard error if there is none.
    pub fn print(&self, format: OutputFormat, diagnostics: &Diagnostics) -> Result<()> {
        let text = match (&self.json, format) {
            (Some(json), OutputFormat::Json) => {
                let mut json = json.clone();
                diagnostics.add_remarks(&mut json);
                &(serde_json::to_string_pretty(&json)? + "\n")
            }
            (None, OutputFormat::Json) => {
                let mut remarks = json!({});
                diagnostics.add_remarks(&mut remarks);
                if remarks != json!({}) {
                    report(format_args!("{remarks:#}\n"));
                }
                &self.text
            }
            (_, OutputFormat::Text) => {
                report(diagnostics.remarks_in_lines());
                &self.text
            }
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
