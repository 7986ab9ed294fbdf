//! Messages for texts that are not valid YAML. The library's own messages are not used where they
//! would repeat the user's text, because it may contain secrets.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::localizer::ExternalMessageSource;

use super::parse::VALUES;
use crate::{Code, Diagnostics, Reported, Span};

/// Help for files that exceed a limit of the reader.
const SMALLER: &str = "split the file, or write it with less nesting and fewer aliases";
/// Help for numbers that JSON, and so Kubernetes, does not have.
const FINITE: &str = "write a finite number, or put the value in quotes to make it text";

/// Reports the error of the YAML library at a place.
pub fn report(error: &Error, span: Span, diagnostics: &mut Diagnostics) -> Reported {
    let (code, message) = match error {
        Error::DuplicateMappingKey { key, .. } => {
            let message = match key {
                Some(key) => format!("duplicate key `{key}`"),
                None => "duplicate key".to_owned(),
            };
            (Code::DuplicateKey, message)
        }
        _ => (Code::Syntax, format!("invalid YAML: {}", reason(error))),
    };
    match help(error) {
        Some(help) => diagnostics.report_with_help(code, span, message, help),
        None => diagnostics.report(code, span, message),
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => reason(error),
        Error::UnknownAnchor { .. } => "undefined alias".to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias refers to a value that contains it".to_owned()
        }
        Error::NonFiniteFloat { .. } => "infinity and NaN are not supported".to_owned(),
        Error::UnsupportedTag { .. } => "unsupported tag".to_owned(),
        Error::Eof { .. } => "unexpected end of file".to_owned(),
        Error::Budget { breach, .. } => limit(breach),
        Error::AliasReplayLimitExceeded { .. } | Error::AliasExpansionLimitExceeded { .. } => {
            "the aliases refer to too many values".to_owned()
        }
        Error::ExternalMessage { source, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(error) => syntax(error.kind()),
            _ => "syntax error".to_owned(),
        },
        _ => "syntax error".to_owned(),
    }
}

/// Which limit of the reader a text exceeds.
fn limit(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => "nested too deeply (at most 64 levels)".to_owned(),
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            format!("more than {VALUES} values")
        }
        BudgetBreach::Documents { .. } => "more than 1,024 documents".to_owned(),
        BudgetBreach::Aliases { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. } => "too many aliases".to_owned(),
        _ => "the text exceeds a limit of the YAML reader".to_owned(),
    }
}

/// What is wrong with the syntax. The library's texts are fixed except for one character in brackets.
fn syntax(kind: &ErrorKind) -> String {
    match kind {
        kind if is_tab(kind) => "tabs are not allowed for indentation".to_owned(),
        ErrorKind::UnclosedFlowCollection { open } => format!("`{open}` is not closed"),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            format!("`{open}` is closed with `{close}`")
        }
        ErrorKind::MisplacedFlowCollectionEnd => "a bracket is closed but not opened".to_owned(),
        ErrorKind::UnclosedQuotedScalar => "a quote is not closed".to_owned(),
        ErrorKind::RecursionLimitExceeded => "nested too deeply".to_owned(),
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey => {
            "wrong indentation, or a key without `: ` after it".to_owned()
        }
        ErrorKind::MappingValueNotAllowed => "`: ` is not allowed here".to_owned(),
        ErrorKind::ExpectedFlowMappingSeparator => "expected `,` or `}`".to_owned(),
        ErrorKind::ExpectedFlowSequenceSeparator => "expected `,` or `]`".to_owned(),
        ErrorKind::UnexpectedEof
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::UnexpectedEofBlockSequence
        | ErrorKind::UnexpectedEofBlockMapping => "unexpected end of file".to_owned(),
        ErrorKind::InputIo { .. } | ErrorKind::InputDecoding { .. } | ErrorKind::Custom(_) => {
            "syntax error".to_owned()
        }
        kind => kind.to_string(),
    }
}

fn is_tab(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInPlainScalar
    )
}

fn help(error: &Error) -> Option<&'static str> {
    match error {
        Error::AliasError { error, .. } => help(error),
        Error::UnknownAnchor { .. } => {
            Some("define the anchor before its alias, or put text that begins with `*` in quotes")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => Some("remove the alias"),
        Error::NonFiniteFloat { .. } => Some(FINITE),
        Error::UnsupportedTag { .. } => {
            Some("remove the tag, or put text that begins with `!` in quotes")
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => Some(SMALLER),
        Error::ExternalMessage { source, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(error) if is_tab(error.kind()) => {
                Some("indent with spaces")
            }
            ExternalMessageSource::Parser(error)
                if *error.kind() == ErrorKind::RecursionLimitExceeded =>
            {
                Some(SMALLER)
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::VALUES;
    use crate::Diagnostics;
    use crate::yaml::documents;

    fn message(text: &str) -> String {
        let mut diagnostics = Diagnostics::new();
        let source = diagnostics.add(Path::new("a.yaml"), text.to_owned());
        assert!(documents(source, &mut diagnostics).is_err(), "{text:.80}");
        let message = &diagnostics.to_json()[0]["message"];
        message.as_str().unwrap().to_owned()
    }

    #[test]
    fn each_kind_of_invalid_yaml_has_its_message() {
        let wide = format!("[{}]", "1,".repeat(VALUES + 1));
        for (text, expected) in [
            ("a: *x\n", "invalid YAML: undefined alias"),
            (
                "a: &x [*x]\n",
                "invalid YAML: an alias refers to a value that contains it",
            ),
            (
                "a:\n\tb: c\n",
                "invalid YAML: tabs are not allowed for indentation",
            ),
            (
                "a: .inf\n",
                "invalid YAML: infinity and NaN are not supported",
            ),
            (
                "a: [.nan]\n",
                "invalid YAML: infinity and NaN are not supported",
            ),
            ("a: [b\n", "invalid YAML: `[` is not closed"),
            ("a: {b: c]\n", "invalid YAML: `{` is closed with `]`"),
            ("a: 'b\n", "invalid YAML: a quote is not closed"),
            ("a: b: c\n", "invalid YAML: `: ` is not allowed here"),
            (
                "a: b\n  c\nd\n",
                "invalid YAML: wrong indentation, or a key without `: ` after it",
            ),
            (&wide, "invalid YAML: more than 1000000 values"),
            ("a: 1\na: 2\n", "duplicate key `a`"),
            ("a: \u{1}\n", "the file contains a control character"),
        ] {
            assert_eq!(message(text), expected, "{text:.80}");
        }
    }

    #[test]
    fn messages_do_not_repeat_the_input() {
        for text in [
            "a: hunter2: b\n",
            "hunter2\na: b\n",
            "a: *hunter2\n",
            "a: \"hunter2\n",
        ] {
            assert!(!message(text).contains("hunter2"), "{text}");
        }
    }
}
