use std::collections::HashSet;
use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Code, Diagnostic, Diagnostics, Remark, Span, mask};

/// How many bytes of a line are shown, counted from the position of the fault.
const SHOWN: usize = 1000;

impl Diagnostics {
    /// All errors as JSON, for programs.
    pub fn to_json(&self) -> Vec<Value> {
        let errors = self.in_order().into_iter();
        errors.map(|error| self.error_to_json(error)).collect()
    }

    fn error_to_json(&self, error: &Diagnostic) -> Value {
        let help = error.help.as_deref();
        let mut json = json!({
            "code": error.code.code(),
            "message": error.message,
            "help": help.unwrap_or_else(|| error.code.help()),
        });
        if let Some(span) = error.span {
            self.add_place(span, &mut json);
        }
        json
    }

    fn add_place(&self, span: Span, to: &mut Value) {
        let (line, column) = self.position(span);
        to["file"] = self.path(span.source).display().to_string().into();
        to["line"] = line.into();
        to["column"] = column.into();
    }

    /// Adds `warnings` and `notes` to a JSON object, if there are any.
    pub fn add_remarks(&self, to: &mut Value) {
        let (mut warnings, mut notes) = (Vec::new(), Vec::new());
        for remark in self.shown_remarks() {
            let Some((code, span)) = remark.place else {
                notes.push(remark.message.as_str());
                continue;
            };
            let mut warning = json!({"code": code.code(), "message": remark.message});
            self.add_place(span, &mut warning);
            warnings.push(warning);
        }
        if !warnings.is_empty() {
            to["warnings"] = warnings.into();
        }
        if !notes.is_empty() {
            to["notes"] = notes.into();
        }
    }

    /// The errors in the order of their positions, each once. Checks report them in another order.
    fn in_order(&self) -> Vec<&Diagnostic> {
        let mut seen = HashSet::new();
        let errors = self.errors.iter();
        let mut errors: Vec<&Diagnostic> = errors
            .filter(|error| {
                seen.insert(self.identity(Some(error.code), error.span, &error.message))
            })
            .collect();
        errors.sort_by_key(|error| error.span.map(|span| (span.source.0, span.start)));
        errors
    }

    /// The warnings and notes, each once.
    fn shown_remarks(&self) -> impl Iterator<Item = &Remark> {
        let mut seen = HashSet::new();
        self.remarks.iter().filter(move |remark| {
            let (code, span) = remark.place.unzip();
            seen.insert(self.identity(code, span, &remark.message))
        })
    }

    /// What two diagnostics have in common if a person sees them as one.
    fn identity<'a>(
        &self,
        code: Option<Code>,
        span: Option<Span>,
        message: &'a str,
    ) -> (Option<Code>, Option<Span>, &'a str) {
        let is_shared = span.is_some_and(|span| self.shared.contains(&span));
        (code, span, if is_shared { "" } else { message })
    }

    /// Line and column at which a span begins, both counted from 1. The column is in characters.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let text = self.text(span.source);
        let (at, _) = visible(text, span.start, span.start);
        let before = &text[..at];
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[line..].chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }

    /// Warnings and notes as the user reads them, one in a line.
    pub fn remarks_in_lines(&self) -> String {
        let line = |remark: &Remark| match remark.place {
            Some((code, span)) => {
                let (line, column) = self.position(span);
                let file = self.path(span.source).display();
                let code = code.code();
                format!(
                    "warning[{code}]: {file}:{line}:{column}: {}\n",
                    remark.message
                )
            }
            None => format!("note: {}\n", remark.message),
        };
        self.shown_remarks().map(line).collect()
    }
}

impl fmt::Display for Diagnostics {
    /// All diagnostics as a person reads them, without colour.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked: Vec<String> = self
            .sources
            .iter()
            .map(|source| mask(&source.text))
            .collect();
        let errors = self.in_order();
        for diagnostic in &errors {
            let rendered = Renderer::plain().render(&[self.group(diagnostic, &masked)]);
            writeln!(f, "{rendered}\n")?;
        }
        match errors.len() {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Code, Diagnostics, Span};

    #[test]
    fn what_is_reported_several_times_is_shown_once() {
        let mut diagnostics = Diagnostics::new();
        let source = diagnostics.add(Path::new("a.yaml"), "a b".to_owned());
        let [first, second] = [0..1, 2..3].map(|range| Span::new(source, range));
        for name in ["w1", "w2", "w2"] {
            diagnostics.report(Code::Name, first, name);
            diagnostics.report(Code::Name, second, name);
            diagnostics.warn(Code::Mtu, first, name);
        }
        assert_eq!(diagnostics.to_json().len(), 4);
        assert_eq!(diagnostics.remarks_in_lines().lines().count(), 2);
        assert!(diagnostics.to_string().ends_with("4 errors\n"));
        diagnostics.share(first);
        let errors = diagnostics.to_json();
        let messages: Vec<_> = errors.iter().map(|error| &error["message"]).collect();
        assert_eq!(messages, ["w1", "w1", "w2"]);
        assert_eq!(diagnostics.remarks_in_lines().lines().count(), 1);
    }
}
