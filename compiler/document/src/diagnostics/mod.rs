//! Diagnostics: what is wrong with the input. Each one has a stable code, a position in the user's
//! file, a message and a help text that tells the user what to do. The diagnostics of a run are
//! collected and shown together.

mod codes;
mod mask;
mod render;

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use codes::Code;
pub use mask::mask;

use crate::input;

/// Identifies a file that [`Diagnostics`] holds.
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

/// A range of bytes in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The file.
    pub source: SourceId,
    /// The index of the first byte.
    pub start: usize,
    /// The index after the last byte.
    pub end: usize,
}

impl Span {
    /// A range of bytes in a source.
    pub fn new(source: SourceId, range: Range<usize>) -> Self {
        Self {
            source,
            start: range.start,
            end: range.end,
        }
    }
}

/// A value and its position in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where the value is written. A default has the position of the mapping that it is missing from.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value and its position in a source.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

struct Source {
    path: PathBuf,
    text: String,
    is_secret: bool,
}

/// Proof that an error in the input was reported. Only [`Diagnostics`] makes one, so a function that
/// returns `Result<T, Reported>` cannot fail without telling the user why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported(());

/// One error. Its texts are masked when it is reported.
struct Diagnostic {
    code: Code,
    message: String,
    help: Option<String>,
    span: Option<Span>,
}

/// A warning or a note, which changes no exit status. Its text is masked when it is reported.
struct Remark {
    /// A warning's code and position; a note has neither.
    place: Option<(Code, Span)>,
    message: String,
}

/// What becomes of warnings.
#[derive(Debug, Clone, Default)]
pub struct WarningPolicy {
    /// Codes of warnings that are dropped.
    pub allowed: Vec<Code>,
    /// Whether all other warnings are errors.
    pub are_errors: bool,
}

/// The files of a run, and the errors, warnings and notes about them.
#[derive(Default)]
pub struct Diagnostics {
    policy: WarningPolicy,
    sources: Vec<Source>,
    /// What was read from pipes, by path.
    streams: Vec<(PathBuf, Vec<u8>)>,
    /// The positions of texts that stand for many values.
    shared: HashSet<Span>,
    errors: Vec<Diagnostic>,
    remarks: Vec<Remark>,
}

impl Diagnostics {
    /// No files and no errors.
    pub fn new() -> Self {
        Self::default()
    }

    /// No files and no errors, with a policy for warnings.
    pub fn with_policy(policy: WarningPolicy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Forgets all files, errors, warnings and notes, but not what was read from pipes.
    pub fn clear(&mut self) {
        *self = Self {
            streams: std::mem::take(&mut self.streams),
            ..Self::with_policy(std::mem::take(&mut self.policy))
        };
    }

    /// Marks a position as that of a text that stands for many values: of all errors with the same code at this
    /// position, only the first is shown. The same applies to warnings.
    pub fn share(&mut self, span: Span) {
        self.shared.insert(span);
    }

    /// Reports an error at a position. If the same error is reported again, it is shown once.
    pub fn report(&mut self, code: Code, span: Span, message: impl AsRef<str>) -> Reported {
        self.push(code, Some(span), message.as_ref(), None)
    }

    /// Reports an error at a position, with its own help text instead of the code's.
    pub fn report_with_help(
        &mut self,
        code: Code,
        span: Span,
        message: impl AsRef<str>,
        help: impl AsRef<str>,
    ) -> Reported {
        self.push(code, Some(span), message.as_ref(), Some(help.as_ref()))
    }

    /// Reports an error that has no position in a file.
    pub fn report_nowhere(&mut self, code: Code, message: impl AsRef<str>) -> Reported {
        self.push(code, None, message.as_ref(), None)
    }

    /// Reports an error that has no position, with its own help text instead of the code's.
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

    /// Reports a warning: what is allowed but most likely not intended.
    pub fn warn(&mut self, code: Code, span: Span, message: impl AsRef<str>) {
        if self.policy.allowed.contains(&code) {
            return;
        }
        if self.policy.are_errors {
            self.report(code, span, message);
            return;
        }
        self.remarks.push(Remark {
            place: Some((code, span)),
            message: mask(message.as_ref()),
        });
    }

    /// Reports a note.
    pub fn note(&mut self, message: impl AsRef<str>) {
        self.remarks.push(Remark {
            place: None,
            message: mask(message.as_ref()),
        });
    }

    /// Fails if an error was reported so far.
    ///
    /// # Errors
    /// When an error was reported, by any function.
    pub fn as_result(&self) -> Result<(), Reported> {
        self.as_result_since(0)
    }

    /// Fails if an error was reported after the first `before`, which [`Self::len`] has counted.
    ///
    /// # Errors
    /// When one was reported, by any function.
    pub fn as_result_since(&self, before: usize) -> Result<(), Reported> {
        if self.errors.len() > before {
            Err(Reported(()))
        } else {
            Ok(())
        }
    }

    /// Whether no error has been reported so far.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether all errors reported so far are of one kind.
    pub fn are_all(&self, code: Code) -> bool {
        self.errors.iter().all(|error| error.code == code)
    }

    /// How many errors have been reported so far.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Reads a text file. Without `asked_at`, the command line names the file, and `-` is standard input.
    /// A pipe that is read again has the same content.
    ///
    /// # Errors
    /// When it cannot be read; that is reported at `asked_at`, the position where the user named the file.
    pub fn read(&mut self, path: &Path, asked_at: Option<Span>) -> Result<SourceId, Reported> {
        let earlier = self.streams.iter().find(|(known, _)| known == path);
        if let Some((_, content)) = earlier {
            let content = content.clone();
            return self.take(path, Ok(content), asked_at);
        }
        let is_standard_input = asked_at.is_none() && path == Path::new(input::STANDARD_INPUT);
        let content = if is_standard_input {
            input::read_from(std::io::stdin())
        } else {
            input::read(path)
        };
        if let Ok(content) = &content
            && (is_standard_input || input::is_stream(path))
        {
            self.streams.push((path.to_owned(), content.clone()));
        }
        let path = if is_standard_input {
            input::shown(path)
        } else {
            path
        };
        self.take(path, content, asked_at)
    }

    /// Adds the content of a file that was read.
    ///
    /// # Errors
    /// When it could not be read, or is not UTF-8 text; that is reported at `asked_at`.
    pub fn take(
        &mut self,
        path: &Path,
        content: std::io::Result<Vec<u8>>,
        asked_at: Option<Span>,
    ) -> Result<SourceId, Reported> {
        let problem = match content {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => return Ok(self.add(path, text)),
                Err(_) => "the file is not UTF-8 text".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        let message = format!("cannot read `{}`: {problem}", path.display());
        let help = match asked_at {
            Some(_) => None,
            None => Some("check the path and the file's permissions"),
        };
        Err(self.push(Code::Unreadable, asked_at, &message, help))
    }

    /// Adds a text, with the path that diagnostics show for it.
    pub fn add(&mut self, path: &Path, text: String) -> SourceId {
        self.sources.push(Source {
            path: path.to_owned(),
            text,
            is_secret: false,
        });
        SourceId(self.sources.len() - 1)
    }

    /// The text of a source.
    pub fn text(&self, source: SourceId) -> &str {
        self.sources.get(source.0).map_or("", |source| &source.text)
    }

    /// The path of a source, as it was given.
    pub fn path(&self, source: SourceId) -> &Path {
        self.sources
            .get(source.0)
            .map_or(Path::new(""), |source| &source.path)
    }

    /// Marks a source that is a secret as a whole, such as a password.
    pub fn hide(&mut self, source: SourceId) {
        if let Some(source) = self.sources.get_mut(source.0) {
            source.is_secret = true;
        }
    }

    /// The path and the text of every source that is not a secret as a whole, in the order in which they were added.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        let sources = self.sources.iter().filter(|source| !source.is_secret);
        sources.map(|source| (source.path.as_path(), source.text.as_str()))
    }
}
