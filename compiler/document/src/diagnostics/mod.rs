//! What is wrong with the input, said in a way that can be acted on: a stable code, the place in
//! the user's file, and a way out. All of a run's are collected and shown together.

mod codes;
mod mask;
mod render;

use std::ops::Range;
use std::path::{Path, PathBuf};

pub use codes::Code;
pub use mask::mask;

use crate::input;

/// A file that was read, by its place in [`Diagnostics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId(usize);

impl SourceId {
    /// The source with a [number](Self::number).
    pub(crate) const fn numbered(number: usize) -> Self {
        Self(number)
    }

    /// The number of the source among those of its run.
    pub(crate) const fn number(self) -> usize {
        self.0
    }
}

/// A stretch of a source, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// A stretch of a source.
    pub fn new(source: SourceId, range: Range<usize>) -> Self {
        Self {
            source,
            start: range.start,
            end: range.end,
        }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it is from; for a default, the nearest thing that is written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value and where it was written.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

struct Source {
    path: PathBuf,
    text: String,
}

/// Proof that an error in the input was reported. Only [`Diagnostics`] makes one, so a function that
/// returns `Result<T, Reported>` cannot fail without telling the user why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported(());

/// One thing that is wrong. Texts are masked when they come in.
struct Diagnostic {
    code: Code,
    message: String,
    help: Option<String>,
    span: Option<Span>,
}

/// What people should know, though nothing is wrong. Texts are masked when they come in.
struct Remark {
    /// Of a warning, its code and place; a note has neither.
    place: Option<(Code, Span)>,
    message: String,
}

/// The files of a run, everything found wrong with them, and what people should know besides.
#[derive(Default)]
pub struct Diagnostics {
    sources: Vec<Source>,
    errors: Vec<Diagnostic>,
    remarks: Vec<Remark>,
}

impl Diagnostics {
    /// Nothing read, nothing wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports something wrong at a place.
    pub fn report(&mut self, code: Code, span: Span, message: impl AsRef<str>) -> Reported {
        self.push(code, Some(span), message.as_ref(), None)
    }

    /// The same with a way out of its own instead of the code's.
    pub fn report_with_help(
        &mut self,
        code: Code,
        span: Span,
        message: impl AsRef<str>,
        help: impl AsRef<str>,
    ) -> Reported {
        self.push(code, Some(span), message.as_ref(), Some(help.as_ref()))
    }

    /// Reports something wrong that is in no file.
    pub fn report_nowhere(&mut self, code: Code, message: impl AsRef<str>) -> Reported {
        self.push(code, None, message.as_ref(), None)
    }

    /// The same with a way out of its own.
    pub fn report_with_help_nowhere(
        &mut self,
        code: Code,
        message: impl AsRef<str>,
        help: impl AsRef<str>,
    ) -> Reported {
        self.push(code, None, message.as_ref(), Some(help.as_ref()))
    }

    fn push(
        &mut self,
        code: Code,
        span: Option<Span>,
        message: &str,
        help: Option<&str>,
    ) -> Reported {
        self.errors.push(Diagnostic {
            code,
            message: mask(message),
            help: help.map(mask),
            span,
        });
        Reported(())
    }

    /// Reports something that is allowed but most likely not meant.
    pub fn warn(&mut self, code: Code, span: Span, message: impl AsRef<str>) {
        self.remarks.push(Remark {
            place: Some((code, span)),
            message: mask(message.as_ref()),
        });
    }

    /// Reports something that people should know, though nothing is wrong.
    pub fn note(&mut self, message: impl AsRef<str>) {
        self.remarks.push(Remark {
            place: None,
            message: mask(message.as_ref()),
        });
    }

    /// Fails if an error was reported so far.
    ///
    /// # Errors
    /// When an error was reported, whoever did it.
    pub fn as_result(&self) -> Result<(), Reported> {
        self.as_result_since(0)
    }

    /// Fails if an error was reported after the first `before`, which [`Self::len`] has counted.
    ///
    /// # Errors
    /// When one was reported, whoever did it.
    pub fn as_result_since(&self, before: usize) -> Result<(), Reported> {
        if self.errors.len() > before {
            Err(Reported(()))
        } else {
            Ok(())
        }
    }

    /// Whether nothing was found wrong so far.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether all that was found wrong is of one kind.
    pub fn are_all(&self, code: Code) -> bool {
        self.errors.iter().all(|it| it.code == code)
    }

    /// How many things were found wrong so far.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Reads a text file.
    ///
    /// # Errors
    /// When it can't be read; that is reported at `asked_at`, the place that names the file.
    pub fn read(&mut self, path: &Path, asked_at: Option<Span>) -> Result<SourceId, Reported> {
        self.take(path, input::read(path), asked_at)
    }

    /// Takes in what was read.
    ///
    /// # Errors
    /// When it wasn't read, or is no text; that is reported at `asked_at`.
    pub fn take(
        &mut self,
        path: &Path,
        content: std::io::Result<Vec<u8>>,
        asked_at: Option<Span>,
    ) -> Result<SourceId, Reported> {
        let problem = match content {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => return Ok(self.add(path, text)),
                Err(_) => "it is not UTF-8 text".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        let message = format!("{} can't be read: {problem}", path.display());
        let help = match asked_at {
            Some(_) => None,
            None => Some("see that the path is right and that you may read the file"),
        };
        Err(self.push(Code::Unreadable, asked_at, &message, help))
    }

    /// Takes in a text under a name.
    pub fn add(&mut self, path: &Path, text: String) -> SourceId {
        self.sources.push(Source {
            path: path.to_owned(),
            text,
        });
        SourceId(self.sources.len() - 1)
    }

    /// A source's text.
    pub fn text(&self, source: SourceId) -> &str {
        self.sources.get(source.0).map_or("", |it| &it.text)
    }

    /// A source's path, as it was given.
    pub fn path(&self, source: SourceId) -> &Path {
        self.sources
            .get(source.0)
            .map_or(Path::new(""), |it| &it.path)
    }

    /// All files read, in order: path and text.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.sources
            .iter()
            .map(|source| (source.path.as_path(), source.text.as_str()))
    }
}
