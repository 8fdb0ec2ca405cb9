//! Tables for a terminal: aligned columns, and nothing in them that a terminal would obey.

use crate::plain::plain;
use std::fmt::Write;

/// Characters of one cell; what is longer is cut, and whoever needs it whole asks for JSON.
const CELL_CHARS_MAX: usize = 60;

pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_owned)] }
    }

    pub(super) fn row(&mut self, cells: [&str; N]) {
        self.rows.push(cells.map(|cell| cut(&plain(cell))));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }
}

impl<const N: usize> std::fmt::Display for Table<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; N] = std::array::from_fn(width);
        for row in &self.rows {
            let line = row.iter().zip(widths).fold(String::new(), |mut line, (cell, width)| {
                write!(line, "{cell:width$}  ").expect("a string takes everything");
                line
            });
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some(_) => text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["CHANNEL", "CLIENTS"]);
        assert!(table.is_empty());
        table.row(["news:weather", "1"]);
        table.row(["č", "12"]);
        assert_eq!(table.to_string(), "CHANNEL       CLIENTS\nnews:weather  1\nč             12\n");
    }

    #[test]
    fn s50_nothing_in_a_cell_moves_the_cursor_or_turns_text_around_and_none_is_endless() {
        let mut table = Table::new(["USER"]);
        table.row(["\x1b[2Jeve\n\u{202e}"]);
        table.row([&"x".repeat(1_000)]);
        let printed = table.to_string();
        assert_eq!(printed.lines().count(), 3);
        assert!(printed.contains("\\u001b[2Jeve\\u000a\\u202e") && !printed.contains('\x1b'), "{printed:?}");
        assert!(printed.ends_with("x…\n"));
    }
}
