//! The ledger: everything that Scanhost remembers, in one database.
//!
//! One task writes (`writer`) and many read. A chunk's readings, holes, counts and events travel
//! in one transaction (`commit`), so that a kill at any moment costs the chunks in flight and
//! nothing else. Only a known reading has a way in ([`KnownReading`]); a hole leaves the last good
//! value where it is. Nothing is ever wiped at start.
//!
//! What differs between SQLite and PostgreSQL is in `engine` and in the folders of `migrations/`.

mod addresses;
mod alerts;
mod balances;
mod bulk;
mod commit;
mod decisions;
mod engine;
mod error;
mod events;
mod file;
mod holes;
mod pacers;
mod pages;
mod passes;
mod providers;
mod readers;
mod retention;
mod size;
mod sql;
#[cfg(test)]
mod tests;
mod webhooks;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::addresses::{AddressRow, AddressSet, Imported, ListError};
pub use self::alerts::{AlertRow, AlertState};
pub use self::balances::{
    AssetTotal, BalanceCursor, BalanceFilter, BalanceRow, CellName, HistoryRow, KnownReading,
    ReadingSource, Standing,
};
pub use self::commit::{BalanceChange, ChunkCommit, Committed};
pub use self::decisions::KEPT as DECISIONS_KEPT;
pub use self::engine::SQLITE_SETTINGS;
use self::engine::{Engine, Opened};
pub use self::error::LedgerError;
pub use self::events::{EventFilter, NewEvent, StoredEvent};
pub use self::holes::{Hole, HoleRow};
pub use self::pages::{BalanceExtent, PassCursor, PassFilter};
use self::passes::EndLeftSpots;
pub use self::passes::{
    CellRow, Pass, PassCounters, PassEnd, PassKind, PassRow, PassSpec, PassStatus,
};
pub use self::providers::{Learned, ProviderKey, ProviderRecord, Usage, UsageRow};
use self::readers::{Read, Readers};
pub use self::retention::{Expiry, Pruned};
use self::sql::get;
pub use self::webhooks::WebhookRow;
use self::writer::{Write, Writer};
use crate::clock::SharedClock;

/// A handle to the opened store; clones share it.
///
/// Dropping the last handle lets waiting writes finish in the background; [`Ledger::close`] waits
/// for them.
#[derive(Clone, Debug)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    readers: Readers,
    /// `None` when opened for looking only.
    writer: Option<Writer>,
    clock: SharedClock,
    newest_event: watch::Receiver<i64>,
}

/// Writes a number that nobody reads.
struct Touch;

#[async_trait]
impl Write for Touch {
    type Output = ();

    async fn apply(self, txn: &mut writer::Txn<'_>) -> Result<(), LedgerError> {
        // Another number each time: what stays the same SQLite does not write.
        let sql = "INSERT INTO counters (name, value) VALUES ('touch', 1) \
            ON CONFLICT (name) DO UPDATE SET value = counters.value + 1";
        sqlx::query(sql)
            .execute(&mut *txn.conn)
            .await
            .map(drop)
            .map_err(LedgerError::database("write"))
    }
}

// === impl Ledger ===

impl Ledger {
    /// Opens the store for work: `sqlite://PATH` (made when missing) or `postgres://…`.
    ///
    /// An older schema is migrated, on SQLite after a backup `<db>.backup-<schema>-<time>`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Locked`] while another process works with the SQLite file;
    /// [`LedgerError::NotAStore`] and [`LedgerError::Newer`] for files that were left untouched.
    pub async fn open(url: &str, clock: SharedClock) -> Result<Self, LedgerError> {
        let opened = engine::open(url, clock.clone()).await?;
        // With the lock in hand, nobody else can be at work on what is left unfinished.
        let alone = opened.lock.is_some();
        let ledger = Self::start(opened, clock).await?;
        if alone {
            ledger.write(EndLeftSpots).await?;
        }
        Ok(ledger)
    }

    /// Opens the store for looking only: no lock, no migration, nothing is made.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Missing`] when there is none, [`LedgerError::Older`] when it must be migrated
    /// first, else as [`Ledger::open`].
    pub async fn open_read_only(url: &str, clock: SharedClock) -> Result<Self, LedgerError> {
        let opened = engine::open_read_only(url, clock.clone()).await?;
        Self::start(opened, clock).await
    }

    async fn start(opened: Opened, clock: SharedClock) -> Result<Self, LedgerError> {
        let row = sqlx::query("SELECT value FROM counters WHERE name = 'event'")
            .first(&opened.readers, "read the newest event")
            .await?;
        let newest: i64 = match &row {
            Some(row) => get(row, "counters", "value")?,
            None => 0,
        };
        let (sender, newest_event) = watch::channel(newest);
        let Opened {
            engine,
            readers,
            writer,
            lock,
        } = opened;
        let writer = writer
            .map(|connection| Writer::spawn(engine, connection, lock, Arc::clone(&clock), sender));
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                readers,
                writer,
                clock,
                newest_event,
            }),
        })
    }

    /// Waits for every commit that was handed in, then closes the store; later calls fail.
    pub async fn close(self) {
        self.inner.readers.close().await;
        if let Some(writer) = &self.inner.writer {
            writer.close().await;
        }
    }

    /// Writes something that nobody reads, to see whether the store takes it.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when it does not.
    pub async fn check_writable(&self) -> Result<(), LedgerError> {
        self.write(Touch).await
    }

    /// Follows the id of the newest committed event, for whoever streams events.
    ///
    /// It is 0 before the first one, and stands still on a store opened for looking only.
    #[must_use]
    pub fn newest_event(&self) -> watch::Receiver<i64> {
        self.inner.newest_event.clone()
    }

    async fn write<W: Write>(&self, work: W) -> Result<W::Output, LedgerError> {
        match &self.inner.writer {
            Some(writer) => writer.write(work).await,
            None => Err(LedgerError::ReadOnly),
        }
    }

    fn engine(&self) -> Engine {
        self.inner.engine
    }

    fn readers(&self) -> &Readers {
        &self.inner.readers
    }

    fn now_ms(&self) -> i64 {
        self.inner.clock.unix_ms()
    }
}
