//! The one way in which a run fails.

use nkd_document::Reported;

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
