//! The valid entries of a judged list, as rows of a set in the store.

use std::collections::HashSet;
use std::io;

use super::{AddressList, Entries, Entry};
use crate::ledger::{AddressRow, ListError as BrokenList};

/// Entries read at once.
const CHUNK: usize = 1_000;

/// Reads the rows one by one, so that the list need not fit into memory.
#[derive(Debug)]
pub struct StoredRows {
    entries: Entries,
    chunk: std::vec::IntoIter<Entry>,
    indices: HashSet<u64>,
}

// === impl StoredRows ===

impl StoredRows {
    /// The rows of a list.
    ///
    /// # Errors
    ///
    /// The list's copy is gone.
    pub fn new(list: &AddressList) -> io::Result<Self> {
        Ok(Self {
            entries: list.entries()?,
            chunk: Vec::new().into_iter(),
            indices: HashSet::new(),
        })
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, BrokenList> {
        if let Some(entry) = self.chunk.next() {
            return Ok(Some(entry));
        }
        self.chunk = self.entries.next_chunk(CHUNK)?.into_iter();
        Ok(self.chunk.next())
    }

    /// `None` for an entry that is no address.
    fn row(&mut self, entry: Entry) -> Result<Option<AddressRow>, BrokenList> {
        let (Some(canonical), Some(index)) = (entry.canonical, entry.index) else {
            return Ok(None);
        };
        if !self.indices.insert(index) {
            let line = entry.line;
            let message = format!("line {line}: index {index} stands in the list before");
            return Err(message.into());
        }
        Ok(Some(AddressRow {
            index,
            address: entry.address,
            canonical,
            label: entry.label,
        }))
    }
}

impl Iterator for StoredRows {
    type Item = Result<AddressRow, BrokenList>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = match self.next_entry() {
                Ok(Some(entry)) => self.row(entry),
                Ok(None) => return None,
                Err(error) => Err(error),
            };
            if let Some(row) = row.transpose() {
                return Some(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ListReader;
    use super::*;

    async fn rows(text: &str) -> Vec<Result<AddressRow, String>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list.csv");
        std::fs::write(&file, text).unwrap();
        let mut reader = ListReader::new(Vec::new()).unwrap();
        reader.read(&file, &mut |_| {}).await.unwrap();
        let list = reader.finish(&mut |_| {}).unwrap();
        let rows = StoredRows::new(&list).unwrap();
        rows.map(|row| row.map_err(|error| error.to_string()))
            .collect()
    }

    #[tokio::test]
    async fn lines_that_are_no_address_are_left_out() {
        let rows = rows("address,index,label\na,,\n,,\nb,7,cold\n").await;
        let told: Vec<_> = rows
            .into_iter()
            .map(|row| row.unwrap())
            .map(|row| (row.index, row.address, row.label))
            .collect();
        let expected = [
            (0, "a".to_owned(), None),
            (7, "b".to_owned(), Some("cold".to_owned())),
        ];
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn an_index_that_stands_twice_is_told_with_its_line() {
        let rows = rows("address,index\na,3\nb,3\n").await;
        assert!(rows[0].is_ok());
        let error = "line 3: index 3 stands in the list before";
        assert_eq!(rows[1], Err(error.to_owned()));
    }
}
