use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};

use nkd_contract::paths;
use tempfile::TempPath;

use super::RuntimeError;
use crate::system::{Command, Input, Root, Running, attended};

/// A load of images into a runtime. If it is dropped before its end, it leaves no image behind.
#[derive(Debug)]
pub(crate) enum Load {
    /// A program reads them from a pipe.
    Piped(Running),
    /// For programs that read a file: the images are written into a file, which is removed after the
    /// load.
    Spooled(Spool),
}

/// See [`Load::Spooled`].
#[derive(Debug)]
pub(crate) struct Spool {
    file: Option<File>,
    then: VecDeque<Command>,
    running: Option<Running>,
    /// Removes the file after its reader has ended.
    _path: TempPath,
}

impl Load {
    /// A load with a program that reads the tar from its standard input.
    pub(super) fn piped(command: Command) -> Result<Self, RuntimeError> {
        Ok(Self::Piped(command.start(Input::Fed)?))
    }

    /// A load with programs that read the tar from a file, one after another.
    pub(super) fn spooled(
        root: &Root,
        commands: impl FnOnce(&str) -> Vec<Command>,
    ) -> Result<Self, RuntimeError> {
        let directory = root.path(paths::SPOOL);
        fs::create_dir_all(&directory).map_err(unwritable)?;
        let file = tempfile::Builder::new()
            .suffix(".tar")
            .tempfile_in(directory);
        let (file, path) = file.map_err(unwritable)?.into_parts();
        Ok(Self::Spooled(Spool {
            file: Some(file),
            then: commands(&path.to_string_lossy()).into(),
            running: None,
            _path: path,
        }))
    }

    /// Passes on the next bytes of the tar.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), RuntimeError> {
        match self {
            Self::Piped(running) => Ok(running.feed(bytes)?),
            Self::Spooled(Spool { file, .. }) => match file {
                Some(file) => {
                    let written = attended(|| file.write_all(bytes));
                    written.map_err(unwritable)
                }
                None => Ok(()),
            },
        }
    }

    /// Ends the tar.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Piped(running) => running.close(),
            Self::Spooled(spool) => spool.file = None,
        }
    }

    /// Whether the runtime has the images.
    pub(crate) fn poll(&mut self) -> Result<bool, RuntimeError> {
        match self {
            Self::Piped(running) => Ok(running.poll()?.is_some()),
            Self::Spooled(spool) => {
                if let Some(running) = &mut spool.running
                    && running.poll()?.is_none()
                {
                    return Ok(false);
                }
                let next = spool.then.pop_front();
                let next = next.map(|command| command.start(Input::Nothing));
                spool.running = next.transpose()?;
                Ok(spool.running.is_none())
            }
        }
    }
}

/// Removes what an interrupted load has left.
pub(crate) fn clear_spool(root: &Root) -> Result<(), RuntimeError> {
    match fs::remove_dir_all(root.path(paths::SPOOL)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(error)),
        _ => Ok(()),
    }
}

fn unwritable(source: io::Error) -> RuntimeError {
    let directory = paths::SPOOL.to_owned();
    RuntimeError::Write { directory, source }
}
