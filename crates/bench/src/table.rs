//! Tables that read well in a terminal and in Markdown.

use std::fmt;

/// Rows under a head; the first column to the left, figures to the right.
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    /// A table without rows.
    pub(crate) fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self(vec![head.into_iter().map(Into::into).collect()])
    }

    /// Adds a row.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.0.push(cells.into_iter().map(Into::into).collect());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.0.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (line, row) in self.0.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let width = self.width(column);
                match column {
                    0 => write!(f, "| {cell:width$} |")?,
                    _ => write!(f, " {cell:>width$} |")?,
                }
            }
            writeln!(f)?;
            if line == 0 {
                for column in 0..row.len() {
                    let rule = "-".repeat(self.width(column));
                    match column {
                        0 => write!(f, "| {rule} |")?,
                        _ => write!(f, " {}: |", &rule[1..])?,
                    }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
