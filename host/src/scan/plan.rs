//! From addresses to the cells that a pass still has to know.

use std::sync::Arc;

use super::ScanError;
use super::list::{AddressList, Entries};
use super::order::Order;
use super::pass::SettledCells;
use super::queue::Item;
use crate::ledger::{Ledger, Pass};
use crate::model::{Asset, ChainName};

/// Addresses planned at once.
pub(super) const PLAN_CHUNK: usize = 500;

/// The cells of a pass, streamed from its list.
#[derive(Debug)]
pub struct Plan<'a> {
    list: &'a AddressList,
    entries: Entries,
    /// The list is streamed once more, for cells that did not fit into memory.
    again: bool,
    assets: &'a [Asset],
    chain: &'a ChainName,
    pass: &'a Pass,
    ledger: &'a Ledger,
    order: Order,
    /// What this process knows to be settled, beside what the ledger tells.
    settled: Option<&'a SettledCells>,
}

impl<'a> Plan<'a> {
    /// The plan of `pass`: every address of `list` with every asset.
    ///
    /// # Errors
    ///
    /// The list's copy is gone.
    pub fn new(
        list: &'a AddressList,
        assets: &'a [Asset],
        chain: &'a ChainName,
        pass: &'a Pass,
        ledger: &'a Ledger,
    ) -> Result<Self, ScanError> {
        let entries = list.entries().map_err(ScanError::List)?;
        Ok(Self {
            list,
            entries,
            again: false,
            assets,
            chain,
            pass,
            ledger,
            order: Order::default(),
            settled: None,
        })
    }

    /// Takes the addresses in this order.
    #[must_use]
    pub fn ordered(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Leaves these cells out as well.
    #[must_use]
    pub fn without(mut self, settled: Option<&'a SettledCells>) -> Self {
        self.settled = settled;
        self
    }

    /// Begins anew, with what is not settled by then.
    ///
    /// # Errors
    ///
    /// The list's copy is gone.
    pub(super) fn restart(&mut self) -> Result<(), ScanError> {
        self.entries = self.list.entries().map_err(ScanError::List)?;
        self.again = true;
        Ok(())
    }

    /// The next cells; `None` after the last. A continued pass leaves out what it settled before.
    ///
    /// # Errors
    ///
    /// The list or the ledger cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Item>>, ScanError> {
        let addresses = loop {
            let entries = self
                .entries
                .next_chunk(PLAN_CHUNK)
                .map_err(ScanError::List)?;
            if entries.is_empty() {
                if self.again || !self.order.next_turn() {
                    return Ok(None);
                }
                self.entries = self.list.entries().map_err(ScanError::List)?;
                continue;
            }
            let addresses = entries.into_iter().filter_map(|entry| entry.canonical);
            let addresses: Vec<Arc<str>> = addresses.map(Arc::from).collect();
            // The second time the order makes no difference: what is left was asked for already.
            if self.again {
                break addresses;
            }
            let chosen = self
                .order
                .choose(addresses, self.chain, self.assets, self.ledger);
            let chosen = chosen.await?;
            if !chosen.is_empty() {
                break chosen;
            }
        };
        let mut done = if self.pass.resumed || self.again {
            let addresses: Vec<&str> = addresses.iter().map(|address| &**address).collect();
            self.ledger
                .cells_done(&self.pass.id, self.chain, &addresses)
                .await?
        } else {
            std::collections::HashSet::new()
        };
        if let Some(settled) = self.settled {
            settled.add_to(&mut done);
        }
        let mut items = Vec::with_capacity(addresses.len() * self.assets.len());
        for address in &addresses {
            for (index, asset) in self.assets.iter().enumerate() {
                if !done.is_empty() && done.contains(&crate::ledger::CellName::new(address, asset))
                {
                    continue;
                }
                let asset = u16::try_from(index).expect("a chain has fewer assets");
                items.push(Item {
                    address: address.clone(),
                    asset,
                    suspect: 0,
                    counted: self.again,
                    errors: Vec::new(),
                });
            }
        }
        Ok(Some(items))
    }
}
