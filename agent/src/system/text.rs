//! Makes text of other programs safe for D-Bus, terminals and logs.

use std::iter::Peekable;
use std::str::Chars;

/// The character that begins a control sequence of a terminal.
const ESCAPE: char = '\u{1b}';
/// The single character that begins a control sequence (ECMA-48, "CSI").
const CONTROL_SEQUENCE: char = '\u{9b}';

/// One line without control sequences and control characters. D-Bus disconnects a client that sends a
/// NUL, and a terminal executes control sequences.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            ESCAPE if chars.next_if_eq(&'[').is_some() => skip_sequence(&mut chars),
            ESCAPE => {}
            CONTROL_SEQUENCE => skip_sequence(&mut chars),
            '\t' => printable.push(char),
            _ if char.is_control() => printable.push(' '),
            _ => printable.push(char),
        }
    }
    printable
}

/// Skips parameters and intermediate characters, up to the final character (ECMA-48, 5.4).
fn skip_sequence(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|char| matches!(char, ' '..='?')).is_some() {}
    let _ = chars.next_if(|char| matches!(char, '@'..='~'));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_left_out() {
        for (text, expected) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{9b}2Jcleared", "cleared"),
            ("\u{1b}]0;title\u{7}", "]0;title "),
            ("a\0b\rc\nd\u{8}e\u{7f}", "a b c d e "),
            ("a\ttab and ümlaut ✓", "a\ttab and ümlaut ✓"),
            ("\u{1b}[", ""),
        ] {
            assert_eq!(printable(text), expected);
        }
    }
}
