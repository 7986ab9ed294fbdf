//! How a run can fail.

use nkd_document::Reported;

/// Why a run failed.
#[derive(Debug)]
pub enum Failure {
    /// The input has errors, which are in the diagnostics.
    Input(Reported),
    /// An error of nkd or of the machine, or an interruption by the user. It has not been reported yet.
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
