//! What the store tells for a scrape.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ledger::{
    AlertRow, BalanceExtent, Ledger, LedgerError, PassFilter, PassKind, PassRow, PassStatus,
    WebhookRow,
};
use crate::model::ChainName;

/// How long a reading is used again: a scrape must not cost more than the scans.
pub(super) const FRESH: Duration = Duration::from_secs(2);
/// A store that does not answer in this time tells nothing.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// One look into the store; what is missing is not known.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) size_bytes: Option<u64>,
    pub(super) events: Option<u64>,
    pub(super) alerts: Vec<AlertRow>,
    pub(super) webhooks: Vec<WebhookRow>,
    /// The id of the newest event.
    pub(super) newest_event: i64,
    pub(super) chains: BTreeMap<ChainName, StoredChain>,
}

/// What the store holds of one chain.
#[derive(Clone, Debug)]
pub(super) struct StoredChain {
    /// The newest pass of its set.
    pub(super) newest: Option<PassRow>,
    /// The newest one that has ended.
    pub(super) ended: Option<PassRow>,
    /// The newest one that was complete.
    pub(super) complete: Option<PassRow>,
    pub(super) balances: BalanceExtent,
}

impl Stored {
    pub(super) async fn read(ledger: &Ledger, chains: impl Iterator<Item = &ChainName>) -> Self {
        let mut stored = Self::default();
        let read = stored.fill(ledger, chains);
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    "the store cannot be read for the metrics: {}",
                    crate::causes::with_causes(&error)
                );
            }
            Err(_) => tracing::warn!("the store did not answer in time for the metrics"),
        }
        stored
    }

    async fn fill(
        &mut self,
        ledger: &Ledger,
        chains: impl Iterator<Item = &ChainName>,
    ) -> Result<(), LedgerError> {
        self.size_bytes = Some(ledger.size_bytes().await?);
        let newest = *ledger.newest_event().borrow();
        let oldest = ledger.oldest_event().await?;
        // Ids have no gaps, and only the oldest are dropped.
        let kept = oldest.map_or(0, |oldest| newest.saturating_sub(oldest).saturating_add(1));
        self.events = u64::try_from(kept).ok();
        self.newest_event = newest;
        self.alerts = ledger.alerts().await?;
        self.webhooks = ledger.webhooks().await?;
        for chain in chains {
            let of_status = |status| PassFilter {
                chain: Some(chain.clone()),
                kind: Some(PassKind::Set),
                status,
            };
            // One at most is running.
            let newest = ledger.pass_page(&of_status(None), None, 2).await?;
            let complete = of_status(Some(PassStatus::Complete));
            let complete = ledger.pass_page(&complete, None, 1).await?;
            let read = StoredChain {
                ended: newest.iter().find(|pass| pass.ended_at.is_some()).cloned(),
                newest: newest.into_iter().next(),
                complete: complete.into_iter().next(),
                balances: ledger.balance_extent(chain).await?,
            };
            self.chains.insert(chain.clone(), read);
        }
        Ok(())
    }
}
