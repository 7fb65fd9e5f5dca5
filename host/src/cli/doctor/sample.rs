//! An address to ask for: the first of the chain's lists, else a well-known one.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use super::super::context::say;
use super::super::init::SAMPLES;
use crate::config::Chain;
use crate::plugin::Backend;
use crate::scan::list::ListReader;

/// Lines of a list that are looked at, so that a long list costs no time.
const LINES_MAX: usize = 50;
/// Bytes of a list that are looked at.
const BYTES_MAX: u64 = 64 * 1024;

/// The canonical form of an address that `judge` knows for one of the chain's network.
pub(super) async fn address(chain: &Chain, judge: &dyn Backend) -> Option<String> {
    let name = &chain.name;
    for file in chain.addresses.iter().filter_map(|set| set.file.as_deref()) {
        match start_of(file) {
            Ok(text) => {
                if let Some(address) = first_valid(&text, judge).await {
                    return Some(address);
                }
            }
            Err(error) => say(&format!(
                "warning: {name}: failed to read the address list `{}`: {error}",
                file.display()
            )),
        }
    }
    for (_, text) in SAMPLES {
        if let Some(address) = first_valid(text.as_bytes(), judge).await {
            return Some(address);
        }
    }
    None
}

fn start_of(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut lines = BufReader::new(File::open(file)?.take(BYTES_MAX));
    let mut text = Vec::new();
    for _ in 0..LINES_MAX {
        if lines.read_until(b'\n', &mut text)? == 0 {
            break;
        }
    }
    Ok(text)
}

/// Read by the rules of every list; what is wrong with it is `scan`'s to tell.
async fn first_valid(text: &[u8], judge: &dyn Backend) -> Option<String> {
    let mut file = tempfile::NamedTempFile::new().ok()?;
    file.write_all(text).ok()?;
    let mut reader = ListReader::new(vec![judge]).ok()?.strict();
    reader.read(file.path(), &mut |_| {}).await.ok()?;
    let mut entries = reader.finish(&mut |_| ()).ok()?.entries().ok()?;
    let entries = entries.next_chunk(LINES_MAX).ok()?;
    entries.into_iter().find_map(|entry| entry.canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_start_of_a_list_is_read() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for line in 0..1_000 {
            writeln!(file, "a{line}").unwrap();
        }
        let text = start_of(file.path()).unwrap();
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 50);
        assert!(start_of(Path::new("/nowhere/list.csv")).is_err());
    }
}
