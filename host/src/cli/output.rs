//! The three formats: a table for people, JSON lines and CSV for programs.

use std::fs::{File, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::CliError;
use crate::model::is_unprintable;

/// Rows of a table that [`Table::spill`] leaves in memory.
const SPILL_ROWS: usize = 1_000;

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

/// Standard output.
pub(super) fn stdout() -> Out {
    Box::new(BufWriter::new(io::stdout()))
}

/// Where `--output` points; a file there keeps what it holds until the result is complete.
#[derive(Debug)]
pub(super) enum Target {
    /// No `--output`, or `-`.
    Stdout,
    /// A file, written beside its place first.
    File { draft: NamedTempFile, path: PathBuf },
    /// A pipe or a device, which cannot be replaced.
    Device(PathBuf),
}

impl Target {
    /// Finds out early whether the target can be written; `ours` are files that it must not be.
    pub(super) fn new(file: Option<&Path>, ours: &[PathBuf]) -> Result<Self, CliError> {
        let Some(path) = file.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Stdout);
        };
        let told = path.display();
        if let Some(own) = ours.iter().find(|own| is_same_file(own, path)) {
            let own = own.display();
            return Err(CliError::Usage(format!(
                "`--output {told}` would overwrite `{own}`, which this command reads; name another \
                 file"
            )));
        }
        let failed =
            |error: io::Error| CliError::Usage(format!("failed to write `{told}`: {error}"));
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(CliError::Usage(format!(
                "failed to write `{told}`: it is a folder"
            ))),
            Ok(metadata) if !metadata.is_file() => Ok(Self::Device(path.to_owned())),
            existing => {
                // A link is written through, not replaced.
                let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
                let folder = match path.parent() {
                    Some(folder) if folder != Path::new("") => folder,
                    _ => Path::new("."),
                };
                let mode = existing.map_or(0o666, |metadata| metadata.permissions().mode() & 0o777);
                let draft = tempfile::Builder::new()
                    .prefix(".scanhost-output-")
                    .permissions(Permissions::from_mode(mode))
                    .tempfile_in(folder)
                    .map_err(failed)?;
                Ok(Self::File { draft, path })
            }
        }
    }

    /// Opens it for the result.
    pub(super) fn open(&self) -> Result<Out, CliError> {
        match self {
            Self::Stdout => Ok(stdout()),
            Self::File { draft, .. } => Ok(Box::new(BufWriter::new(draft.reopen()?))),
            Self::Device(path) => {
                let device = File::options().write(true).open(path)?;
                Ok(Box::new(BufWriter::new(device)))
            }
        }
    }

    /// Puts the complete result in its place.
    pub(super) fn keep(self) -> Result<(), CliError> {
        match self {
            Self::Stdout | Self::Device(_) => Ok(()),
            Self::File { draft, path } => {
                draft
                    .persist(path)
                    .map_err(|error| CliError::from(error.error))?;
                Ok(())
            }
        }
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let same_name = || std::path::absolute(one).ok() == std::path::absolute(other).ok();
    // Neither need be there yet.
    id(one).map_or_else(same_name, |one| Some(one) == id(other))
}

/// One JSON object on a line of its own.
pub(super) fn json_line(out: &mut Out, value: &impl Serialize) -> Result<(), CliError> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Columns that are as wide as what stands in them; the last one is not padded.
#[derive(Debug)]
pub(super) struct Table {
    /// `None` once it was printed.
    headings: Option<Vec<String>>,
    rows: Vec<Vec<String>>,
    /// Earlier rows, one JSON array on a line.
    spilled: Option<NamedTempFile>,
    right: Vec<bool>,
    /// At least as wide as on the pages before.
    widths: Vec<usize>,
}

impl Table {
    /// A table with these headings; a heading that starts with `>` aligns its column right.
    pub(super) fn new(headings: &[&str]) -> Self {
        let right: Vec<bool> = headings
            .iter()
            .map(|heading| heading.starts_with('>'))
            .collect();
        let headings: Vec<String> = headings
            .iter()
            .map(|heading| heading.trim_start_matches('>').to_owned())
            .collect();
        Self {
            widths: headings.iter().map(|cell| cell.chars().count()).collect(),
            headings: Some(headings),
            rows: Vec::new(),
            spilled: None,
            right,
        }
    }

    /// Adds a row. Cells hold what others wrote: control characters become spaces.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        let cells: Vec<String> = cells.iter().map(|cell| plain(cell)).collect();
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = cell.chars().count().max(*width);
        }
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.spilled.is_none()
    }

    /// Moves rows to a temporary file once there are many, so that a table of any length that must
    /// be known as a whole before it is printed fits into memory.
    pub(super) fn spill(&mut self) -> Result<(), CliError> {
        if self.rows.len() < SPILL_ROWS {
            return Ok(());
        }
        let file = match &mut self.spilled {
            Some(file) => file,
            none => none.insert(NamedTempFile::new()?),
        };
        let mut out: Out = Box::new(BufWriter::new(file.as_file().try_clone()?));
        for row in self.rows.drain(..) {
            json_line(&mut out, &row)?;
        }
        Ok(out.flush()?)
    }

    pub(super) fn print(&self, out: &mut Out) -> Result<(), CliError> {
        if let Some(headings) = &self.headings {
            self.print_row(headings, out)?;
        }
        if let Some(file) = &self.spilled {
            for line in BufReader::new(file.reopen()?).lines() {
                let row: Vec<String> = serde_json::from_str(&line?).map_err(io::Error::from)?;
                self.print_row(&row, out)?;
            }
        }
        for row in &self.rows {
            self.print_row(row, out)?;
        }
        Ok(())
    }

    fn print_row(&self, row: &[String], out: &mut Out) -> Result<(), CliError> {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(self.widths[column].saturating_sub(cell.chars().count()));
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
        Ok(writeln!(out, "{}", line.trim_end())?)
    }

    /// Prints what there is and forgets it, so that a table of any length fits into memory.
    pub(super) fn print_page(&mut self, out: &mut Out) -> Result<(), CliError> {
        self.print(out)?;
        self.headings = None;
        self.rows.clear();
        self.spilled = None;
        Ok(())
    }
}

/// `text` on one line and without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|char| if is_unprintable(char) { ' ' } else { char })
        .collect()
}

/// How long ago `at_ms` was, in the largest whole unit: `0s`, `5m`, `3h`, `2d`.
pub(super) fn age(now_ms: i64, at_ms: i64) -> String {
    let seconds = now_ms.saturating_sub(at_ms).max(0) / 1_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn cells(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    #[test]
    fn pages_share_one_heading_and_never_get_narrower() {
        let shared = Shared::default();
        let mut out: Out = Box::new(shared.clone());
        let mut table = Table::new(&["NAME", ">N", "NOTE"]);
        table.row(cells(&["longer name", "1", "x\u{1b}[2J"]));
        table.print_page(&mut out).unwrap();
        assert!(table.is_empty());
        table.row(cells(&["b", "22", ""]));
        table.print_page(&mut out).unwrap();
        let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        let expected = "NAME         N  NOTE\nlonger name  1  x [2J\nb            22\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_long_table_is_printed_as_it_was_filled() {
        let text_of = |spill: bool| {
            let shared = Shared::default();
            let mut out: Out = Box::new(shared.clone());
            let mut table = Table::new(&["NAME", ">N"]);
            for number in 0..2 * SPILL_ROWS + 5 {
                table.row(cells(&["a\"b, \u{1b}", &number.to_string()]));
                if spill {
                    table.spill().unwrap();
                    assert!(table.rows.len() < SPILL_ROWS);
                }
            }
            assert!(!table.is_empty());
            table.print(&mut out).unwrap();
            String::from_utf8(shared.0.lock().unwrap().clone()).unwrap()
        };
        assert_eq!(text_of(true), text_of(false));
    }

    #[test]
    fn ages_are_told_in_one_unit() {
        let check =
            |ms: i64, expected: &str| assert_eq!(age(1_000_000_000 + ms, 1_000_000_000), expected);
        check(-5_000, "0s");
        check(999, "0s");
        check(59_999, "59s");
        check(60_000, "1m");
        check(3_599_999, "59m");
        check(90_000_000, "25h");
        check(172_800_000, "2d");
    }
}
