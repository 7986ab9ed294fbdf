//! The one way in which a run fails.

use anyhow::Context as _;
use nkd_document::{Diagnostics, Reported};

/// Why a run ended early.
#[derive(Debug)]
pub enum Failure {
    /// The input is wrong. The diagnostics have what and where.
    Input(Reported),
    /// nkd itself, the machine it runs on, or its user ended the run. Nobody else has reported this.
    Nkd(anyhow::Error),
}

impl From<Reported> for Failure {
    fn from(reported: Reported) -> Self {
        Self::Input(reported)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Nkd(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Nkd(error.into())
    }
}

/// Turns what a reader returns that reports as it goes, and returns `None` then, into a result.
pub(crate) fn required<T>(read: Option<T>, diagnostics: &Diagnostics) -> Result<T, Failure> {
    if read.is_none() {
        diagnostics.as_result()?;
    }
    Ok(read.context("the input was refused without a reason")?)
}
