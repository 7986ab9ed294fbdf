use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Code, Diagnostic, Diagnostics, mask};

/// How many bytes of a line are shown, counted from the position of the fault.
const SHOWN: usize = 1000;

impl Diagnostics {
    /// All diagnostics as JSON, for programs.
    pub fn to_json(&self) -> Value {
        let errors = self.in_order().into_iter().map(|diagnostic| {
            let code = diagnostic.code;
            let mut error = json!({
                "code": code.code(),
                "message": diagnostic.message,
                "help": diagnostic.help.as_deref().unwrap_or_else(|| code.help()),
            });
            if let Some(span) = diagnostic.span {
                let (line, column) = position(self.text(span.source), span.start);
                error["file"] = self.path(span.source).display().to_string().into();
                error["line"] = line.into();
                error["column"] = column.into();
            }
            error
        });
        json!({"errors": errors.collect::<Vec<_>>()})
    }

    /// The diagnostics in the order of their positions. Checks report them in another order.
    fn in_order(&self) -> Vec<&Diagnostic> {
        let mut diagnostics: Vec<&Diagnostic> = self.found.iter().collect();
        diagnostics
            .sort_by_key(|diagnostic| diagnostic.span.map(|span| (span.source.0, span.start)));
        diagnostics
    }
}

/// Line and column of a byte, both counted from 1. The column is in characters.
fn position(text: &str, at: usize) -> (usize, usize) {
    let (at, _) = visible(text, at, at);
    let before = &text[..at];
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[line..].chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

impl fmt::Display for Diagnostics {
    /// All diagnostics as a person reads them, without colour.
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
        match self.found.len() {
            1 => writeln!(f, "1 error"),
            count => writeln!(f, "{count} errors"),
        }
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
        // The renderer shows one line, so it gets only this line, cut short if it is very long.
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

/// Cuts a range to its first line and to character boundaries. A `^` under every line of a block
/// would hide where the block begins.
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
