//! One chunk's way into the store: readings, holes, counts and events together or not at all.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Ledger;
use super::balances::{CellName, KnownReading};
use super::bulk::{Column, Insert};
use super::error::LedgerError;
use super::events::NewEvent;
use super::holes::Hole;
use super::passes::{PassKind, PassRow};
use super::sql::{bigint, distinct, get, get_parsed, statement, texts};
use super::writer::{Txn, Write};
use crate::clock::rfc3339;
use crate::model::{Amount, ChainName, Class, PassId, Symbol};

const BALANCES: Insert = Insert {
    table: "balances",
    columns: &[
        Column::Text("chain"),
        Column::Text("address"),
        Column::Text("asset"),
        Column::Text("amount"),
        Column::Text("amount_key"),
        Column::Text("pending"),
        Column::Bigint("decimals"),
        Column::Text("symbol"),
        Column::Text("commitment"),
        Column::Text("scope"),
        Column::Text("provider"),
        Column::Bigint("height"),
        Column::Text("block_hash"),
        Column::Bigint("observed_at"),
        Column::Text("pass_id"),
        Column::Bigint("used"),
    ],
    on_conflict: "ON CONFLICT (chain, address, asset) DO UPDATE SET \
        amount = excluded.amount, amount_key = excluded.amount_key, \
        pending = excluded.pending, decimals = excluded.decimals, symbol = excluded.symbol, \
        commitment = excluded.commitment, scope = excluded.scope, provider = excluded.provider, \
        height = excluded.height, block_hash = excluded.block_hash, \
        observed_at = excluded.observed_at, pass_id = excluded.pass_id, \
        used = CASE WHEN balances.used = 1 THEN 1 ELSE excluded.used END \
        WHERE excluded.observed_at >= balances.observed_at",
};

const HISTORY: Insert = Insert {
    table: "history",
    columns: &[
        Column::Bigint("id"),
        Column::Text("chain"),
        Column::Text("address"),
        Column::Text("asset"),
        Column::Text("previous"),
        Column::Text("amount"),
        Column::Text("amount_key"),
        Column::Bigint("decimals"),
        Column::Text("symbol"),
        Column::Text("commitment"),
        Column::Text("provider"),
        Column::Bigint("height"),
        Column::Text("block_hash"),
        Column::Bigint("observed_at"),
        Column::Text("pass_id"),
    ],
    on_conflict: "",
};

const HOLES: Insert = Insert {
    table: "holes",
    columns: &[
        Column::Text("pass_id"),
        Column::Text("address"),
        Column::Text("asset"),
        Column::Text("chain"),
        Column::Text("class"),
        Column::Text("message"),
        Column::Text("providers"),
        Column::Bigint("final"),
        Column::Bigint("at"),
    ],
    on_conflict: "ON CONFLICT (pass_id, address, asset) DO UPDATE SET \
        class = excluded.class, message = excluded.message, providers = excluded.providers, \
        final = excluded.final, at = excluded.at",
};

/// What became of a chunk.
///
/// The ledger counts known, unknown and funded cells itself, from what is new for the pass.
#[derive(Clone, Debug)]
pub struct ChunkCommit {
    /// The pass; it must be running.
    pub pass: PassId,
    /// Cells that were answered. One that was read before by this pass is not counted again.
    pub readings: Vec<KnownReading>,
    /// Cells that were not. A cell that this pass knows is no hole any more and is left out.
    pub holes: Vec<Hole>,
    /// Events of the same moment, stored behind the `balance_changed` that the readings make.
    pub events: Vec<NewEvent>,
    /// Cells put to a provider for the first time in this pass.
    pub asked: u64,
    /// Lines of the list that are no address.
    pub invalid_lines: u64,
}

/// What a commit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Balances that differ from an earlier known value, or were never known before.
    pub changes: Vec<BalanceChange>,
    /// Ids of all events of the commit, in order.
    pub events: Vec<i64>,
}

/// A balance that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceChange {
    /// Address and asset.
    pub cell: CellName,
    /// The asset's symbol.
    pub symbol: Symbol,
    /// The amount before; `None` when it was never known.
    pub previous: Option<Amount>,
    /// The amount now.
    pub amount: Amount,
    /// When it was read, in milliseconds since 1970.
    pub at: i64,
}

/// What the store has for a cell before the commit.
struct Earlier {
    amount: Amount,
    observed_at: i64,
    pass: PassId,
}

/// Differences to the counters of the pass.
#[derive(Default)]
struct Delta {
    known: i64,
    unknown: i64,
    invalid: i64,
    funded: i64,
    height_min: Option<i64>,
    height_max: Option<i64>,
}

/// What a chunk writes, worked out before the first statement.
struct Plan<'a> {
    pass: &'a PassRow,
    /// Set passes whose count of a cell a spot reading must not take over.
    others: HashSet<PassId>,
    earlier: HashMap<CellName, Earlier>,
    /// Holes of the pass, and whether each counts as invalid.
    open_holes: HashMap<CellName, bool>,
    balances: BTreeMap<&'a CellName, (&'a KnownReading, PassId)>,
    history: Vec<(&'a KnownReading, Option<Amount>)>,
    holes: BTreeMap<&'a CellName, &'a Hole>,
    filled: BTreeSet<&'a CellName>,
    /// Cells whose newer value of another pass also answers for this one.
    claimed: BTreeSet<&'a CellName>,
    changes: Vec<BalanceChange>,
    delta: Delta,
}

// === impl Ledger ===

impl Ledger {
    /// Writes a chunk in one transaction, and returns when it is on disk.
    ///
    /// # Cancel safety
    ///
    /// The chunk is written as a whole or not at all, also when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing of the chunk was written; [`LedgerError::PassEnded`] when the
    /// pass had its last event.
    pub async fn commit(&self, chunk: ChunkCommit) -> Result<Committed, LedgerError> {
        self.write(chunk).await
    }
}

// === impl ChunkCommit ===

#[async_trait]
impl Write for ChunkCommit {
    type Output = Committed;

    // It asks for the pass before all else; later only the database can fail.
    const REFUSES_FIRST: bool = true;

    async fn apply(self, txn: &mut Txn<'_>) -> Result<Committed, LedgerError> {
        let pass = txn.running_pass(&self.pass).await?;
        let addresses = self.addresses();
        let mut plan = Plan {
            pass: &pass,
            others: txn.other_passes(&pass).await?,
            earlier: txn.earlier_balances(&pass.chain, &addresses).await?,
            open_holes: txn.open_holes(&pass.id, &addresses).await?,
            balances: BTreeMap::new(),
            history: Vec::new(),
            holes: BTreeMap::new(),
            filled: BTreeSet::new(),
            claimed: BTreeSet::new(),
            changes: Vec::new(),
            delta: Delta::default(),
        };
        for reading in &self.readings {
            plan.add_reading(reading);
        }
        for hole in &self.holes {
            plan.add_hole(hole);
        }
        plan.delta.invalid += bigint(self.invalid_lines);

        txn.write_balances(&pass.chain, &plan).await?;
        txn.write_history(&plan).await?;
        txn.remove_holes(&pass.id, &plan).await?;
        txn.write_holes(&plan).await?;
        txn.write_counters(&pass.id, self.asked, &plan.delta)
            .await?;
        let mut events: Vec<NewEvent> = plan.change_events();
        events.extend(self.events.iter().cloned());
        Ok(Committed {
            events: txn.add_events(&events).await?,
            changes: plan.changes,
        })
    }
}

impl ChunkCommit {
    /// Nothing yet of this pass.
    #[must_use]
    pub fn of(pass: PassId) -> Self {
        Self {
            pass,
            readings: Vec::new(),
            holes: Vec::new(),
            events: Vec::new(),
            asked: 0,
            invalid_lines: 0,
        }
    }

    /// The cells that the pass need not ask any more once this is written.
    pub fn settled(&self) -> impl Iterator<Item = &CellName> {
        let known = self.readings.iter().map(|reading| &reading.cell);
        let given_up = self.holes.iter().filter(|hole| hole.is_final);
        known.chain(given_up.map(|hole| &hole.cell))
    }

    fn addresses(&self) -> Vec<&str> {
        let read = self.readings.iter().map(|reading| &reading.cell);
        let unread = self.holes.iter().map(|hole| &hole.cell);
        distinct(read.chain(unread).map(|cell| cell.address.as_str()))
    }
}

// === impl Plan ===

impl<'a> Plan<'a> {
    fn add_reading(&mut self, reading: &'a KnownReading) {
        let cell = &reading.cell;
        let earlier = self.earlier.get(cell);
        let counted = earlier.filter(|earlier| earlier.pass == self.pass.id);
        if let Some(invalid) = self.open_holes.remove(cell) {
            self.filled.insert(cell);
            self.delta.hole(invalid, -1);
        }
        if let Some(height) = reading.height {
            self.delta.height_min =
                Some(self.delta.height_min.map_or(height, |min| min.min(height)));
            self.delta.height_max = self.delta.height_max.max(Some(height));
        }
        self.delta.known += i64::from(counted.is_none());
        if let Some(earlier) = earlier
            && earlier.observed_at > reading.source.observed_at
        {
            // A newer value is there and stays; for this pass the cell is answered all the same.
            if counted.is_none() {
                self.delta.funded += i64::from(!earlier.amount.0.is_zero());
                if !self.others.contains(&earlier.pass) {
                    self.claimed.insert(cell);
                }
            }
            return;
        }

        let was_funded = counted.is_some_and(|counted| !counted.amount.0.is_zero());
        self.delta.funded += i64::from(!reading.amount.0.is_zero()) - i64::from(was_funded);
        let previous = earlier.map(|earlier| earlier.amount);
        if previous != Some(reading.amount) {
            self.history.push((reading, previous));
            self.changes.push(BalanceChange {
                cell: cell.clone(),
                symbol: reading.symbol.clone(),
                previous,
                amount: reading.amount,
                at: reading.source.observed_at,
            });
        }
        let pass = match earlier {
            Some(earlier) if self.others.contains(&earlier.pass) => earlier.pass.clone(),
            _ => self.pass.id.clone(),
        };
        self.balances.insert(cell, (reading, pass.clone()));
        self.earlier.insert(
            cell.clone(),
            Earlier {
                amount: reading.amount,
                observed_at: reading.source.observed_at,
                pass,
            },
        );
    }

    fn add_hole(&mut self, hole: &'a Hole) {
        let cell = &hole.cell;
        let known = self
            .earlier
            .get(cell)
            .is_some_and(|earlier| earlier.pass == self.pass.id);
        if known || self.filled.contains(cell) || self.claimed.contains(cell) {
            return;
        }
        let invalid = hole.reason.class == Class::InvalidAddress;
        if let Some(was_invalid) = self.open_holes.insert(cell.clone(), invalid) {
            self.delta.hole(was_invalid, -1);
        }
        self.delta.hole(invalid, 1);
        self.holes.insert(cell, hole);
    }

    /// One `balance_changed` for each balance whose earlier value was known.
    fn change_events(&self) -> Vec<NewEvent> {
        let chain = &self.pass.chain;
        let changed = self
            .changes
            .iter()
            .filter_map(|change| change.previous.map(|previous| (change, previous)));
        changed
            .map(|(change, previous)| NewEvent {
                kind: "balance_changed",
                chain: Some(chain.clone()),
                scan: Some(self.pass.id.clone()),
                data: json!({
                    "chain": chain,
                    "address": change.cell.address,
                    "asset": change.symbol,
                    "previous": previous.to_string(),
                    "amount": change.amount.to_string(),
                    "at": rfc3339(change.at),
                }),
            })
            .collect()
    }
}

// === impl Delta ===

impl Delta {
    fn hole(&mut self, invalid: bool, by: i64) {
        if invalid {
            self.invalid += by;
        } else {
            self.unknown += by;
        }
    }
}

// === impl Txn ===

impl Txn<'_> {
    /// Unfinished set passes that a spot pass runs beside; none for a set pass, which is alone.
    async fn other_passes(&mut self, pass: &PassRow) -> Result<HashSet<PassId>, LedgerError> {
        if pass.kind == PassKind::Set {
            return Ok(HashSet::new());
        }
        let rows = sqlx::query(
            "SELECT id FROM scan_state WHERE chain = $1 AND kind = 'set' AND resumable = 1",
        )
        .bind(pass.chain.as_str())
        .fetch_all(&mut *self.conn)
        .await
        .map_err(LedgerError::database("look for unfinished passes"))?;
        rows.iter()
            .map(|row| get::<String>(row, "scan_state", "id").map(PassId::from))
            .collect()
    }

    async fn earlier_balances(
        &mut self,
        chain: &ChainName,
        addresses: &[&str],
    ) -> Result<HashMap<CellName, Earlier>, LedgerError> {
        let table = "balances";
        let sql = format!(
            "SELECT address, asset, amount, observed_at, pass_id FROM balances \
             WHERE chain = $1 AND address IN {}",
            self.engine.texts_of(2)
        );
        let rows = statement(sql)
            .bind(chain.as_str())
            .bind(texts(addresses))
            .fetch_all(&mut *self.conn)
            .await
            .map_err(LedgerError::database("read earlier balances"))?;
        rows.iter()
            .map(|row| {
                let value = Earlier {
                    amount: get_parsed(row, table, "amount", |text| text.parse().ok())?,
                    observed_at: get(row, table, "observed_at")?,
                    pass: get::<String>(row, table, "pass_id")?.into(),
                };
                Ok((CellName::from_row(row, table)?, value))
            })
            .collect()
    }

    async fn open_holes(
        &mut self,
        pass: &PassId,
        addresses: &[&str],
    ) -> Result<HashMap<CellName, bool>, LedgerError> {
        let sql = format!(
            "SELECT address, asset, class FROM holes WHERE pass_id = $1 AND address IN {}",
            self.engine.texts_of(2)
        );
        let rows = statement(sql)
            .bind(pass.as_str())
            .bind(texts(addresses))
            .fetch_all(&mut *self.conn)
            .await
            .map_err(LedgerError::database("read earlier holes"))?;
        rows.iter()
            .map(|row| {
                let class = get_parsed(row, "holes", "class", Class::parse)?;
                let cell = CellName::from_row(row, "holes")?;
                Ok((cell, class == Class::InvalidAddress))
            })
            .collect()
    }

    async fn write_balances(
        &mut self,
        chain: &ChainName,
        plan: &Plan<'_>,
    ) -> Result<(), LedgerError> {
        let doing = "write balances";
        let rows = plan.balances.values().map(|(reading, pass)| {
            json!([
                chain,
                reading.cell.address,
                reading.cell.asset,
                reading.amount.to_string(),
                reading.amount.sort_key(),
                reading.pending.map(|pending| pending.to_string()),
                reading.decimals,
                reading.symbol,
                reading.commitment.as_str(),
                reading.source.scope,
                reading.source.provider,
                reading.height,
                reading.block_hash,
                reading.source.observed_at,
                pass,
                u8::from(reading.used),
            ])
        });
        self.insert(&BALANCES, rows.collect())
            .await
            .map_err(LedgerError::database(doing))?;
        for cell in &plan.claimed {
            sqlx::query(
                "UPDATE balances SET pass_id = $1 \
                 WHERE chain = $2 AND address = $3 AND asset = $4",
            )
            .bind(plan.pass.id.as_str())
            .bind(chain.as_str())
            .bind(cell.address.as_str())
            .bind(cell.asset.as_str())
            .execute(&mut *self.conn)
            .await
            .map_err(LedgerError::database(doing))?;
        }
        Ok(())
    }

    async fn write_history(&mut self, plan: &Plan<'_>) -> Result<(), LedgerError> {
        if plan.history.is_empty() {
            return Ok(());
        }
        let first = self.take_ids("history", plan.history.len()).await?;
        let rows = (first..)
            .zip(&plan.history)
            .map(|(id, (reading, previous))| {
                json!([
                    id,
                    plan.pass.chain,
                    reading.cell.address,
                    reading.cell.asset,
                    previous.map(|previous| previous.to_string()),
                    reading.amount.to_string(),
                    reading.amount.sort_key(),
                    reading.decimals,
                    reading.symbol,
                    reading.commitment.as_str(),
                    reading.source.provider,
                    reading.height,
                    reading.block_hash,
                    reading.source.observed_at,
                    plan.pass.id,
                ])
            });
        self.insert(&HISTORY, rows.collect())
            .await
            .map_err(LedgerError::database("write the history"))?;
        Ok(())
    }

    async fn remove_holes(&mut self, pass: &PassId, plan: &Plan<'_>) -> Result<(), LedgerError> {
        if plan.filled.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "DELETE FROM holes WHERE pass_id = $1 \
             AND (address, asset) IN (SELECT value ->> 0, value ->> 1 FROM {})",
            self.engine.rows_of(2)
        );
        let filled = plan.filled.iter();
        let filled = filled.map(|cell| json!([cell.address, cell.asset]));
        statement(sql)
            .bind(pass.as_str())
            .bind(Value::Array(filled.collect()).to_string())
            .execute(&mut *self.conn)
            .await
            .map_err(LedgerError::database("remove holes"))?;
        Ok(())
    }

    async fn write_holes(&mut self, plan: &Plan<'_>) -> Result<(), LedgerError> {
        let rows = plan.holes.values().map(|hole| {
            json!([
                plan.pass.id,
                hole.cell.address,
                hole.cell.asset,
                plan.pass.chain,
                hole.reason.class.as_str(),
                hole.reason.message,
                json!(hole.reason.providers).to_string(),
                i64::from(hole.is_final),
                self.now_ms,
            ])
        });
        let rows = rows.collect();
        self.insert(&HOLES, rows)
            .await
            .map_err(LedgerError::database("write holes"))?;
        Ok(())
    }

    async fn write_counters(
        &mut self,
        pass: &PassId,
        asked: u64,
        delta: &Delta,
    ) -> Result<(), LedgerError> {
        sqlx::query(
            "UPDATE scan_state SET asked = asked + $1, known = known + $2, \
             unknown = unknown + $3, invalid = invalid + $4, funded = funded + $5, \
             height_min = CASE WHEN height_min IS NULL OR $6 < height_min \
             THEN COALESCE($6, height_min) ELSE height_min END, \
             height_max = CASE WHEN height_max IS NULL OR $7 > height_max \
             THEN COALESCE($7, height_max) ELSE height_max END, \
             updated_at = $8 WHERE id = $9",
        )
        .bind(bigint(asked))
        .bind(delta.known)
        .bind(delta.unknown)
        .bind(delta.invalid)
        .bind(delta.funded)
        .bind(delta.height_min)
        .bind(delta.height_max)
        .bind(self.now_ms)
        .bind(pass.as_str())
        .execute(&mut *self.conn)
        .await
        .map_err(LedgerError::database("write the state of the pass"))?;
        Ok(())
    }
}
