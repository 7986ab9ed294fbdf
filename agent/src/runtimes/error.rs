use std::fmt;
use std::io;

use crate::system::CommandError;

/// The message for a full disk (errno(3), `ENOSPC`).
const NO_SPACE: &str = "no space left on device";

/// Why an operation of a container runtime failed.
#[derive(Debug)]
pub(crate) enum RuntimeError {
    /// A command has failed.
    Command(CommandError),
    /// Files for the runtime cannot be written.
    Write {
        /// The directory of the files.
        directory: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The runtime returned unexpected output.
    Answer(anyhow::Error),
    /// An error in the agent itself.
    Internal(anyhow::Error),
}

impl RuntimeError {
    /// Whether the reason is a full disk.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Self::Command(error) => {
                let mut lines = error.tail().iter();
                lines.any(|line| line.to_lowercase().contains(NO_SPACE))
            }
            Self::Write { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Answer(_) | Self::Internal(_) => false,
        }
    }
}

impl From<CommandError> for RuntimeError {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(error) => error.fmt(f),
            Self::Write { directory, source } => write!(f, "{directory}: {source}"),
            Self::Answer(error) | Self::Internal(error) => write!(f, "{error:#}"),
        }
    }
}
