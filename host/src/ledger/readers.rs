//! Connections that only read.
//!
//! sqlx's own pool puts a timer around every acquisition. Under paused time that timer fires
//! whenever the runtime is idle, which it is while SQLite works on its own thread; so the few
//! connections are kept here, without any timer.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Connection};
use tokio::sync::Semaphore;

use super::error::LedgerError;
use crate::clock::SharedClock;

/// Reading connections at once.
const READERS_MAX: u32 = 4;

/// The reading connections of a store.
pub(super) struct Readers {
    url: String,
    permits: Semaphore,
    idle: Mutex<Vec<AnyConnection>>,
    clock: SharedClock,
}

/// A query that runs on one of the readers.
pub(super) trait Read {
    /// All rows; `doing` is for the message of an error.
    fn all(
        self,
        readers: &Readers,
        doing: &'static str,
    ) -> impl Future<Output = Result<Vec<AnyRow>, LedgerError>> + Send;

    /// The first row.
    fn first(
        self,
        readers: &Readers,
        doing: &'static str,
    ) -> impl Future<Output = Result<Option<AnyRow>, LedgerError>> + Send;
}

// === impl Readers ===

impl Readers {
    /// Opens the first connection; `url` may hold a password and is never printed.
    pub(super) async fn connect(url: String, clock: SharedClock) -> Result<Self, LedgerError> {
        let _hold = clock.hold();
        let connection = AnyConnection::connect(&url)
            .await
            .map_err(LedgerError::database("open the database"))?;
        Ok(Self {
            url,
            permits: Semaphore::new(READERS_MAX as usize),
            idle: Mutex::new(vec![connection]),
            clock,
        })
    }

    /// Waits for the reads that are under way; later ones fail.
    pub(super) async fn close(&self) {
        let _hold = self.clock.hold();
        // An error means that it is closed already.
        let permits = self.permits.acquire_many(READERS_MAX).await;
        self.permits.close();
        drop(permits);
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in idle {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "a reading connection did not close well");
            }
        }
    }

    /// A connection that failed, or whose query was dropped half-way, is not used again.
    fn give_back(&self, connection: AnyConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(connection);
    }

    async fn take(&self) -> sqlx::Result<AnyConnection> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match idle {
            Some(connection) => Ok(connection),
            None => AnyConnection::connect(&self.url).await,
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

// === impl Query ===

impl Read for Query<'_, Any, AnyArguments> {
    async fn all(self, readers: &Readers, doing: &'static str) -> Result<Vec<AnyRow>, LedgerError> {
        let _hold = readers.clock.hold();
        let _permit = readers
            .permits
            .acquire()
            .await
            .map_err(|_| LedgerError::Closed)?;
        let mut connection = readers.take().await.map_err(LedgerError::database(doing))?;
        let rows = self
            .fetch_all(&mut connection)
            .await
            .map_err(LedgerError::database(doing))?;
        readers.give_back(connection);
        Ok(rows)
    }

    async fn first(
        self,
        readers: &Readers,
        doing: &'static str,
    ) -> Result<Option<AnyRow>, LedgerError> {
        Ok(self.all(readers, doing).await?.into_iter().next())
    }
}
