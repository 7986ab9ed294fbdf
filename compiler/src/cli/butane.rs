use std::path::{Path, PathBuf};

use clap::Args;

use super::answer::Answer;
use nkd_document::input;
use nkd_document::{Diagnostics, mask};
use nkd_ignition::butane;
use nkd_ignition::check::Warning;
use nkd_ignition::tree;

/// Translate a Butane config into an Ignition config
///
/// Reads variant nestos 1.0.0 and fcos 1.0.0 to 1.5.0, and prints what Butane would. Warnings go
/// to standard error.
#[derive(Args)]
pub struct Butane {
    /// The Butane config; standard input if none is given
    file: Option<PathBuf>,
    /// Read local files from below this directory
    #[arg(short = 'd', long, value_name = "DIR")]
    files_dir: Option<PathBuf>,
    /// Take warnings for errors
    #[arg(short, long)]
    strict: bool,
    /// Print the result over many lines
    #[arg(short, long)]
    pretty: bool,
}

impl Butane {
    pub(super) fn run(&self, diagnostics: &mut Diagnostics) -> Answer {
        let source = if let Some(file) = &self.file {
            diagnostics.read(file, None)
        } else {
            let content = input::read_from(std::io::stdin());
            diagnostics.take(Path::new("standard input"), content, None)
        };
        let directory = self.files_dir.as_deref();
        let translated = source.and_then(|it| butane::translate(it, directory, diagnostics));
        let Some(translation) = translated else {
            return Answer::document("");
        };
        for warning in &translation.warnings(translation.version.ignition) {
            if self.strict {
                diagnostics.report(warning.code, warning.span, &warning.message);
            } else {
                eprintln!("{}", line(warning, diagnostics));
            }
        }
        let json = tree::to_json(&translation.config);
        let text = if self.pretty {
            format!("{json:#}\n")
        } else {
            format!("{json}\n")
        };
        Answer::document(text)
    }
}

/// A warning in one line.
fn line(warning: &Warning, diagnostics: &Diagnostics) -> String {
    let source = warning.span.source;
    let before = diagnostics.text(source).get(..warning.span.start);
    let before = before.unwrap_or_default();
    let row = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default();
    format!(
        "warning[{}]: {}:{row}:{}: {}",
        warning.code.code(),
        diagnostics.path(source).display(),
        column.chars().count() + 1,
        mask(&warning.message)
    )
}
