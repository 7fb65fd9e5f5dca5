//! What cells held before later blocks changed it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::Bound;

/// The older values of a ledger; what a cell holds now stands elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Past<K, V> {
    /// By cell: the heights of the blocks that changed it, and what it held before each.
    before: HashMap<K, BTreeMap<u64, V>>,
}

impl<K, V> Default for Past<K, V> {
    fn default() -> Self {
        Self {
            before: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash, V: Copy> Past<K, V> {
    /// Keeps what a cell held until the block at `height` changed it.
    ///
    /// # Panics
    ///
    /// When a later block changed the cell already: what it held between them is not known then.
    pub(crate) fn keep(&mut self, cell: K, height: u64, held: V) {
        let changes = self.before.entry(cell).or_default();
        let last = changes.last_key_value().map(|(height, _)| *height);
        assert!(last <= Some(height), "blocks change a cell in their order");
        changes.entry(height).or_insert(held);
    }

    /// What a cell held when the block at `height` was the newest; `None` is what it holds now.
    pub(crate) fn at(&self, cell: &K, height: u64) -> Option<V> {
        let changes = self.before.get(cell)?;
        let later = (Bound::Excluded(height), Bound::Unbounded);
        changes.range(later).next().map(|(_, held)| *held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_what_the_blocks_up_to_a_height_left_it() {
        let mut past = Past::default();
        past.keep("a", 10, 1);
        past.keep("a", 20, 2);
        // Twice in one block: before it, it held 2.
        past.keep("a", 20, 9);
        for (height, held) in [
            (0, Some(1)),
            (9, Some(1)),
            (10, Some(2)),
            (19, Some(2)),
            (20, None),
            (u64::MAX, None),
        ] {
            assert_eq!(past.at(&"a", height), held, "{height}");
        }
        assert_eq!(past.at(&"b", 0), None);
    }
}
