//! Passes: begun, continued, counted, ended with exactly one last event.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::Ledger;
use super::balances::{BalanceRow, CellName, get_height};
use super::error::LedgerError;
use super::events::NewEvent;
use super::holes::HoleRow;
use super::readers::Read;
use super::sql::{bigint, get, get_count, get_parsed, statement, texts};
use super::writer::{Txn, Write};
use crate::model::{ChainName, PassId, ProviderName};

const TABLE: &str = "scan_state";

pub(super) const COLUMNS: &str = "id, chain, kind, fingerprint, status, resumable, message, cells, asked, \
    known, unknown, invalid, funded, height_min, height_max, started_at, updated_at, ended_at";

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassKind {
    /// The chain's set: one at a time, continued after a crash.
    Set,
    /// Some cells, asked for now: runs beside others and is never continued.
    Spot,
}

/// How far a pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassStatus {
    /// At work, or left behind by a process that died.
    Running,
    /// Every cell has a reading or a final hole.
    Complete,
    /// Stopped by an operator or a signal.
    Cancelled,
    /// Stopped because no provider answered for too long.
    GaveUp,
    /// Stopped by a fault of ours, or left behind and not continued.
    Broken,
}

/// A pass that is about to begin.
#[derive(Clone, Debug)]
pub struct PassSpec {
    /// The chain.
    pub chain: ChainName,
    /// What it is for.
    pub kind: PassKind,
    /// Hash of list, assets and configuration: only a pass with the same one is continued.
    pub fingerprint: String,
    /// Cells to be known.
    pub cells: u64,
    /// Continue an unfinished pass that was last at work within this time; `None` starts over.
    pub resume_within: Option<Duration>,
}

/// A pass at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// 32 hex digits.
    pub id: PassId,
    /// Whether it goes on where an earlier one stopped.
    pub resumed: bool,
    /// When it began, in milliseconds since 1970.
    pub started_at: i64,
    /// What is counted already.
    pub counters: PassCounters,
}

/// The numbers of a pass, in cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassCounters {
    /// Put to a provider at least once.
    pub asked: u64,
    /// With a reading of this pass.
    pub known: u64,
    /// With a hole, final or to be asked again.
    pub unknown: u64,
    /// Not askable: invalid lines of the list, and holes of the class `invalid_address`.
    pub invalid: u64,
    /// Known and above zero.
    pub funded: u64,
    /// Lowest height that a reading came from.
    pub height_min: Option<u64>,
    /// Highest height that a reading came from.
    pub height_max: Option<u64>,
}

/// A pass as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassRow {
    /// 32 hex digits.
    pub id: PassId,
    /// The chain.
    pub chain: ChainName,
    /// What it is for.
    pub kind: PassKind,
    /// Hash of list, assets and configuration.
    pub fingerprint: String,
    /// How far it is.
    pub status: PassStatus,
    /// Whether a later pass may go on where this one stopped.
    pub resumable: bool,
    /// Why it ended, where there is more to say than the status.
    pub message: Option<String>,
    /// Cells to be known.
    pub cells: u64,
    /// What is counted.
    pub counters: PassCounters,
    /// When it began, in milliseconds since 1970.
    pub started_at: i64,
    /// When something was written for it last.
    pub updated_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
}

/// How a pass ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassEnd {
    /// Every cell has a reading or a final hole.
    Complete,
    /// Stopped from outside.
    Cancelled {
        /// For people; `scan_error` carries it.
        message: String,
        /// Whether the next pass may go on here: true for a signal, false for an operator's cancel.
        resumable: bool,
    },
    /// No provider answered for too long.
    GaveUp {
        /// For people; `scan_error` carries it.
        message: String,
    },
    /// A fault of ours.
    Broken {
        /// For people; `scan_error` carries it.
        message: String,
    },
}

/// What the store holds about a cell, for the output of one pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellRow {
    /// Address and asset.
    pub cell: CellName,
    /// The last good value, of whichever pass.
    pub balance: Option<BalanceRow>,
    /// Why this pass does not know the cell.
    pub hole: Option<HoleRow>,
    /// Whether `balance` answers for this pass: read by it, or by another one since it began.
    pub known_in_pass: bool,
}

struct BeginPass(PassSpec);

/// Ends the spot passes of a process that died; set passes are continued instead.
pub(super) struct EndLeftSpots;

struct EndPass {
    pass: PassId,
    end: PassEnd,
    events: Vec<NewEvent>,
}

// === impl Ledger ===

impl Ledger {
    /// Begins a pass, or goes on with one that was interrupted.
    ///
    /// A pass of the same chain and fingerprint that a dead process left running keeps its id; one
    /// that was cancelled by a signal had its last event, so a new id takes over its readings and
    /// counts. Every other unfinished set pass of the chain ends as `broken`. A new id is told by a
    /// `scan_started` event in the same transaction.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn begin_pass(&self, spec: PassSpec) -> Result<Pass, LedgerError> {
        self.write(BeginPass(spec)).await
    }

    /// Ends a pass: `events` first, then its one last event, with its totals.
    ///
    /// # Errors
    ///
    /// [`LedgerError::PassEnded`] when it had its last event already, [`LedgerError::NoPass`] when
    /// there is none; nothing was written then.
    pub async fn end_pass(
        &self,
        pass: &PassId,
        end: PassEnd,
        events: Vec<NewEvent>,
    ) -> Result<PassRow, LedgerError> {
        self.write(EndPass {
            pass: pass.clone(),
            end,
            events,
        })
        .await
    }

    /// The pass with this id.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn pass(&self, id: &PassId) -> Result<Option<PassRow>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM scan_state WHERE id = $1");
        statement(sql)
            .bind(id.as_str())
            .first(self.readers(), "read a pass")
            .await?
            .as_ref()
            .map(PassRow::from_row)
            .transpose()
    }

    /// How many of the balances that a pass read came from which provider, most first.
    ///
    /// Cells that a later pass read anew count there.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn providers_of_pass(
        &self,
        pass: &PassId,
        chain: &ChainName,
    ) -> Result<Vec<(ProviderName, u64)>, LedgerError> {
        let rows = sqlx::query(
            "SELECT provider, COUNT(*) AS cells FROM balances \
             WHERE chain = $1 AND pass_id = $2 GROUP BY provider ORDER BY cells DESC, provider",
        )
        .bind(chain.as_str())
        .bind(pass.as_str())
        .all(self.readers(), "count a pass's readings")
        .await?;
        rows.iter()
            .map(|row| {
                let provider: String = get(row, "balances", "provider")?;
                Ok((provider.into(), get_count(row, "balances", "cells")?))
            })
            .collect()
    }

    /// At most `limit` passes of a chain, newest first.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn passes(&self, chain: &ChainName, limit: u32) -> Result<Vec<PassRow>, LedgerError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM scan_state WHERE chain = $1 \
             ORDER BY started_at DESC, id DESC LIMIT $2"
        );
        statement(sql)
            .bind(chain.as_str())
            .bind(i64::from(limit))
            .all(self.readers(), "read passes")
            .await?
            .iter()
            .map(PassRow::from_row)
            .collect()
    }

    /// Which cells of these addresses (in canonical form) the pass need not ask any more: those
    /// with a reading of it or a final hole.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn cells_done(
        &self,
        pass: &PassId,
        chain: &ChainName,
        addresses: &[&str],
    ) -> Result<HashSet<CellName>, LedgerError> {
        let wanted = self.engine().texts_of(3);
        let sql = format!(
            "SELECT address, asset FROM balances \
             WHERE pass_id = $1 AND chain = $2 AND address IN {wanted} \
             UNION SELECT address, asset FROM holes \
             WHERE pass_id = $1 AND final = 1 AND address IN {wanted}"
        );
        statement(sql)
            .bind(pass.as_str())
            .bind(chain.as_str())
            .bind(texts(addresses))
            .all(self.readers(), "read which cells are done")
            .await?
            .iter()
            .map(|row| CellName::from_row(row, "balances"))
            .collect()
    }

    /// What the store holds about every cell of these addresses (in canonical form) that it has
    /// heard of, ordered by address and asset.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NoPass`] when there is no such pass, else [`LedgerError`] when the store
    /// cannot be read.
    pub async fn rows_for(
        &self,
        pass: &PassId,
        addresses: &[&str],
    ) -> Result<Vec<CellRow>, LedgerError> {
        let Some(pass) = self.pass(pass).await? else {
            return Err(LedgerError::NoPass { pass: pass.clone() });
        };
        let mut cells = std::collections::BTreeMap::<CellName, CellRow>::new();
        // Holes first: a commit in between may turn a hole into a balance, never back.
        for hole in self.holes_of(&pass.id, addresses).await? {
            cells.insert(hole.cell.clone(), CellRow::of_hole(hole));
        }
        for balance in self.balances_of(&pass.chain, addresses).await? {
            cells
                .entry(balance.cell.clone())
                .or_insert_with(|| CellRow::empty(balance.cell.clone()))
                .set_balance(balance, &pass);
        }
        Ok(cells.into_values().collect())
    }

    async fn balances_of(
        &self,
        chain: &ChainName,
        addresses: &[&str],
    ) -> Result<Vec<BalanceRow>, LedgerError> {
        let sql = format!(
            "SELECT {} FROM balances WHERE chain = $1 AND address IN {}",
            BalanceRow::COLUMNS,
            self.engine().texts_of(2),
        );
        statement(sql)
            .bind(chain.as_str())
            .bind(texts(addresses))
            .all(self.readers(), "read balances")
            .await?
            .iter()
            .map(BalanceRow::from_row)
            .collect()
    }

    async fn holes_of(
        &self,
        pass: &PassId,
        addresses: &[&str],
    ) -> Result<Vec<HoleRow>, LedgerError> {
        let sql = format!(
            "SELECT {} FROM holes WHERE pass_id = $1 AND address IN {}",
            HoleRow::COLUMNS,
            self.engine().texts_of(2),
        );
        statement(sql)
            .bind(pass.as_str())
            .bind(texts(addresses))
            .all(self.readers(), "read holes")
            .await?
            .iter()
            .map(HoleRow::from_row)
            .collect()
    }
}

// === impl CellRow ===

impl CellRow {
    fn empty(cell: CellName) -> Self {
        Self {
            cell,
            balance: None,
            hole: None,
            known_in_pass: false,
        }
    }

    fn of_hole(hole: HoleRow) -> Self {
        Self {
            hole: Some(hole.clone()),
            ..Self::empty(hole.cell)
        }
    }

    fn set_balance(&mut self, balance: BalanceRow, pass: &PassRow) {
        let since_hole = self
            .hole
            .as_ref()
            .is_none_or(|hole| hole.at <= balance.observed_at);
        self.known_in_pass =
            balance.pass == pass.id || (balance.observed_at >= pass.started_at && since_hole);
        self.balance = Some(balance);
    }
}

// === impl PassKind ===

impl PassKind {
    /// The word used in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Spot => "spot",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Set, Self::Spot]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

// === impl PassStatus ===

impl PassStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Running,
        Self::Complete,
        Self::Cancelled,
        Self::GaveUp,
        Self::Broken,
    ];

    /// The word used in store, events and API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Cancelled => "cancelled",
            Self::GaveUp => "gave_up",
            Self::Broken => "broken",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

// === impl PassEnd ===

impl PassEnd {
    /// The status that a pass has after this end.
    #[must_use]
    pub fn status(&self) -> PassStatus {
        match self {
            Self::Complete => PassStatus::Complete,
            Self::Cancelled { .. } => PassStatus::Cancelled,
            Self::GaveUp { .. } => PassStatus::GaveUp,
            Self::Broken { .. } => PassStatus::Broken,
        }
    }

    fn message(&self) -> Option<&str> {
        match self {
            Self::Complete => None,
            Self::Cancelled { message, .. }
            | Self::GaveUp { message }
            | Self::Broken { message } => Some(message),
        }
    }
}

// === impl PassRow ===

impl PassRow {
    pub(super) fn from_row(row: &AnyRow) -> Result<Self, LedgerError> {
        Ok(Self {
            id: get::<String>(row, TABLE, "id")?.into(),
            chain: get::<String>(row, TABLE, "chain")?.into(),
            kind: get_parsed(row, TABLE, "kind", PassKind::parse)?,
            fingerprint: get(row, TABLE, "fingerprint")?,
            status: get_parsed(row, TABLE, "status", PassStatus::parse)?,
            resumable: get::<i64>(row, TABLE, "resumable")? != 0,
            message: get(row, TABLE, "message")?,
            cells: get_count(row, TABLE, "cells")?,
            counters: PassCounters {
                asked: get_count(row, TABLE, "asked")?,
                known: get_count(row, TABLE, "known")?,
                unknown: get_count(row, TABLE, "unknown")?,
                invalid: get_count(row, TABLE, "invalid")?,
                funded: get_count(row, TABLE, "funded")?,
                height_min: get_height(row, TABLE, "height_min")?,
                height_max: get_height(row, TABLE, "height_max")?,
            },
            started_at: get(row, TABLE, "started_at")?,
            updated_at: get(row, TABLE, "updated_at")?,
            ended_at: get(row, TABLE, "ended_at")?,
        })
    }

    /// The pass as it would be if it ended so at `now_ms`.
    fn ended(mut self, end: &PassEnd, now_ms: i64) -> Self {
        self.status = end.status();
        self.message = end.message().map(str::to_owned);
        self.resumable = matches!(
            end,
            PassEnd::Cancelled {
                resumable: true,
                ..
            }
        );
        self.updated_at = now_ms;
        self.ended_at = Some(now_ms);
        self
    }

    /// `scan_complete` or `scan_error`, with the totals.
    fn last_event(&self) -> NewEvent {
        let PassCounters {
            asked,
            known,
            unknown,
            invalid,
            funded,
            height_min,
            height_max,
        } = self.counters;
        let elapsed_ms = self.ended_at.unwrap_or(self.updated_at) - self.started_at;
        let mut data = json!({
            "scan": self.id,
            "chain": self.chain,
            "asked": asked,
            "known": known,
            "unknown": unknown,
            "invalid": invalid,
            "funded": funded,
            "height_min": height_min,
            "height_max": height_max,
            "elapsed_ms": elapsed_ms.max(0),
        });
        let complete = self.status == PassStatus::Complete;
        if !complete && let Value::Object(fields) = &mut data {
            fields.insert("reason".to_owned(), self.status.as_str().into());
            fields.insert("message".to_owned(), self.message.clone().into());
        }
        NewEvent {
            kind: if complete {
                "scan_complete"
            } else {
                "scan_error"
            },
            chain: Some(self.chain.clone()),
            scan: Some(self.id.clone()),
            data,
        }
    }
}

// === impl BeginPass ===

#[async_trait]
impl Write for BeginPass {
    type Output = Pass;

    async fn apply(self, txn: &mut Txn<'_>) -> Result<Pass, LedgerError> {
        let spec = self.0;
        if spec.kind == PassKind::Spot {
            return txn.insert_pass(&spec, None).await;
        }
        let earlier = txn.resumable_pass(&spec).await?;
        let keep = earlier.as_ref().map(|pass| &pass.id);
        txn.supersede_passes(&spec.chain, keep).await?;
        match earlier {
            Some(pass) if pass.status == PassStatus::Running => {
                txn.touch_pass(&pass.id, spec.cells).await?;
                Ok(Pass {
                    id: pass.id,
                    resumed: true,
                    started_at: pass.started_at,
                    counters: pass.counters,
                })
            }
            earlier => txn.insert_pass(&spec, earlier).await,
        }
    }
}

// === impl EndLeftSpots ===

#[async_trait]
impl Write for EndLeftSpots {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        let sql =
            format!("SELECT {COLUMNS} FROM scan_state WHERE kind = 'spot' AND status = 'running'");
        let left = statement(sql)
            .fetch_all(&mut *txn.conn)
            .await
            .map_err(LedgerError::database("look for unfinished passes"))?;
        let end = PassEnd::Broken {
            message: "the process that ran it has died".to_owned(),
        };
        for row in &left {
            txn.end_pass(PassRow::from_row(row)?, &end).await?;
        }
        Ok(())
    }
}

// === impl EndPass ===

#[async_trait]
impl Write for EndPass {
    type Output = PassRow;

    async fn apply(self, txn: &mut Txn<'_>) -> Result<PassRow, LedgerError> {
        let pass = txn.running_pass(&self.pass).await?;
        txn.add_events(&self.events).await?;
        txn.end_pass(pass, &self.end).await
    }
}

// === impl Txn ===

impl Txn<'_> {
    /// The pass, if it may still be written to.
    pub(super) async fn running_pass(&mut self, id: &PassId) -> Result<PassRow, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM scan_state WHERE id = $1");
        let row = statement(sql)
            .bind(id.as_str())
            .fetch_optional(&mut *self.conn)
            .await
            .map_err(LedgerError::database("read a pass"))?;
        let Some(row) = row else {
            return Err(LedgerError::NoPass { pass: id.clone() });
        };
        let pass = PassRow::from_row(&row)?;
        if pass.status != PassStatus::Running {
            return Err(LedgerError::PassEnded {
                pass: pass.id,
                status: pass.status.as_str().to_owned(),
            });
        }
        Ok(pass)
    }

    async fn resumable_pass(&mut self, spec: &PassSpec) -> Result<Option<PassRow>, LedgerError> {
        let Some(within) = spec.resume_within else {
            return Ok(None);
        };
        let within_ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {COLUMNS} FROM scan_state WHERE chain = $1 AND kind = 'set' \
             AND fingerprint = $2 AND resumable = 1 AND status IN ('running', 'cancelled') \
             AND updated_at > $3 ORDER BY updated_at DESC, id DESC LIMIT 1"
        );
        statement(sql)
            .bind(spec.chain.as_str())
            .bind(spec.fingerprint.as_str())
            .bind(self.now_ms.saturating_sub(within_ms))
            .fetch_optional(&mut *self.conn)
            .await
            .map_err(LedgerError::database("look for an unfinished pass"))?
            .as_ref()
            .map(PassRow::from_row)
            .transpose()
    }

    /// Ends what earlier set passes of the chain left open; only `keep` stays as it is.
    async fn supersede_passes(
        &mut self,
        chain: &ChainName,
        keep: Option<&PassId>,
    ) -> Result<(), LedgerError> {
        let keep = keep.map_or("", |id| id.as_str());
        let sql = format!(
            "SELECT {COLUMNS} FROM scan_state WHERE chain = $1 AND kind = 'set' \
             AND status = 'running' AND id <> $2"
        );
        let left = statement(sql)
            .bind(chain.as_str())
            .bind(keep)
            .fetch_all(&mut *self.conn)
            .await
            .map_err(LedgerError::database("look for unfinished passes"))?;
        let end = PassEnd::Broken {
            message: "superseded by a new pass".to_owned(),
        };
        for row in &left {
            let pass = PassRow::from_row(row)?;
            self.end_pass(pass, &end).await?;
        }
        // A cancelled pass must not come back after a newer one.
        sqlx::query(
            "UPDATE scan_state SET resumable = 0 \
             WHERE chain = $1 AND kind = 'set' AND resumable = 1 AND id <> $2",
        )
        .bind(chain.as_str())
        .bind(keep)
        .execute(&mut *self.conn)
        .await
        .map_err(LedgerError::database("close cancelled passes"))?;
        Ok(())
    }

    async fn touch_pass(&mut self, id: &PassId, cells: u64) -> Result<(), LedgerError> {
        sqlx::query("UPDATE scan_state SET cells = $1, updated_at = $2 WHERE id = $3")
            .bind(bigint(cells))
            .bind(self.now_ms)
            .bind(id.as_str())
            .execute(&mut *self.conn)
            .await
            .map_err(LedgerError::database("continue a pass"))?;
        Ok(())
    }

    /// A new row; with `earlier`, it takes over that pass's readings and what they count.
    async fn insert_pass(
        &mut self,
        spec: &PassSpec,
        earlier: Option<PassRow>,
    ) -> Result<Pass, LedgerError> {
        let doing = "begin a pass";
        let id = new_pass_id()?;
        let mut counters = PassCounters::default();
        if let Some(earlier) = &earlier {
            counters = PassCounters {
                // What was a hole is asked anew, and invalid lines are met anew.
                asked: earlier.counters.known,
                unknown: 0,
                invalid: 0,
                ..earlier.counters
            };
            sqlx::query("UPDATE balances SET pass_id = $1 WHERE chain = $2 AND pass_id = $3")
                .bind(id.as_str())
                .bind(spec.chain.as_str())
                .bind(earlier.id.as_str())
                .execute(&mut *self.conn)
                .await
                .map_err(LedgerError::database(doing))?;
            sqlx::query("UPDATE scan_state SET resumable = 0 WHERE id = $1")
                .bind(earlier.id.as_str())
                .execute(&mut *self.conn)
                .await
                .map_err(LedgerError::database(doing))?;
        }
        let resumable = i64::from(spec.kind == PassKind::Set);
        sqlx::query(
            "INSERT INTO scan_state (id, chain, kind, fingerprint, status, resumable, cells, asked, \
             known, unknown, invalid, funded, height_min, height_max, started_at, updated_at) \
             VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        )
        .bind(id.as_str())
        .bind(spec.chain.as_str())
        .bind(spec.kind.as_str())
        .bind(spec.fingerprint.as_str())
        .bind(resumable)
        .bind(bigint(spec.cells))
        .bind(bigint(counters.asked))
        .bind(bigint(counters.known))
        .bind(bigint(counters.unknown))
        .bind(bigint(counters.invalid))
        .bind(bigint(counters.funded))
        .bind(counters.height_min.map(bigint))
        .bind(counters.height_max.map(bigint))
        .bind(self.now_ms)
        .bind(self.now_ms)
        .execute(&mut *self.conn)
        .await
        .map_err(LedgerError::database(doing))?;
        self.add_events(&[NewEvent {
            kind: "scan_started",
            chain: Some(spec.chain.clone()),
            scan: Some(id.clone()),
            data: json!({ "scan": id, "chain": spec.chain, "cells": spec.cells }),
        }])
        .await?;
        Ok(Pass {
            id,
            resumed: earlier.is_some(),
            started_at: self.now_ms,
            counters,
        })
    }

    async fn end_pass(&mut self, pass: PassRow, end: &PassEnd) -> Result<PassRow, LedgerError> {
        let pass = pass.ended(end, self.now_ms);
        sqlx::query(
            "UPDATE scan_state SET status = $1, message = $2, resumable = $3, updated_at = $4, \
             ended_at = $5 WHERE id = $6",
        )
        .bind(pass.status.as_str())
        .bind(pass.message.clone())
        .bind(i64::from(pass.resumable))
        .bind(pass.updated_at)
        .bind(pass.ended_at)
        .bind(pass.id.as_str())
        .execute(&mut *self.conn)
        .await
        .map_err(LedgerError::database("end a pass"))?;
        self.add_events(&[pass.last_event()]).await?;
        Ok(pass)
    }
}

fn new_pass_id() -> Result<PassId, LedgerError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| LedgerError::Random {
        reason: error.to_string(),
    })?;
    Ok(hex::encode(bytes).into())
}
