//! Tables on standard output.

use std::fmt::Write as _;
use std::io::{Result, Write};

/// Writes rows as columns of equal width; columns of numbers are set to the right.
pub fn write(rows: &[Vec<String>], to: &mut impl Write) -> Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let shape = |column| {
        let width = cells(column)
            .map(|it| it.chars().count())
            .max()
            .unwrap_or(0);
        let starts_with_digit = |it: &&String| it.starts_with(|c: char| c.is_ascii_digit());
        // Addresses begin with digits too, but aren't to be added up.
        let is_number = cells(column).filter(starts_with_digit).count() > 0
            && cells(column).all(|it| !it.contains(['.', ':']));
        (width, is_number)
    };
    let shapes: Vec<_> = (0..columns).map(shape).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, (width, is_number)) in row.iter().zip(&shapes) {
            let _ = match is_number {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:width$}  "),
            };
        }
        writeln!(to, "{}", line.trim_end())?;
    }
    Ok(())
}
