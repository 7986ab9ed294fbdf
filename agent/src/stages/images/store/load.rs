use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};

use nkd_contract::{Cause, paths};
use tempfile::TempPath;

use super::super::refused;
use super::Fault;
use crate::system::{Command, Input, Root, Running, attended};

/// Images on their way into a runtime. Dropped before its end it leaves no image behind.
#[derive(Debug)]
pub(in super::super) enum Load {
    /// A program takes them from a pipe.
    Piped(Running),
    /// They are put into a file first, for programs that want one; it has no more than these
    /// images, and lives no longer than they need.
    Spooled(Spool),
}

/// See [`Load::Spooled`].
#[derive(Debug)]
pub(in super::super) struct Spool {
    file: Option<File>,
    then: VecDeque<Command>,
    running: Option<Running>,
    /// Removes the file; after its reader is gone.
    _path: TempPath,
}

impl Load {
    /// A program that takes the tar from its standard input.
    pub(super) fn piped(command: Command) -> Result<Self, Fault> {
        let running = command.start(Input::Fed);
        let running = running.map_err(|error| refused(Cause::ImagesImport, &error))?;
        Ok(Self::Piped(running))
    }

    /// Programs that take the tar from a file, one after another.
    pub(super) fn spooled(
        root: &Root,
        commands: impl FnOnce(&str) -> Vec<Command>,
    ) -> Result<Self, Fault> {
        let directory = root.path(paths::SPOOL);
        let full = |error: io::Error| full(paths::SPOOL, &error);
        fs::create_dir_all(&directory).map_err(full)?;
        let file = tempfile::Builder::new()
            .suffix(".tar")
            .tempfile_in(directory);
        let (file, path) = file.map_err(full)?.into_parts();
        Ok(Self::Spooled(Spool {
            file: Some(file),
            then: commands(&path.to_string_lossy()).into(),
            running: None,
            _path: path,
        }))
    }

    /// Gives it the next bytes of the tar.
    pub(in super::super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Piped(running) => running
                .feed(bytes)
                .map_err(|error| refused(Cause::ImagesImport, &error)),
            Self::Spooled(Spool { file, .. }) => match file {
                Some(file) => {
                    let written = attended(|| file.write_all(bytes));
                    written.map_err(|error| full(paths::SPOOL, &error))
                }
                None => Ok(()),
            },
        }
    }

    /// The tar is whole.
    pub(in super::super) fn close(&mut self) {
        match self {
            Self::Piped(running) => running.close(),
            Self::Spooled(spool) => spool.file = None,
        }
    }

    /// Whether the runtime has the images.
    pub(in super::super) fn poll(&mut self) -> Result<bool, Fault> {
        let refused = |error| refused(Cause::ImagesImport, &error);
        match self {
            Self::Piped(running) => Ok(running.poll().map_err(refused)?.is_some()),
            Self::Spooled(spool) => {
                if let Some(running) = &mut spool.running
                    && running.poll().map_err(refused)?.is_none()
                {
                    return Ok(false);
                }
                let next = spool.then.pop_front();
                let next = next.map(|command| command.start(Input::Nothing));
                spool.running = next.transpose().map_err(refused)?;
                Ok(spool.running.is_none())
            }
        }
    }
}

/// Removes what a load that was cut off has left.
pub(in super::super) fn clear_spool(root: &Root) -> Result<(), Fault> {
    match fs::remove_dir_all(root.path(paths::SPOOL)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(full(paths::SPOOL, &error)),
        _ => Ok(()),
    }
}

/// The fault of writing images to a directory.
pub(super) fn full(directory: &str, error: &io::Error) -> Fault {
    let cause = match error.kind() {
        io::ErrorKind::StorageFull => Cause::ImagesDisk,
        _ => Cause::ImagesImport,
    };
    Fault::new(cause, format!("{directory}: {error}"))
}
