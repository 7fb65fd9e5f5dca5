//! The one task that writes.
//!
//! Whatever waits in its queue travels in one transaction. A piece of work that is refused leaves its
//! neighbours whole: it refuses before it writes, or is behind a savepoint of its own. Callers hear back only after the
//! commit, so what was acknowledged is on disk.

use async_trait::async_trait;
use sqlx::{AnyConnection, Connection};
use tokio::sync::{mpsc, oneshot, watch};

use super::engine::{Engine, WriterConnection};
use super::error::LedgerError;
use super::file::StoreLock;
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

    /// Whether it refuses before it writes, if it does. What cannot be refused half-way needs no
    /// savepoint, for which SQLite would copy every page that the piece changes.
    const REFUSES_FIRST: bool = false;

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
    /// [`Write::REFUSES_FIRST`].
    fn refuses_first(&self) -> bool;

    /// Writes; `Err` means that nothing of this piece may stay.
    async fn run(&mut self, txn: &mut Txn<'_>) -> Result<(), Undone>;

    /// Tells the caller how the transaction ended.
    fn acknowledge(self: Box<Self>, committed: Result<(), LedgerError>);
}

/// Why nothing of a piece may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undone {
    /// It may not be written; the database has no part in that.
    Refused,
    /// The database failed, and its transaction with it.
    Failed,
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
    fn refuses_first(&self) -> bool {
        W::REFUSES_FIRST
    }

    async fn run(&mut self, txn: &mut Txn<'_>) -> Result<(), Undone> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        let result = work.apply(txn).await;
        let verdict = result.as_ref().map(drop).map_err(|error| match error {
            LedgerError::PassEnded { .. } | LedgerError::NoPass { .. } => Undone::Refused,
            _ => Undone::Failed,
        });
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
        self.connection.close().await;
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
            let now_ms = self.clock.unix_ms();
            let written = if job.refuses_first() {
                Self::write_plainly(self.engine, &mut transaction, now_ms, job).await?
            } else {
                let mut savepoint = transaction.begin().await?;
                match Self::run_job(self.engine, &mut savepoint, now_ms, job).await {
                    Ok(last_event) => {
                        savepoint.commit().await?;
                        last_event
                    }
                    Err(_) => {
                        savepoint.rollback().await?;
                        None
                    }
                }
            };
            newest_event = newest_event.max(written);
        }
        transaction.commit().await?;
        Ok(newest_event)
    }

    /// Runs a piece that has nothing to take back when it is refused.
    async fn write_plainly(
        engine: Engine,
        conn: &mut AnyConnection,
        now_ms: i64,
        job: &mut Box<dyn Job>,
    ) -> sqlx::Result<Option<i64>> {
        match Self::run_job(engine, conn, now_ms, job).await {
            Ok(last_event) => Ok(last_event),
            Err(Undone::Refused) => Ok(None),
            // Part of it may be in the transaction, which must not be committed.
            Err(Undone::Failed) => Err(sqlx::Error::Protocol(
                "a write beside this one failed, and took its transaction along".into(),
            )),
        }
    }

    /// Runs a piece; its highest event id.
    async fn run_job(
        engine: Engine,
        conn: &mut AnyConnection,
        now_ms: i64,
        job: &mut Box<dyn Job>,
    ) -> Result<Option<i64>, Undone> {
        let mut txn = Txn {
            engine,
            conn,
            now_ms,
            last_event: None,
        };
        job.run(&mut txn).await?;
        Ok(txn.last_event)
    }
}
