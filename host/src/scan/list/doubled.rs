//! Which addresses of a list stood in it before, found without holding the list.
//!
//! Every address leaves a mark, 128 bits of its SHA-256 with its place. Marks are sorted in runs of
//! fixed size, the runs lie in a temporary file and are merged at the end: equal marks are
//! neighbours then, and all but the first place of them is doubled. 128 bits are enough that no two
//! addresses of any list that a disk holds share a mark.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use sha2::{Digest, Sha256};

/// Pairs sorted in memory.
const RUN_PAIRS: usize = if cfg!(test) { 1 << 10 } else { 1 << 16 };
/// Pairs read ahead of each run.
const AHEAD_PAIRS: u64 = 256;
/// Bytes of a pair in the file: 16 for the key, 8 for the value.
const PAIR_BYTES: usize = 24;

/// A key, and what belongs to it.
type Pair = (u128, u64);

/// The marks of a list's addresses.
#[derive(Debug, Default)]
pub(super) struct Marks(Sorter);

/// Places in a list, in their order.
#[derive(Debug)]
pub(super) struct Places {
    file: tempfile::NamedTempFile,
    /// How many.
    pub(super) count: u64,
}

/// Reads [`Places`] beside the list itself.
#[derive(Debug)]
pub(super) struct Follow {
    places: BufReader<File>,
    /// Places not read yet.
    left: u64,
    next: Option<u64>,
}

/// Sorts more pairs than memory should hold.
#[derive(Debug, Default)]
struct Sorter {
    pairs: Vec<Pair>,
    /// Sorted runs, one behind the other.
    spilled: Option<BufWriter<File>>,
    /// Where each run ends, in pairs.
    ends: Vec<u64>,
}

/// All pairs of a [`Sorter`] in their order.
#[derive(Debug)]
struct Sorted {
    spilled: Option<File>,
    runs: Vec<Run>,
    /// The next pair of each run that has one.
    next: BinaryHeap<Reverse<(Pair, usize)>>,
}

/// What is left of one run.
#[derive(Debug)]
struct Run {
    /// Read from the file already.
    ahead: std::vec::IntoIter<Pair>,
    /// What is still in the file, in pairs.
    rest: Range<u64>,
}

// === impl Marks ===

impl Marks {
    pub(super) fn add(&mut self, canonical: &str, place: u64) -> io::Result<()> {
        let digest = Sha256::digest(canonical.as_bytes());
        let (mark, _) = digest.split_at(16);
        self.0.push((number_of(mark), place))
    }

    /// The places of all addresses that stood before them.
    pub(super) fn doubled(self) -> io::Result<Places> {
        let mut doubled = Sorter::default();
        let mut last = None;
        for pair in self.0.sorted()? {
            let (mark, place) = pair?;
            if last == Some(mark) {
                doubled.push((u128::from(place), place))?;
            }
            last = Some(mark);
        }
        Places::write(doubled)
    }
}

// === impl Places ===

impl Places {
    fn write(places: Sorter) -> io::Result<Self> {
        let mut out = BufWriter::new(tempfile::NamedTempFile::new()?);
        let mut count = 0;
        for pair in places.sorted()? {
            let (_, place) = pair?;
            out.write_all(&place.to_be_bytes())?;
            count += 1;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file, count })
    }

    pub(super) fn follow(&self) -> io::Result<Follow> {
        let mut follow = Follow {
            places: BufReader::new(self.file.reopen()?),
            left: self.count,
            next: None,
        };
        follow.advance()?;
        Ok(follow)
    }
}

// === impl Follow ===

impl Follow {
    /// Whether `place` is one of them; places are asked for in order.
    pub(super) fn meets(&mut self, place: u64) -> io::Result<bool> {
        if self.next != Some(place) {
            return Ok(false);
        }
        self.advance()?;
        Ok(true)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        if self.left > 0 {
            let mut bytes = [0; 8];
            self.places.read_exact(&mut bytes)?;
            self.next = Some(u64::from_be_bytes(bytes));
            self.left -= 1;
        }
        Ok(())
    }
}

// === impl Sorter ===

impl Sorter {
    fn push(&mut self, pair: Pair) -> io::Result<()> {
        self.pairs.push(pair);
        if self.pairs.len() < RUN_PAIRS {
            return Ok(());
        }
        self.spill()
    }

    fn spill(&mut self) -> io::Result<()> {
        self.pairs.sort_unstable();
        let out = match &mut self.spilled {
            Some(out) => out,
            none => none.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        for (key, value) in &self.pairs {
            out.write_all(&key.to_be_bytes())?;
            out.write_all(&value.to_be_bytes())?;
        }
        let start = self.ends.last().copied().unwrap_or(0);
        self.ends.push(start + self.pairs.len() as u64);
        self.pairs.clear();
        Ok(())
    }

    fn sorted(mut self) -> io::Result<Sorted> {
        self.pairs.sort_unstable();
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let mut runs: Vec<Run> = starts
            .zip(self.ends.iter().copied())
            .map(|(start, end)| Run {
                ahead: Vec::new().into_iter(),
                rest: start..end,
            })
            .collect();
        // The last run never left memory.
        runs.push(Run {
            ahead: self.pairs.into_iter(),
            rest: 0..0,
        });
        let spilled = self.spilled.map(BufWriter::into_inner).transpose();
        let mut sorted = Sorted {
            spilled: spilled.map_err(io::IntoInnerError::into_error)?,
            next: BinaryHeap::with_capacity(runs.len()),
            runs,
        };
        for run in 0..sorted.runs.len() {
            sorted.advance(run)?;
        }
        Ok(sorted)
    }
}

// === impl Sorted ===

impl Sorted {
    /// Puts the next pair of a run among the candidates.
    fn advance(&mut self, run: usize) -> io::Result<()> {
        let Run { ahead, rest } = &mut self.runs[run];
        if ahead.len() == 0
            && !rest.is_empty()
            && let Some(file) = &mut self.spilled
        {
            let end = rest.end.min(rest.start + AHEAD_PAIRS);
            *ahead = read_pairs(file, rest.start..end)?.into_iter();
            rest.start = end;
        }
        if let Some(pair) = ahead.next() {
            self.next.push(Reverse((pair, run)));
        }
        Ok(())
    }
}

impl Iterator for Sorted {
    type Item = io::Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((pair, run)) = self.next.pop()?;
        Some(self.advance(run).map(|()| pair))
    }
}

fn read_pairs(file: &mut File, places: Range<u64>) -> io::Result<Vec<Pair>> {
    file.seek(SeekFrom::Start(places.start * PAIR_BYTES as u64))?;
    let mut bytes = Vec::new();
    let wanted = (places.end - places.start) * PAIR_BYTES as u64;
    file.take(wanted).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != wanted {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let pairs = bytes.chunks_exact(PAIR_BYTES).map(|pair| {
        let (key, value) = pair.split_at(16);
        let value = value
            .iter()
            .fold(0, |it, byte| (it << 8) | u64::from(*byte));
        (number_of(key), value)
    });
    Ok(pairs.collect())
}

/// Big-endian, as the bytes sort.
fn number_of(bytes: &[u8]) -> u128 {
    let bytes = bytes.iter();
    bytes.fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every place whose address stood before, found the simple way and this one.
    #[track_caller]
    fn check(addresses: &[u64]) {
        let (mut marks, mut seen, mut expected) = (Marks::default(), HashSet::new(), Vec::new());
        for (place, address) in (0..).zip(addresses) {
            marks.add(&format!("a{address}"), place).unwrap();
            if !seen.insert(address) {
                expected.push(place);
            }
        }
        let places = marks.doubled().unwrap();
        let mut follow = places.follow().unwrap();
        let met: Vec<u64> = (0..addresses.len() as u64)
            .filter(|place| follow.meets(*place).unwrap())
            .collect();
        assert_eq!((places.count, met), (expected.len() as u64, expected));
    }

    #[test]
    fn doubled_addresses_are_found_wherever_they_stand() {
        check(&[]);
        check(&[1, 2, 3]);
        check(&[1, 2, 1, 1, 3, 2]);
        check(&[5; 10]);
    }

    #[test]
    fn doubled_addresses_are_found_across_runs() {
        let runs = 3 * RUN_PAIRS as u64 + 17;
        check(&(0..runs).map(|place| place % 2_003).collect::<Vec<_>>());
        let mut random = fastrand::Rng::with_seed(7);
        check(&(0..runs).map(|_| random.u64(..runs)).collect::<Vec<_>>());
        // A list that is one address from its first line to its last.
        check(&vec![1; 2 * RUN_PAIRS]);
        check(&(0..RUN_PAIRS as u64).collect::<Vec<_>>());
    }
}
