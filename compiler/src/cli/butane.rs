use std::path::{Path, PathBuf};

use clap::Args;

use super::answer::Answer;
use nkd_document::input;
use nkd_document::{Diagnostics, Reported};
use nkd_ignition::butane;
use nkd_ignition::tree;

/// Translate a Butane config into an Ignition config
///
/// Supports the variants nestos 1.0.0 and fcos 1.0.0 to 1.7.0. Prints the same config as Butane, except
/// for compressed contents and for the comment in generated files. Prints warnings to standard error.
#[derive(Args)]
pub struct Butane {
    /// The Butane config [default: standard input]
    file: Option<PathBuf>,
    /// Directory of the local files that the config includes
    #[arg(short = 'd', long, value_name = "DIR")]
    files_dir: Option<PathBuf>,
    /// Print indented JSON
    #[arg(short, long)]
    pretty: bool,
}

impl Butane {
    pub(super) fn run(&self, diagnostics: &mut Diagnostics) -> Result<Answer, Reported> {
        let source = if let Some(file) = &self.file {
            diagnostics.read(file, None)?
        } else {
            let content = input::read_from(std::io::stdin());
            diagnostics.take(Path::new("standard input"), content, None)?
        };
        let translation = butane::translate(source, self.files_dir.as_deref(), diagnostics)?;
        for warning in &translation.warnings(translation.version.ignition) {
            diagnostics.warn(warning.code, warning.span, &warning.message);
        }
        let json = tree::to_json(&translation.config);
        let text = if self.pretty {
            format!("{json:#}\n")
        } else {
            format!("{json}\n")
        };
        Ok(Answer::document(text))
    }
}
