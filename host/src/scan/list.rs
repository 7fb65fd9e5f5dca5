//! Address lists: read as people write them, judged once, kept in a file of our own.
//!
//! A list is read in one go: each line is judged by the chain's plugin, doubled addresses are
//! found by their canonical form, and what is left is written to an unnamed temporary file, from
//! which planning and report read it as often as they like. So a list may be standard input, and
//! memory does not grow with it: doubled addresses are found by sorting marks of them in a file
//! (`doubled`), and passed over when the copy is read.

mod doubled;
mod stored;

use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::doubled::{Follow, Marks, Places};
pub use self::stored::StoredRows;
use crate::plugin::{Backend, CallError};
use crate::watch::{HIDDEN, WARNING, is_private, is_private_line, may_be_private};

/// Lines judged in one call of the plugin.
const JUDGE_CHUNK: usize = 1_000;
/// Bytes of a line; a longer one is no list of addresses.
const LINE_MAX: u64 = 1 << 20;

/// One line of a list that holds something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// As the list has it.
    #[serde(rename = "a")]
    pub address: String,
    /// Canonical form; `None` for a line that is no address.
    #[serde(rename = "c")]
    pub canonical: Option<String>,
    /// The list's own index, else the place among its valid addresses, from 0.
    #[serde(rename = "i")]
    pub index: Option<u64>,
    /// The list's label.
    #[serde(rename = "l")]
    pub label: Option<String>,
    /// Line in its file, from 1.
    #[serde(rename = "n")]
    pub line: u64,
    /// Why it is no address.
    #[serde(rename = "e")]
    pub error: Option<String>,
}

/// A list that was read and judged.
#[derive(Debug)]
pub struct AddressList {
    spool: tempfile::NamedTempFile,
    /// Entries of the copy that are passed over.
    passed: Places,
    /// Distinct valid addresses.
    pub valid: u64,
    /// Lines that are no addresses.
    pub invalid: u64,
    /// Lines left out because their address stood before.
    pub doubled: u64,
    /// Hash of the canonical addresses in their order.
    pub digest: String,
}

/// A line worth telling the operator about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub message: String,
}

/// A list that cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file.
    #[error("failed to read the address list `{}`: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Our copy of it.
    #[error("failed to keep the address list in a temporary file: {0}")]
    Spool(#[source] io::Error),
    /// The plugin that knows addresses.
    #[error("failed to check the addresses: {0}")]
    Plugin(CallError),
}

/// Reads lists one after the other into one [`AddressList`].
pub struct ListReader<'a> {
    judges: Vec<&'a dyn Backend>,
    strict: bool,
    out: BufWriter<tempfile::NamedTempFile>,
    marks: Marks,
    /// Where in the copy each file begins.
    files: Vec<(u64, PathBuf)>,
    /// Of the canonical addresses, as long as none is doubled.
    digest: Sha256,
    valid: u64,
    invalid: u64,
}

impl<'a> ListReader<'a> {
    /// A reader whose addresses `judges` know: the first one that answers is believed. Without one
    /// every line is taken as it stands.
    ///
    /// # Errors
    ///
    /// No temporary file could be made.
    pub fn new(judges: Vec<&'a dyn Backend>) -> Result<Self, ListError> {
        let spool = tempfile::NamedTempFile::new().map_err(ListError::Spool)?;
        Ok(Self {
            judges,
            strict: false,
            out: BufWriter::new(spool),
            marks: Marks::default(),
            files: Vec::new(),
            digest: Sha256::new(),
            valid: 0,
            invalid: 0,
        })
    }

    /// Reads nothing that no judge could judge.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Reads a file, `-` being standard input. `remark` hears of each line that is left out.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its addresses not be judged.
    pub async fn read(
        &mut self,
        path: &Path,
        remark: &mut (dyn FnMut(Remark) + Send),
    ) -> Result<(), ListError> {
        let failed = |source| ListError::Read {
            path: path.to_owned(),
            source,
        };
        let input: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(std::fs::File::open(path).map_err(failed)?)
        };
        let mut lines = Lines::new(input).map_err(failed)?;
        loop {
            let chunk = lines.next_chunk(JUDGE_CHUNK).map_err(failed)?;
            if chunk.is_empty() {
                return Ok(());
            }
            self.take(path, chunk, remark).await?;
        }
    }

    /// Takes rows that were read before: index, address and label of each.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub async fn take_rows(
        &mut self,
        set: &str,
        rows: Vec<(u64, String, Option<String>)>,
        remark: &mut (dyn FnMut(Remark) + Send),
    ) -> Result<(), ListError> {
        let line = |(index, address, label): (u64, String, Option<String>)| Line {
            number: index + 1,
            address,
            index: Some(index),
            label,
            error: None,
        };
        let lines = rows.into_iter().map(line).collect();
        self.take(Path::new(set), lines, remark).await
    }

    /// Ends reading. `remark` hears of each address that stood in the list before.
    ///
    /// # Errors
    ///
    /// The temporary file could not be written.
    pub fn finish(self, remark: &mut (dyn FnMut(Remark) + Send)) -> Result<AddressList, ListError> {
        let spool = self
            .out
            .into_inner()
            .map_err(|error| ListError::Spool(error.into_error()))?;
        let passed = self.marks.doubled().map_err(ListError::Spool)?;
        let doubled = passed.count;
        let mut list = AddressList {
            spool,
            passed,
            valid: self.valid - doubled,
            invalid: self.invalid,
            doubled,
            digest: hex::encode(self.digest.finalize()),
        };
        if doubled > 0 {
            let digest = list.without_doubled(&self.files, remark);
            list.digest = digest.map_err(ListError::Spool)?;
        }
        Ok(list)
    }

    async fn take(
        &mut self,
        path: &Path,
        mut chunk: Vec<Line>,
        remark: &mut (dyn FnMut(Remark) + Send),
    ) -> Result<(), ListError> {
        // Before any plugin sees them.
        chunk.iter_mut().for_each(Line::hide_private);
        let mut told = |line: u64, message: String| {
            remark(Remark {
                file: path.to_owned(),
                line,
                message,
            });
        };
        if self.files.last().is_none_or(|(_, file)| file != path) {
            self.files
                .push((self.valid + self.invalid, path.to_owned()));
        }
        let verdicts = self.judge(&chunk).await?;
        for (line, verdict) in chunk.into_iter().zip(verdicts) {
            let canonical = match verdict {
                Ok(canonical) => canonical,
                Err(error) => {
                    self.invalid += 1;
                    let (line, error) = match may_be_private(&line.address) {
                        true => (Line::hidden(line.number), WARNING.to_owned()),
                        false => (line, error),
                    };
                    told(
                        line.number,
                        match error.as_str() {
                            WARNING => format!("the line {WARNING}"),
                            error => format!("`{}` is no address: {error}", line.address),
                        },
                    );
                    self.keep(&Entry {
                        address: line.address,
                        canonical: None,
                        index: None,
                        label: line.label,
                        line: line.number,
                        error: Some(error),
                    })?;
                    continue;
                }
            };
            self.marks
                .add(&canonical, self.valid + self.invalid)
                .map_err(ListError::Spool)?;
            self.digest.update(canonical.as_bytes());
            self.digest.update(b"\n");
            self.valid += 1;
            self.keep(&Entry {
                address: line.address,
                canonical: Some(canonical),
                index: line.index,
                label: line.label,
                line: line.number,
                error: None,
            })?;
        }
        Ok(())
    }

    /// A judge that fails is not asked again; the next one is.
    async fn judge(&mut self, chunk: &[Line]) -> Result<Vec<Result<String, String>>, ListError> {
        let whole = |line: &Line| match &line.error {
            Some(error) => Err(error.clone()),
            None => Ok(line.address.clone()),
        };
        while let Some(judge) = self.judges.first() {
            let addresses = chunk.iter().map(|line| line.address.clone()).collect();
            let error = match judge.validate_addresses(addresses).await {
                Ok(verdicts) => {
                    let verdicts = chunk.iter().zip(verdicts);
                    return Ok(verdicts
                        .map(|(line, verdict)| whole(line).and(verdict))
                        .collect());
                }
                Err(error) => error,
            };
            self.judges.remove(0);
            if self.judges.is_empty() {
                if self.strict {
                    return Err(ListError::Plugin(error));
                }
                tracing::error!(
                    "no plugin can check addresses, they are taken as they stand: {error}"
                );
            } else {
                tracing::warn!("a plugin cannot check addresses, the next one does: {error}");
            }
        }
        // What nobody judges is sent as it stands, but for what nobody may see.
        let as_it_stands = |line: &Line| match may_be_private(&line.address) {
            true => Err(WARNING.to_owned()),
            false => whole(line),
        };
        Ok(chunk.iter().map(as_it_stands).collect())
    }

    fn keep(&mut self, entry: &Entry) -> Result<(), ListError> {
        let spool = |error: io::Error| ListError::Spool(error);
        serde_json::to_writer(&mut self.out, entry).map_err(|error| spool(error.into()))?;
        self.out.write_all(b"\n").map_err(spool)
    }
}

impl std::fmt::Debug for ListReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListReader")
            .field("valid", &self.valid)
            .finish_non_exhaustive()
    }
}

impl AddressList {
    /// The entries from the start.
    ///
    /// # Errors
    ///
    /// The temporary file is gone.
    pub fn entries(&self) -> io::Result<Entries> {
        let mut file = self.spool.reopen()?;
        file.rewind()?;
        Ok(Entries {
            lines: BufReader::new(file),
            buffer: String::new(),
            passed: self.passed.follow()?,
            place: 0,
            valid: 0,
        })
    }

    /// Tells the addresses that stood before; the hash of the others in their order.
    fn without_doubled(
        &self,
        files: &[(u64, PathBuf)],
        remark: &mut (dyn FnMut(Remark) + Send),
    ) -> io::Result<String> {
        let mut digest = Sha256::new();
        let mut entries = self.entries()?;
        while let Some((place, entry)) = entries.read()? {
            if entries.passed.meets(place)? {
                let before = files.partition_point(|(start, _)| *start <= place);
                let file = before.checked_sub(1).map(|at| files[at].1.clone());
                remark(Remark {
                    file: file.unwrap_or_default(),
                    line: entry.line,
                    message: format!("`{}` stands in the list before", entry.address),
                });
            } else if let Some(canonical) = &entry.canonical {
                digest.update(canonical.as_bytes());
                digest.update(b"\n");
            }
        }
        Ok(hex::encode(digest.finalize()))
    }
}

/// The entries of a list, in order.
#[derive(Debug)]
pub struct Entries {
    lines: BufReader<std::fs::File>,
    buffer: String,
    /// Doubled addresses.
    passed: Follow,
    /// Of the next entry in the copy.
    place: u64,
    /// Valid addresses read so far.
    valid: u64,
}

impl Entries {
    /// The next `count` entries; fewer at the end, none after it.
    ///
    /// # Errors
    ///
    /// The temporary file cannot be read.
    pub fn next_chunk(&mut self, count: usize) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::with_capacity(count);
        while entries.len() < count {
            let Some((place, mut entry)) = self.read()? else {
                break;
            };
            if self.passed.meets(place)? {
                continue;
            }
            if entry.canonical.is_some() {
                entry.index = entry.index.or(Some(self.valid));
                self.valid += 1;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The next entry as it was kept, with its place, doubled or not.
    fn read(&mut self) -> io::Result<Option<(u64, Entry)>> {
        self.buffer.clear();
        if self.lines.read_line(&mut self.buffer)? == 0 {
            return Ok(None);
        }
        let place = self.place;
        self.place += 1;
        Ok(Some((place, serde_json::from_str(&self.buffer)?)))
    }
}

/// A line as it was read.
struct Line {
    number: u64,
    address: String,
    index: Option<u64>,
    label: Option<String>,
    /// Why it cannot be an address, whatever the chain.
    error: Option<String>,
}

impl Line {
    /// A line that held a private key, without anything of it.
    fn hidden(number: u64) -> Self {
        Self {
            number,
            address: HIDDEN.to_owned(),
            index: None,
            label: None,
            error: Some(WARNING.to_owned()),
        }
    }

    /// Forgets the line if there is a private key in it, whatever else.
    fn hide_private(&mut self) {
        let label = self.label.as_deref();
        if is_private(&self.address) || label.is_some_and(is_private) {
            *self = Self::hidden(self.number);
        }
    }
}

/// The lines of a file: CSV with a header, CSV without one, or one address per line.
///
/// Split by hand, since every remark names its line: a record never spans two.
struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    number: u64,
    columns: Option<Columns>,
}

#[derive(Clone, Copy)]
struct Columns {
    address: usize,
    index: Option<usize>,
    label: Option<usize>,
}

impl Lines {
    fn new(mut input: Box<dyn Read + Send>) -> io::Result<Self> {
        const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
        let mut start = Vec::new();
        input.by_ref().take(3).read_to_end(&mut start)?;
        if start == BOM {
            start.clear();
        }
        let input: Box<dyn Read + Send> = Box::new(io::Cursor::new(start).chain(input));
        Ok(Self {
            input: BufReader::new(input),
            number: 0,
            columns: None,
        })
    }

    /// About `count` lines; fewer at the end, none after it.
    fn next_chunk(&mut self, count: usize) -> io::Result<Vec<Line>> {
        let mut lines = Vec::with_capacity(count);
        let mut bytes = Vec::new();
        while lines.len() < count {
            bytes.clear();
            let mut input = self.input.by_ref().take(LINE_MAX);
            if input.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            if bytes.len() as u64 == LINE_MAX && !bytes.ends_with(b"\n") {
                self.skip_line()?;
                self.number += 1;
                lines.push(too_long(self.number, &bytes));
                continue;
            }
            let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            // Old files end their lines with a carriage return alone.
            for text in text.split(|byte| *byte == b'\r') {
                self.number += 1;
                lines.extend(self.line(text.trim_ascii())?);
            }
        }
        Ok(lines)
    }

    /// Passes over the rest of a line.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let (used, done) = end.map_or((buffer.len(), buffer.is_empty()), |end| (end + 1, true));
            self.input.consume(used);
            if done {
                return Ok(());
            }
        }
    }

    /// What a line holds; `None` for blank lines, comments and the header.
    fn line(&mut self, text: &[u8]) -> io::Result<Option<Line>> {
        if text.is_empty() || text.starts_with(b"#") {
            return Ok(None);
        }
        if std::str::from_utf8(text).is_ok_and(is_private_line) {
            return Ok(Some(Line::hidden(self.number)));
        }
        let record = record_of(text)?;
        let columns = match self.columns {
            Some(columns) => columns,
            None => match Columns::of_header(&record) {
                Some(columns) => {
                    self.columns = Some(columns);
                    return Ok(None);
                }
                None => *self.columns.insert(Columns::without_header(&record)),
            },
        };
        Ok(Some(columns.line(self.number, &record)))
    }
}

/// A line that is no address because it is longer than any.
fn too_long(number: u64, bytes: &[u8]) -> Line {
    const SHOWN: usize = 40;
    Line {
        number,
        address: String::from_utf8_lossy(&bytes[..SHOWN]).into_owned() + "…",
        index: None,
        label: None,
        error: Some("the line is longer than 1 MiB".to_owned()),
    }
}

fn record_of(line: &[u8]) -> io::Result<csv::ByteRecord> {
    if !line.contains(&b'"') {
        // Making a reader costs more than all else about a line, and quotes are rare.
        let fields = line.split(|byte| *byte == b',');
        return Ok(fields.map(<[u8]>::trim_ascii).collect());
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .buffer_capacity(line.len().max(1))
        .from_reader(line);
    let mut record = csv::ByteRecord::new();
    reader
        .read_byte_record(&mut record)
        .map_err(io::Error::from)?;
    Ok(record)
}

impl Columns {
    fn of_header(record: &csv::ByteRecord) -> Option<Self> {
        let find = |name: &str| {
            record
                .iter()
                .position(|field| field.eq_ignore_ascii_case(name.as_bytes()))
        };
        let address = find("address")?;
        Some(Self {
            address,
            index: find("index"),
            label: find("label"),
        })
    }

    /// A list that forgot its header: the address first, then an index if it looks like one.
    fn without_header(record: &csv::ByteRecord) -> Self {
        let is_number = |field: &[u8]| !field.is_empty() && field.iter().all(u8::is_ascii_digit);
        match record.get(1) {
            Some(second) if is_number(second) => Self {
                address: 0,
                index: Some(1),
                label: Some(2),
            },
            _ => Self {
                address: 0,
                index: None,
                label: Some(1),
            },
        }
    }

    fn line(self, number: u64, record: &csv::ByteRecord) -> Line {
        let mut error = None;
        let mut text = |at: usize| {
            let field = record.get(at).unwrap_or_default();
            let text = String::from_utf8_lossy(field);
            if matches!(text, std::borrow::Cow::Owned(_)) {
                error = Some("the line is not UTF-8".to_owned());
            }
            text.into_owned()
        };
        let address = text(self.address);
        let index = self.index.map(&mut text).filter(|index| !index.is_empty());
        let label = self.label.map(&mut text).filter(|label| !label.is_empty());
        if address.is_empty() {
            error = Some("the line has no address".to_owned());
        }
        let index = index.and_then(|index| {
            let parsed = index.parse().ok();
            if parsed.is_none() {
                error = Some(format!("`{index}` is no index"));
            }
            parsed
        });
        Line {
            number,
            address,
            index,
            label,
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, address, index, label, malformed.
    type Told = (u64, String, Option<u64>, Option<String>, bool);

    fn lines(text: &[u8]) -> Vec<Told> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(text.to_vec()))).unwrap();
        let chunk = lines.next_chunk(100).unwrap();
        assert!(lines.next_chunk(100).unwrap().is_empty());
        let told = |line: Line| {
            (
                line.number,
                line.address,
                line.index,
                line.label,
                line.error.is_some(),
            )
        };
        chunk.into_iter().map(told).collect()
    }

    fn plain(number: u64, address: &str) -> Told {
        (number, address.into(), None, None, false)
    }

    #[test]
    fn lists_are_read_as_people_write_them() {
        assert_eq!(lines(b"a\nb\n"), [plain(1, "a"), plain(2, "b")]);
        assert_eq!(
            lines(b"\xef\xbb\xbfa\r\n\r\n  b  \r\n"),
            [plain(1, "a"), plain(3, "b")]
        );
        assert_eq!(lines(b"# mine\na"), [plain(2, "a")]);
        assert_eq!(
            lines(b"a\rb\r\rc"),
            [plain(1, "a"), plain(2, "b"), plain(4, "c")]
        );
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n\n"), []);
    }

    #[test]
    fn columns_are_found_by_their_header() {
        let cold = Some("cold".to_owned());
        let expected = [(2, "a".to_owned(), Some(7), cold.clone(), false)];
        assert_eq!(lines(b"Label, Index ,ADDRESS\ncold,7,a\n"), expected);
        assert_eq!(lines(b"\xef\xbb\xbfaddress\r\na\r\n"), [plain(2, "a")]);
        let missing = [(1, "a".to_owned(), Some(7), cold.clone(), false)];
        assert_eq!(lines(b"a,7,cold\n"), missing);
        assert_eq!(lines(b"a,cold\n"), [(1, "a".to_owned(), None, cold, false)]);
    }

    #[test]
    fn a_line_without_end_is_one_malformed_line() {
        let mut text = b"a\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 << 20));
        text.extend(b"\nb");
        let read = lines(&text);
        let told: Vec<_> = read.iter().map(|line| (line.0, line.4)).collect();
        assert_eq!(told, [(1, false), (2, true), (3, false)]);
    }

    #[test]
    fn malformed_lines_are_told_and_stop_nothing() {
        let read = lines(b"address,index\n,1\na,x\n\xff\xfe,2\nb,3\n");
        let bad: Vec<_> = read.iter().map(|line| (line.0, line.4)).collect();
        assert_eq!(bad, [(2, true), (3, true), (4, true), (5, false)]);
    }
}
