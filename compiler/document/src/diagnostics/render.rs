use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Code, Diagnostic, Diagnostics, mask};

/// How many bytes of a line are shown from the wrong place on.
const SHOWN: usize = 1000;

impl Diagnostics {
    /// All diagnostics for programs.
    pub fn to_json(&self) -> Value {
        let errors = self.in_order().into_iter().map(|it| {
            let mut error = json!({
                "code": it.code.code(),
                "message": it.message,
                "help": it.help.as_deref().unwrap_or_else(|| it.code.help()),
            });
            if let Some(span) = it.span {
                let (line, column) = position(self.text(span.source), span.start);
                error["file"] = self.path(span.source).display().to_string().into();
                error["line"] = line.into();
                error["column"] = column.into();
            }
            error
        });
        json!({"errors": errors.collect::<Vec<_>>()})
    }

    /// In the order of the files, which is not that of the checks.
    fn in_order(&self) -> Vec<&Diagnostic> {
        let mut found: Vec<&Diagnostic> = self.found.iter().collect();
        found.sort_by_key(|it| it.span.map(|span| (span.source.0, span.start)));
        found
    }
}

/// Line and column, in characters, counted from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let (at, _) = visible(text, at, at);
    let before = &text[..at];
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[line..].chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

impl fmt::Display for Diagnostics {
    /// All diagnostics as the user reads them, without colour.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked: Vec<String> = self
            .sources
            .iter()
            .map(|source| mask(&source.text))
            .collect();
        for diagnostic in self.in_order() {
            let rendered = Renderer::plain().render(&[self.group(diagnostic, &masked)]);
            writeln!(f, "{rendered}\n")?;
        }
        let (count, things) = match self.found.len() {
            1 => (1, "thing is"),
            count => (count, "things are"),
        };
        writeln!(f, "{count} {things} wrong; nothing was written")
    }
}

impl Diagnostics {
    fn group<'a>(&'a self, diagnostic: &'a Diagnostic, masked: &'a [String]) -> Group<'a> {
        let Diagnostic {
            code,
            message,
            help,
            span,
        } = diagnostic;
        let title = Level::ERROR
            .primary_title(message.as_str())
            .id(Code::code(*code));
        let help = Level::HELP.message(help.as_deref().unwrap_or_else(|| code.help()));
        let Some(span) = span else {
            return Group::with_title(title).element(help);
        };
        let text = masked.get(span.source.0).map_or("", String::as_str);
        let (start, end) = visible(text, span.start, span.end);
        // The renderer gets the one line it shows, and little of what follows on a long one.
        let line = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let (_, shown) = visible(text, start, (start + SHOWN).min(text.len()));
        let number = text[..line].matches('\n').count() + 1;
        let path = self.path(span.source).display().to_string();
        title
            .element(
                Snippet::source(&text[line..shown])
                    .line_start(number)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(start - line..end.min(shown) - line)),
            )
            .element(help)
    }
}

/// Cuts a stretch to its first line and to character boundaries: a whole block under `^` says
/// less than where it begins.
fn visible(text: &str, start: usize, end: usize) -> (usize, usize) {
    let start = (0..=start.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let rest = &text[start..];
    let line = rest.find(['\n', '\r']).unwrap_or(rest.len());
    let end = (start + line).min(end.max(start));
    let end = (end..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(start);
    (start, end)
}
