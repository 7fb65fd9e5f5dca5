//! The one task that writes.
//!
//! Whatever waits in its queue travels in one transaction, each piece of work behind a savepoint of
//! its own: a piece that is refused leaves its neighbours whole. Callers hear back only after the
//! commit, so what was acknowledged is on disk.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{AnyConnection, Connection};
use tokio::sync::{mpsc, oneshot, watch};

use super::engine::{Engine, Insert, WriterConnection};
use super::error::LedgerError;
use super::file::StoreLock;
use super::sql::statement;
use crate::clock::{SharedClock, TimeHold};

/// Pieces of work that wait before callers are held back.
const QUEUE_MAX: usize = 256;

/// Pieces of work in one transaction.
const GROUP_MAX: usize = 32;

/// Something that is written as a whole or not at all.
#[async_trait]
pub(super) trait Write: Send + 'static {
    /// What the caller gets after the commit.
    type Output: Send + 'static;

    /// Writes; an error undoes what this piece wrote.
    async fn apply(self, txn: &mut Txn<'_>) -> Result<Self::Output, LedgerError>;
}

/// The transaction that a piece of work writes in.
#[derive(Debug)]
pub(super) struct Txn<'c> {
    /// Which database it is.
    pub(super) engine: Engine,
    /// The connection, inside the transaction.
    pub(super) conn: &'c mut AnyConnection,
    /// The wall clock when this piece began, in milliseconds since 1970.
    pub(super) now_ms: i64,
    /// Highest event id taken by this piece.
    pub(super) last_event: Option<i64>,
}

/// Where work is handed in.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    inbox: mpsc::Sender<Message>,
    clock: SharedClock,
}

enum Message {
    Work(Box<dyn Job>),
    Close(oneshot::Sender<()>, TimeHold),
}

/// A [`Write`] with its type forgotten and its result kept until the commit.
#[async_trait]
trait Job: Send {
    /// Writes; `Err` means that nothing of this piece may stay.
    async fn run(&mut self, txn: &mut Txn<'_>) -> Result<(), ()>;

    /// Tells the caller how the transaction ended.
    fn acknowledge(self: Box<Self>, committed: Result<(), LedgerError>);
}

struct Piece<W: Write> {
    work: Option<W>,
    result: Option<Result<W::Output, LedgerError>>,
    reply: oneshot::Sender<Result<W::Output, LedgerError>>,
    /// Virtual time waits for the database, whether or not the caller still does.
    _hold: TimeHold,
}

struct WriterTask {
    engine: Engine,
    connection: WriterConnection,
    clock: SharedClock,
    inbox: mpsc::Receiver<Message>,
    newest_event: watch::Sender<i64>,
    /// Given back after the last connection is closed.
    lock: Option<StoreLock>,
}

// === impl Txn ===

impl Txn<'_> {
    /// Writes rows, each an array of its columns' values; how many were written.
    pub(super) async fn insert(&mut self, insert: &Insert, rows: Vec<Value>) -> sqlx::Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let done = statement(self.engine.insert(insert))
            .bind(Value::Array(rows).to_string())
            .execute(&mut *self.conn)
            .await?;
        Ok(done.rows_affected())
    }
}

// === impl Writer ===

impl Writer {
    /// Starts the task; it ends when every handle is gone or one was closed.
    pub(super) fn spawn(
        engine: Engine,
        connection: WriterConnection,
        lock: Option<StoreLock>,
        clock: SharedClock,
        newest_event: watch::Sender<i64>,
    ) -> Self {
        let (sender, inbox) = mpsc::channel(QUEUE_MAX);
        let task = WriterTask {
            engine,
            connection,
            clock: clock.clone(),
            inbox,
            newest_event,
            lock,
        };
        tokio::spawn(task.run());
        Self {
            inbox: sender,
            clock,
        }
    }

    /// Writes and waits for the commit.
    ///
    /// # Cancel safety
    ///
    /// Once handed in, the work is done as a whole even when nobody waits for it any more.
    pub(super) async fn write<W: Write>(&self, work: W) -> Result<W::Output, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let piece = Piece {
            work: Some(work),
            result: None,
            reply,
            _hold: self.clock.hold(),
        };
        self.inbox
            .send(Message::Work(Box::new(piece)))
            .await
            .map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    /// Finishes what waits, then closes; later work is refused.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        let close = Message::Close(done, self.clock.hold());
        if self.inbox.send(close).await.is_ok() {
            // An error means that the task is gone already.
            let _ = closed.await;
        }
    }
}

// === impl Piece ===

#[async_trait]
impl<W: Write> Job for Piece<W> {
    async fn run(&mut self, txn: &mut Txn<'_>) -> Result<(), ()> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        let result = work.apply(txn).await;
        let verdict = result.as_ref().map(drop).map_err(drop);
        self.result = Some(result);
        verdict
    }

    fn acknowledge(self: Box<Self>, committed: Result<(), LedgerError>) {
        let result = match (self.result, committed) {
            // A refused piece keeps its own word, whatever became of the others.
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (Some(Ok(output)), Ok(())) => Ok(output),
            (None, Ok(())) => Err(LedgerError::Closed),
        };
        // The caller may have gone; the work is done either way.
        let _ = self.reply.send(result);
    }
}

// === impl WriterTask ===

impl WriterTask {
    async fn run(mut self) {
        let mut messages = Vec::with_capacity(GROUP_MAX);
        let mut closers = Vec::new();
        while self.inbox.recv_many(&mut messages, GROUP_MAX).await > 0 {
            let mut group = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Work(job) => group.push(job),
                    Message::Close(done, hold) => {
                        self.inbox.close();
                        closers.push((done, hold));
                    }
                }
            }
            if !group.is_empty() {
                self.write_group(group).await;
            }
        }
        self.connection.close(self.engine).await;
        drop(self.lock);
        for (done, _hold) in closers {
            // Nobody waits any more: fine.
            let _ = done.send(());
        }
    }

    async fn write_group(&mut self, mut group: Vec<Box<dyn Job>>) {
        let outcome = self.commit_group(&mut group).await;
        if outcome.is_err() {
            self.connection.discard();
        }
        if let Ok(Some(event)) = &outcome {
            self.newest_event.send_replace(*event);
        }
        let committed = outcome
            .map(drop)
            .map_err(LedgerError::database("commit a transaction"));
        for job in group {
            job.acknowledge(committed.clone());
        }
    }

    /// The highest event id of the group, when it wrote events.
    async fn commit_group(&mut self, group: &mut [Box<dyn Job>]) -> sqlx::Result<Option<i64>> {
        let begin = self.engine.begin();
        let mut transaction = self.connection.get().await?.begin_with(begin).await?;
        let mut newest_event = None;
        for job in group {
            let mut savepoint = transaction.begin().await?;
            let mut txn = Txn {
                engine: self.engine,
                conn: &mut savepoint,
                now_ms: self.clock.unix_ms(),
                last_event: None,
            };
            let verdict = job.run(&mut txn).await;
            let last_event = txn.last_event;
            match verdict {
                Ok(()) => {
                    savepoint.commit().await?;
                    newest_event = newest_event.max(last_event);
                }
                Err(()) => savepoint.rollback().await?,
            }
        }
        transaction.commit().await?;
        Ok(newest_event)
    }
}
