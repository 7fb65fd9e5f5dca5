//! The question that a provider is asked and the answer that it gives.

use scanhost_abi::types as abi;
use scanhost_abi::{RNone, ROption, RSome, RVec};

use crate::{Amount, Commitment, Error};

/// Which balances to read. Every address and asset stands once; cells are any pairs of them.
#[derive(Debug)]
pub struct Balances {
    inner: abi::BalancesRequest,
}

impl Balances {
    /// A request by hand, for tests: cells are (index of address, index of asset).
    #[must_use]
    pub fn new(
        addresses: &[&str],
        assets: &[Asset<'_>],
        cells: &[(u32, u16)],
        commitment: Commitment,
    ) -> Self {
        let asset = |asset: &Asset<'_>| abi::AssetRef {
            contract: asset
                .contract
                .map_or(RNone, |contract| RSome(contract.into())),
            decimals: asset.decimals,
            reserved: [0; 2],
        };
        Self {
            inner: abi::BalancesRequest {
                addresses: addresses.iter().map(|address| (*address).into()).collect(),
                assets: assets.iter().map(asset).collect(),
                cells: cells
                    .iter()
                    .map(|(address, asset)| abi::CellRef {
                        address: *address,
                        asset: *asset,
                    })
                    .collect(),
                commitment: commitment.to_abi(),
                min_height: 0,
                at_height: 0,
                reserved: [0; 3],
            },
        }
    }

    /// The same request with a lowest height, for tests.
    #[must_use]
    pub fn with_min_height(mut self, min_height: u64) -> Self {
        self.inner.min_height = min_height;
        self
    }

    /// The same request at one height, for tests.
    #[must_use]
    pub fn with_at_height(mut self, at_height: u64) -> Self {
        self.inner.at_height = at_height;
        self
    }

    /// Checks what crossed the boundary, so that no index below can be out of range.
    pub(crate) fn from_abi(inner: abi::BalancesRequest) -> Result<Self, Error> {
        let fits = |cell: &abi::CellRef| {
            (cell.address as usize) < inner.addresses.len()
                && usize::from(cell.asset) < inner.assets.len()
        };
        if !inner.cells.iter().all(fits) {
            return Err(Error::new(
                crate::ErrorKind::PluginFault,
                "the host asked for a cell outside its own request",
            ));
        }
        Ok(Self { inner })
    }

    /// The cells to answer, in order; at least one.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = Cell<'_>> + Clone {
        self.inner
            .cells
            .iter()
            .enumerate()
            .map(|(index, cell)| Cell {
                request: &self.inner,
                index: u32::try_from(index).expect("the host sends fewer cells"),
                cell: *cell,
            })
    }

    /// The distinct addresses, in canonical form.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.inner.addresses.iter().map(|address| address.as_str())
    }

    /// The distinct assets.
    pub fn assets(&self) -> impl ExactSizeIterator<Item = Asset<'_>> + Clone {
        self.inner.assets.iter().map(asset_of)
    }

    /// How settled amounts must be.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        Commitment::from_abi(self.inner.commitment)
    }

    /// Lowest height (slot) that the answer may come from; 0 is any. A provider behind it answers
    /// [`Lagging`](crate::ErrorKind::Lagging), and with
    /// [`Caps::min_height`](crate::Caps::min_height) also one that cannot tell.
    #[must_use]
    pub fn min_height(&self) -> u64 {
        self.inner.min_height
    }

    /// The one height that every amount must be of; `None` is the newest that
    /// [`commitment`](Self::commitment) allows. Given only to a provider with
    /// [`Caps::pinned`](crate::Caps::pinned).
    ///
    /// A provider that has not come so far answers [`Lagging`](crate::ErrorKind::Lagging); one
    /// that has thrown the state away answers [`Unsupported`](crate::ErrorKind::Unsupported) and
    /// names the height. Neither is held against it.
    #[must_use]
    pub fn at_height(&self) -> Option<u64> {
        (self.inner.at_height != 0).then_some(self.inner.at_height)
    }
}

/// One (address, asset) of a request.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    request: &'a abi::BalancesRequest,
    index: u32,
    cell: abi::CellRef,
}

impl<'a> Cell<'a> {
    /// The address in canonical form.
    #[must_use]
    pub fn address(&self) -> &'a str {
        &self.request.addresses[self.cell.address as usize]
    }

    /// Index of the address within [`Balances::addresses`].
    #[must_use]
    pub fn address_index(&self) -> usize {
        self.cell.address as usize
    }

    /// The asset.
    #[must_use]
    pub fn asset(&self) -> Asset<'a> {
        asset_of(&self.request.assets[usize::from(self.cell.asset)])
    }

    /// Index of the asset within [`Balances::assets`].
    #[must_use]
    pub fn asset_index(&self) -> usize {
        usize::from(self.cell.asset)
    }
}

/// The native coin or a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asset<'a> {
    /// The token's contract or mint as configured; `None` is the native coin.
    pub contract: Option<&'a str>,
    /// The decimals that the configuration gives. For a token the provider compares them with the
    /// chain's, once per contract; other decimals are
    /// [`DecimalsMismatch`](crate::ErrorKind::DecimalsMismatch).
    pub decimals: u8,
}

fn asset_of(asset: &abi::AssetRef) -> Asset<'_> {
    let contract = match &asset.contract {
        ROption::RSome(contract) => Some(contract.as_str()),
        ROption::RNone => None,
    };
    Asset {
        contract,
        decimals: asset.decimals,
    }
}

/// Where the chain stood when amounts were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Block height, on Solana the slot; `None` where the provider does not tell.
    pub height: Option<u64>,
    /// Hash of that block, in the byte order that the chain prints.
    pub block_hash: Option<[u8; 32]>,
}

/// The answer to [`Balances`]: readings by cell, in any order.
#[derive(Debug)]
pub struct Readings {
    readings: RVec<abi::Reading>,
    mark: Mark,
    used: Option<bool>,
}

impl Readings {
    /// No reading yet.
    #[must_use]
    pub fn new(request: &Balances) -> Self {
        Self {
            readings: RVec::with_capacity(request.inner.cells.len()),
            mark: Mark::default(),
            used: None,
        }
    }

    /// The mark of the amounts that follow.
    pub fn at(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// Whether there is a transaction with the addresses of the amounts that follow; `None`, as at
    /// the beginning, where the provider does not tell. An address that was used and is empty now
    /// keeps the search for further addresses of its key going.
    pub fn used(&mut self, used: Option<bool>) {
        self.used = used;
    }

    /// The provider answered: `amount` in the smallest unit.
    pub fn known(&mut self, cell: Cell<'_>, amount: Amount) {
        self.push_known(cell, amount, None);
    }

    /// The provider answered, and `pending` more (or less) is not confirmed yet.
    pub fn known_with_pending(&mut self, cell: Cell<'_>, amount: Amount, pending: i128) {
        self.push_known(cell, amount, Some(pending));
    }

    /// Not answered, or not understood.
    pub fn unknown(&mut self, cell: Cell<'_>, error: &Error) {
        self.push_error(cell, abi::ReadingKind::UNKNOWN, error);
    }

    /// Not answerable by anyone.
    pub fn invalid(&mut self, cell: Cell<'_>, error: &Error) {
        self.push_error(cell, abi::ReadingKind::INVALID, error);
    }

    /// [`known`](Self::known) or [`unknown`](Self::unknown), by the result.
    pub fn settle(&mut self, cell: Cell<'_>, amount: Result<Amount, Error>) {
        match amount {
            Ok(amount) => self.known(cell, amount),
            Err(error) => self.unknown(cell, &error),
        }
    }

    pub(crate) fn into_abi(self) -> RVec<abi::Reading> {
        self.readings
    }

    fn push_known(&mut self, cell: Cell<'_>, amount: Amount, pending: Option<i128>) {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        self.readings.push(abi::Reading {
            kind: abi::ReadingKind::KNOWN,
            flags: flag(self.mark.height.is_some(), abi::READING_HAS_HEIGHT)
                | flag(self.mark.block_hash.is_some(), abi::READING_HAS_BLOCK_HASH)
                | flag(pending.is_some(), abi::READING_HAS_PENDING)
                | flag(self.used.is_some(), abi::READING_TELLS_USE)
                | flag(self.used == Some(true), abi::READING_USED),
            amount: amount.0,
            height: self.mark.height.unwrap_or(0),
            block_hash: self.mark.block_hash.unwrap_or([0; 32]),
            pending: pending.unwrap_or(0).to_be_bytes(),
            ..blank(cell)
        });
    }

    fn push_error(&mut self, cell: Cell<'_>, kind: abi::ReadingKind, error: &Error) {
        let error = RSome(scanhost_abi::abi_stable::std_types::RBox::new(
            error.to_abi(),
        ));
        self.readings.push(abi::Reading {
            kind,
            error,
            ..blank(cell)
        });
    }
}

fn blank(cell: Cell<'_>) -> abi::Reading {
    abi::Reading {
        cell: cell.index,
        kind: abi::ReadingKind::UNKNOWN,
        flags: 0,
        amount: [0; 32],
        height: 0,
        block_hash: [0; 32],
        pending: [0; 16],
        error: RNone,
        reserved: [0; 2],
    }
}
