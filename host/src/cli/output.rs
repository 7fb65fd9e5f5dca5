//! The three formats: a table for people, JSON lines and CSV for programs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;

use super::CliError;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON object per line.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

/// Where results go.
pub(super) type Out = Box<dyn Write + Send>;

/// Standard output, or the file that is to be written.
pub(super) fn open(file: Option<&Path>) -> Result<Out, CliError> {
    let Some(path) = file else {
        return Ok(Box::new(BufWriter::new(io::stdout())));
    };
    let file = File::create(path).map_err(|error| {
        CliError::Usage(format!("failed to write `{}`: {error}", path.display()))
    })?;
    Ok(Box::new(BufWriter::new(file)))
}

/// Finds out early whether the file can be written; leaves what it holds alone.
pub(super) fn check(file: Option<&Path>) -> Result<(), CliError> {
    let Some(path) = file else { return Ok(()) };
    let opened = File::options().create(true).append(true).open(path);
    opened
        .map(drop)
        .map_err(|error| CliError::Usage(format!("failed to write `{}`: {error}", path.display())))
}

/// One JSON object on a line of its own.
pub(super) fn json_line(out: &mut Out, value: &impl Serialize) -> Result<(), CliError> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Columns that are as wide as what stands in them; the last one is not padded.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these headings; a heading that starts with `>` aligns its column right.
    pub(super) fn new(headings: &[&str]) -> Self {
        let right = headings
            .iter()
            .map(|heading| heading.starts_with('>'))
            .collect();
        let headings = headings
            .iter()
            .map(|heading| heading.trim_start_matches('>').to_owned())
            .collect();
        Self {
            rows: vec![headings],
            right,
        }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    pub(super) fn print(&self, out: &mut Out) -> Result<(), CliError> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                if column > 0 {
                    line.push_str("  ");
                }
                if self.right[column] {
                    line.push_str(&pad);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&pad);
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
