use std::fmt;
use std::io;

use crate::system::CommandError;

/// What a disk without room is called in messages (errno(3), `ENOSPC`).
const NO_SPACE: &str = "no space left on device";

/// Why a container runtime did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum RuntimeError {
    /// A command has failed.
    Command(CommandError),
    /// Files for the runtime can't be written.
    Write {
        /// The directory in which they were to be.
        directory: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The answer of the runtime isn't as expected.
    Answer(anyhow::Error),
    /// The agent itself is at fault.
    Internal(anyhow::Error),
}

impl RuntimeError {
    /// Whether a disk has no room.
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
