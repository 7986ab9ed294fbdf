//! Tables in answers.

use std::fmt::Write as _;

/// Formats rows as aligned columns; columns of numbers are aligned to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let shape = |column| {
        let width = cells(column).map(|cell| cell.chars().count()).max();
        let starts_with_digit = |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit());
        // Addresses begin with digits too, but aren't to be added up.
        let is_number = cells(column).any(starts_with_digit)
            && cells(column).all(|cell| !cell.contains(['.', ':']));
        (width.unwrap_or(0), is_number)
    };
    let shapes: Vec<_> = (0..columns).map(shape).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, (width, is_number)) in row.iter().zip(&shapes) {
            let _ = match is_number {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:width$}  "),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
