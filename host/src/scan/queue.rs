//! Cells that wait for a provider, and chunks cut from them.
//!
//! Cells lie in lanes by who was asked already, so that what a provider may take is found without
//! looking at single cells. Within a lane the order of the list is kept: the cells of one address
//! lie side by side and travel together where a provider can answer them together.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::model::{Asset, Commitment, ProviderError};
use crate::plugin::backend::BalancesRequest;

/// A cell on its way.
#[derive(Clone, Debug)]
pub struct Item {
    /// Canonical address.
    pub address: Arc<str>,
    /// Index into the pass's assets.
    pub asset: u16,
    /// How often a chunk with this cell failed in both its halves; each time halves the next one,
    /// so that two bad cells in one chunk come apart.
    pub suspect: u8,
    /// It is counted as asked already.
    pub counted: bool,
    /// What providers said instead of an amount, in the order they were asked.
    pub errors: Vec<ProviderError>,
}

/// Which providers of the pool were asked for a cell in this round: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked(pub u64);

impl Asked {
    /// Whether the provider at `index` was.
    #[must_use]
    pub fn contains(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    /// With the provider at `index`.
    #[must_use]
    pub fn with(self, index: usize) -> Self {
        Self(self.0 | (1 << index))
    }
}

/// Cells with one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// Who was asked.
    pub asked: Asked,
    /// Native cells, token cells, or both where every provider of the pool reads both.
    pub kind: LaneKind,
}

/// What lies in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LaneKind {
    /// Whatever the list has.
    Any,
    /// The native coin.
    Native,
    /// Tokens.
    Token,
}

/// Cells with who was asked for each.
pub type Items = Vec<(Item, Asked)>;

/// Limits of one call.
#[derive(Clone, Copy, Debug)]
pub struct ChunkLimits {
    /// Most cells.
    pub cells: usize,
    /// Most distinct addresses.
    pub addresses: usize,
    /// Most distinct assets.
    pub assets: usize,
}

/// The queue of a pass.
#[derive(Debug)]
pub struct Queue {
    lanes: BTreeMap<Lane, VecDeque<Item>>,
    native: Vec<bool>,
    by_kind: bool,
    len: usize,
}

/// Cells that travel in one call, each with who was asked before.
#[derive(Debug)]
pub struct Chunk {
    /// The cells.
    pub items: Items,
}

impl Queue {
    /// An empty queue for these assets; `by_kind` where some provider reads only one kind.
    #[must_use]
    pub fn new(assets: &[Asset], by_kind: bool) -> Self {
        let native = assets.iter().map(Asset::is_native).collect();
        Self {
            lanes: BTreeMap::new(),
            native,
            by_kind,
            len: 0,
        }
    }

    /// Cells waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether native coins and tokens lie in lanes of their own.
    #[must_use]
    pub fn is_by_kind(&self) -> bool {
        self.by_kind
    }

    /// Cells waiting where native coins, or tokens, lie.
    #[must_use]
    pub fn waiting(&self, native: bool) -> usize {
        let own = if native {
            LaneKind::Native
        } else {
            LaneKind::Token
        };
        let lanes = self.lanes.iter();
        let lanes = lanes.filter(|(lane, _)| lane.kind == own || lane.kind == LaneKind::Any);
        lanes.map(|(_, waiting)| waiting.len()).sum()
    }

    /// The lanes that hold cells.
    pub fn lanes(&self) -> impl Iterator<Item = Lane> + '_ {
        self.lanes.keys().copied()
    }

    /// Puts a cell at the end of its lane.
    pub fn push(&mut self, item: Item, asked: Asked) {
        let kind = match (self.by_kind, self.native[usize::from(item.asset)]) {
            (false, _) => LaneKind::Any,
            (true, true) => LaneKind::Native,
            (true, false) => LaneKind::Token,
        };
        self.lanes
            .entry(Lane { asked, kind })
            .or_default()
            .push_back(item);
        self.len += 1;
    }

    /// Cuts the largest chunk that fits from the given lanes, in their order.
    pub fn pull(&mut self, lanes: &[Lane], limits: ChunkLimits) -> Chunk {
        let mut cut = Cut::new(limits);
        for lane in lanes {
            let Some(waiting) = self.lanes.get_mut(lane) else {
                continue;
            };
            cut.take_from(waiting, lane.asked, &self.native);
            if waiting.is_empty() {
                self.lanes.remove(lane);
            }
        }
        self.len -= cut.items.len();
        Chunk { items: cut.items }
    }

    /// Whether a lane holds native coins, or tokens.
    #[must_use]
    pub fn holds(&self, lane: Lane, native: bool) -> bool {
        let is_such = |item: &Item| self.native[usize::from(item.asset)] == native;
        let waiting = self.lanes.get(&lane);
        waiting.is_some_and(|waiting| waiting.iter().any(is_such))
    }

    /// Takes the native coin, or the token, of a lane that waits longest.
    pub fn pop(&mut self, lane: Lane, native: bool) -> Option<(Item, Asked)> {
        let waiting = self.lanes.get_mut(&lane)?;
        let is_such = |item: &Item| self.native[usize::from(item.asset)] == native;
        let item = waiting.remove(waiting.iter().position(is_such)?)?;
        if waiting.is_empty() {
            self.lanes.remove(&lane);
        }
        self.len -= 1;
        Some((item, lane.asked))
    }

    /// Takes everything out.
    pub fn drain(&mut self) -> Vec<Item> {
        self.len = 0;
        std::mem::take(&mut self.lanes)
            .into_values()
            .flatten()
            .collect()
    }
}

/// A chunk while it is being filled.
struct Cut {
    limits: ChunkLimits,
    items: Vec<(Item, Asked)>,
    addresses: HashMap<Arc<str>, ()>,
    assets: Vec<u16>,
    /// The highest of the cells' `suspect`.
    suspect: u8,
}

impl Cut {
    fn new(limits: ChunkLimits) -> Self {
        Self {
            limits,
            items: Vec::new(),
            addresses: HashMap::new(),
            assets: Vec::new(),
            suspect: 0,
        }
    }

    fn take_from(&mut self, waiting: &mut VecDeque<Item>, asked: Asked, native: &[bool]) {
        let mut passed = VecDeque::new();
        while let Some(item) = waiting.pop_front() {
            if self.items.len() >= self.cells_max(&item) {
                passed.push_back(item);
                break;
            }
            if self.is_among_its_like(&item, native) && self.fits(&item) {
                self.suspect = self.suspect.max(item.suspect);
                self.items.push((item, asked));
            } else if self.is_full_of_addresses() && self.limits.assets > 1 {
                // What follows in the list has further addresses only.
                passed.push_back(item);
                break;
            } else {
                passed.push_back(item);
            }
        }
        while let Some(item) = passed.pop_back() {
            waiting.push_front(item);
        }
    }

    fn fits(&mut self, item: &Item) -> bool {
        let last = self.items.last().map(|(last, _)| &last.address);
        let same = last.is_some_and(|last| Arc::ptr_eq(last, &item.address));
        let known_address = same || self.addresses.contains_key(&item.address);
        let known_asset = self.assets.contains(&item.asset);
        if (!known_address && self.is_full_of_addresses())
            || (!known_asset && self.assets.len() >= self.limits.assets)
        {
            return false;
        }
        if !known_address {
            self.addresses.insert(item.address.clone(), ());
        }
        if !known_asset {
            self.assets.push(item.asset);
        }
        true
    }

    /// Suspects travel with native coins or with tokens only, so that these do not stop each other.
    fn is_among_its_like(&self, item: &Item, native: &[bool]) -> bool {
        let kind = |item: &Item| native[usize::from(item.asset)];
        let first = self.items.first().map(|(first, _)| kind(first));
        let suspicious = self.suspect > 0 || item.suspect > 0;
        !suspicious || first.is_none_or(|first| first == kind(item))
    }

    /// Most cells of a chunk that `item` travels in.
    fn cells_max(&self, item: &Item) -> usize {
        let halvings = u32::from(self.suspect.max(item.suspect));
        self.limits.cells.checked_shr(halvings).unwrap_or(0).max(1)
    }

    fn is_full_of_addresses(&self) -> bool {
        self.addresses.len() >= self.limits.addresses
    }
}

/// The request for some cells: every address and asset once.
#[must_use]
pub fn request_for(
    items: &[(Item, Asked)],
    assets: &[Asset],
    commitment: Commitment,
) -> BalancesRequest {
    let mut request = BalancesRequest {
        addresses: Vec::new(),
        assets: Vec::new(),
        cells: Vec::with_capacity(items.len()),
        commitment,
        min_height: 0,
        at_height: None,
    };
    let mut addresses: HashMap<&str, u32> = HashMap::with_capacity(items.len());
    let mut places: Vec<Option<u16>> = vec![None; assets.len()];
    let mut last: Option<(&Arc<str>, u32)> = None;
    for (item, _) in items {
        let address = match last {
            // The cells of an address lie side by side.
            Some((address, place)) if Arc::ptr_eq(address, &item.address) => place,
            _ => *addresses.entry(&item.address).or_insert_with(|| {
                request.addresses.push(item.address.clone());
                u32::try_from(request.addresses.len() - 1).expect("a call has fewer addresses")
            }),
        };
        last = Some((&item.address, address));
        let asset = *places[usize::from(item.asset)].get_or_insert_with(|| {
            request.assets.push(assets[usize::from(item.asset)].clone());
            u16::try_from(request.assets.len() - 1).expect("assets are numbered by u16")
        });
        request.cells.push((address, asset));
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Symbol;

    fn assets(tokens: usize) -> Vec<Asset> {
        (0..=tokens)
            .map(|index| Asset {
                symbol: Symbol::from(format!("A{index}")),
                contract: (index > 0).then(|| format!("c{index}").into()),
                decimals: 18,
            })
            .collect()
    }

    fn queue(addresses: usize, tokens: usize, by_kind: bool) -> Queue {
        let assets = assets(tokens);
        let mut queue = Queue::new(&assets, by_kind);
        for address in 0..addresses {
            let address: Arc<str> = format!("a{address}").into();
            for asset in 0..assets.len() {
                let asset = u16::try_from(asset).unwrap();
                queue.push(
                    Item {
                        address: address.clone(),
                        asset,
                        suspect: 0,
                        counted: false,
                        errors: Vec::new(),
                    },
                    Asked::default(),
                );
            }
        }
        queue
    }

    /// Sizes of the chunks that empty the queue.
    fn cut(mut queue: Queue, limits: ChunkLimits) -> Vec<usize> {
        let mut sizes = Vec::new();
        while !queue.is_empty() {
            let lanes: Vec<_> = queue.lanes().collect();
            let chunk = queue.pull(&lanes, limits);
            let request = request_for(&chunk.items, &assets(9), Commitment::Latest);
            assert!(request.addresses.len() <= limits.addresses);
            assert!(request.assets.len() <= limits.assets);
            sizes.push(chunk.items.len());
        }
        sizes
    }

    #[test]
    fn chunks_are_full() {
        let limits = ChunkLimits {
            cells: 100,
            addresses: 100,
            assets: 100,
        };
        assert_eq!(cut(queue(100, 2, false), limits), [100, 100, 100]);
        assert_eq!(cut(queue(101, 0, false), limits), [100, 1]);
    }

    #[test]
    fn one_asset_in_a_call_still_fills_calls() {
        let limits = ChunkLimits {
            cells: 20,
            addresses: 20,
            assets: 1,
        };
        assert_eq!(cut(queue(40, 2, true), limits), [20; 6]);
        assert_eq!(cut(queue(40, 2, false), limits), [20; 6]);
    }

    #[test]
    fn few_addresses_in_a_call_keep_their_assets_together() {
        let limits = ChunkLimits {
            cells: 100,
            addresses: 10,
            assets: 100,
        };
        assert_eq!(cut(queue(25, 2, false), limits), [30, 30, 15]);
    }

    #[test]
    fn a_suspect_travels_in_a_smaller_chunk() {
        let limits = ChunkLimits {
            cells: 8,
            addresses: 8,
            assets: 1,
        };
        let mut queue = queue(16, 0, false);
        let lanes: Vec<_> = queue.lanes().collect();
        let mut chunk = queue.pull(&lanes, limits);
        for (mut item, asked) in chunk.items.drain(..) {
            item.suspect = 2;
            queue.push(item, asked);
        }
        assert_eq!(cut(queue, limits), [8, 2, 2, 2, 2]);
    }

    #[test]
    fn the_cells_of_an_address_travel_together() {
        let mut queue = queue(2, 2, false);
        let lanes: Vec<_> = queue.lanes().collect();
        let limits = ChunkLimits {
            cells: 3,
            addresses: 9,
            assets: 9,
        };
        let chunk = queue.pull(&lanes, limits);
        assert!(chunk.items.iter().all(|(item, _)| &*item.address == "a0"));
        assert_eq!(queue.len(), 3);
    }
}
