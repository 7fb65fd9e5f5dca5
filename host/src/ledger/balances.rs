//! Balances and their history: what can be stored, and how it is read back.

use std::collections::{HashMap, HashSet};

use ruint::Uint;
use sqlx::any::AnyRow;

use super::Ledger;
use super::engine::Engine;
use super::error::LedgerError;
use super::readers::Read;
use super::sql::{get, get_count, get_parsed, statement, texts};
use crate::model::{Amount, Asset, ChainName, Commitment, PassId, ProviderName, Reading, Symbol};

/// Rows read at once when everything is gone through.
const PAGE: u32 = 1_000;

/// A cell's value on its way into the store.
///
/// There is no way to make one from anything but [`Reading::Known`]: an unknown cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownReading {
    pub(super) cell: CellName,
    pub(super) decimals: u8,
    pub(super) symbol: Symbol,
    pub(super) amount: Amount,
    pub(super) pending: Option<i128>,
    pub(super) commitment: Commitment,
    pub(super) height: Option<i64>,
    pub(super) block_hash: Option<String>,
    pub(super) used: bool,
    pub(super) source: ReadingSource,
}

/// Who read a value, when, and what the amount covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadingSource {
    /// The provider that answered.
    pub provider: ProviderName,
    /// What the amount covers: `wallet`, `associated`.
    pub scope: String,
    /// When the answer came, in milliseconds since 1970.
    pub observed_at: i64,
}

/// What names a cell within its chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellName {
    /// The address in its canonical form.
    pub address: String,
    /// [`Asset::key`]: the contract, or `""` for the native coin.
    pub asset: String,
}

/// The last good value of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceRow {
    /// The chain.
    pub chain: ChainName,
    /// Address and asset.
    pub cell: CellName,
    /// In the smallest unit.
    pub amount: Amount,
    /// Signed change that was not confirmed yet.
    pub pending: Option<i128>,
    /// The asset's decimals when it was read.
    pub decimals: u8,
    /// The asset's symbol when it was read.
    pub symbol: Symbol,
    /// How settled the block was.
    pub commitment: String,
    /// What the amount covers.
    pub scope: String,
    /// Who answered.
    pub provider: ProviderName,
    /// Block height, on Solana the slot.
    pub height: Option<u64>,
    /// The block's hash, where the provider told it.
    pub block_hash: Option<String>,
    /// When it was read, in milliseconds since 1970.
    pub observed_at: i64,
    /// The pass that read it.
    pub pass: PassId,
}

/// One change of a balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// Grows with every commit.
    pub id: i64,
    /// The chain.
    pub chain: ChainName,
    /// Address and asset.
    pub cell: CellName,
    /// The amount before; `None` for the first value ever known.
    pub previous: Option<Amount>,
    /// The amount since.
    pub amount: Amount,
    /// The asset's decimals.
    pub decimals: u8,
    /// The asset's symbol.
    pub symbol: Symbol,
    /// How settled the block was.
    pub commitment: String,
    /// Who answered.
    pub provider: ProviderName,
    /// Block height, on Solana the slot.
    pub height: Option<u64>,
    /// The block's hash, where the provider told it.
    pub block_hash: Option<String>,
    /// When it was read, in milliseconds since 1970.
    pub observed_at: i64,
    /// The pass that read it.
    pub pass: PassId,
}

/// Which balances or changes to read; an empty list means all.
#[derive(Clone, Debug, Default)]
pub struct BalanceFilter {
    /// Only these chains.
    pub chains: Vec<ChainName>,
    /// Only these addresses, in canonical form.
    pub addresses: Vec<String>,
    /// Only these assets, by [`Asset::key`].
    pub assets: Vec<String>,
    /// Only these assets of these chains: a native coin's key is the same on every chain.
    pub assets_of: Vec<(ChainName, String)>,
    /// Only the addresses of this stored set of their chain.
    pub set: Option<String>,
}

/// A place in the order of all balances: chain, address, asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceCursor {
    /// The chain.
    pub chain: ChainName,
    /// Address and asset.
    pub cell: CellName,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Cells that are known.
    pub known: u64,
    /// When the oldest of them was read, in milliseconds since 1970.
    pub oldest: i64,
    /// Whether any of them is above zero.
    pub is_funded: bool,
}

/// Exact total of one asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetTotal {
    /// The chain.
    pub chain: ChainName,
    /// [`Asset::key`].
    pub asset: String,
    /// The asset's symbol.
    pub symbol: Symbol,
    /// The asset's decimals.
    pub decimals: u8,
    /// The sum in the smallest unit, in decimal digits; it may exceed an [`Amount`].
    pub sum: String,
    /// Cells summed.
    pub cells: u64,
    /// Of them, cells above zero.
    pub funded: u64,
}

// === impl KnownReading ===

impl KnownReading {
    /// The value in `reading`; `None` when it is not known.
    ///
    /// `address` is the canonical form. A height past 2^63 is no height and is left out.
    #[must_use]
    pub fn new(
        address: &str,
        asset: &Asset,
        reading: &Reading,
        source: ReadingSource,
    ) -> Option<Self> {
        let Reading::Known {
            amount,
            pending,
            used,
            at,
        } = reading
        else {
            return None;
        };
        Some(Self {
            cell: CellName::new(address, asset),
            decimals: asset.decimals,
            symbol: asset.symbol.clone(),
            amount: *amount,
            pending: *pending,
            commitment: at.commitment,
            height: at.height.and_then(|height| i64::try_from(height).ok()),
            block_hash: at.block_hash.clone(),
            used: *used == Some(true) || !amount.0.is_zero(),
            source,
        })
    }
}

// === impl CellName ===

impl CellName {
    /// The cell of `address` (in canonical form) and `asset`.
    #[must_use]
    pub fn new(address: &str, asset: &Asset) -> Self {
        Self {
            address: address.to_owned(),
            asset: asset.key().to_owned(),
        }
    }

    pub(super) fn from_row(row: &AnyRow, table: &'static str) -> Result<Self, LedgerError> {
        Ok(Self {
            address: get(row, table, "address")?,
            asset: get(row, table, "asset")?,
        })
    }
}

// === impl BalanceRow ===

impl BalanceRow {
    pub(super) const COLUMNS: &str = "chain, address, asset, amount, pending, decimals, symbol, \
        commitment, scope, provider, height, block_hash, observed_at, pass_id";

    pub(super) fn from_row(row: &AnyRow) -> Result<Self, LedgerError> {
        let table = "balances";
        Ok(Self {
            chain: get::<String>(row, table, "chain")?.into(),
            cell: CellName::from_row(row, table)?,
            amount: get_parsed(row, table, "amount", |text| text.parse().ok())?,
            pending: get_pending(row, table)?,
            decimals: get_decimals(row, table)?,
            symbol: get::<String>(row, table, "symbol")?.into(),
            commitment: get(row, table, "commitment")?,
            scope: get(row, table, "scope")?,
            provider: get::<String>(row, table, "provider")?.into(),
            height: get_height(row, table, "height")?,
            block_hash: get(row, table, "block_hash")?,
            observed_at: get(row, table, "observed_at")?,
            pass: get::<String>(row, table, "pass_id")?.into(),
        })
    }

    /// Where this row stands; reading goes on behind it.
    #[must_use]
    pub fn cursor(&self) -> BalanceCursor {
        BalanceCursor {
            chain: self.chain.clone(),
            cell: self.cell.clone(),
        }
    }
}

// === impl HistoryRow ===

impl HistoryRow {
    fn from_row(row: &AnyRow) -> Result<Self, LedgerError> {
        let table = "history";
        let previous: Option<String> = get(row, table, "previous")?;
        let previous = previous
            .map(|text| {
                text.parse().map_err(|_| LedgerError::Row {
                    table,
                    reason: format!("`previous` is `{text}`"),
                })
            })
            .transpose()?;
        Ok(Self {
            id: get(row, table, "id")?,
            chain: get::<String>(row, table, "chain")?.into(),
            cell: CellName::from_row(row, table)?,
            previous,
            amount: get_parsed(row, table, "amount", |text| text.parse().ok())?,
            decimals: get_decimals(row, table)?,
            symbol: get::<String>(row, table, "symbol")?.into(),
            commitment: get(row, table, "commitment")?,
            provider: get::<String>(row, table, "provider")?.into(),
            height: get_height(row, table, "height")?,
            block_hash: get(row, table, "block_hash")?,
            observed_at: get(row, table, "observed_at")?,
            pass: get::<String>(row, table, "pass_id")?.into(),
        })
    }
}

// === impl Ledger ===

impl Ledger {
    /// Those of these addresses that were ever used, as far as is known.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn used_of(
        &self,
        chain: &ChainName,
        addresses: Vec<String>,
    ) -> Result<HashSet<String>, LedgerError> {
        let sql = format!(
            "SELECT DISTINCT address FROM balances \
             WHERE chain = $1 AND used = 1 AND address IN {}",
            self.engine().texts_of(2)
        );
        let rows = statement(sql)
            .bind(chain.as_str())
            .bind(texts(&addresses))
            .all(self.readers(), "look for used addresses")
            .await?;
        rows.iter()
            .map(|row| get(row, "balances", "address"))
            .collect()
    }

    /// At most `limit` balances behind `after`, ordered by chain, address and asset.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn balances(
        &self,
        filter: &BalanceFilter,
        after: Option<&BalanceCursor>,
        limit: u32,
    ) -> Result<Vec<BalanceRow>, LedgerError> {
        let mut parts = filter.conditions(self.engine());
        if after.is_some() {
            parts.push("(chain, address, asset) > ($6, $7, $8)".to_owned());
        }
        let sql = format!(
            "SELECT {} FROM balances{} ORDER BY chain, address, asset LIMIT $5",
            BalanceRow::COLUMNS,
            all_of(&parts),
        );
        let [chains, addresses, assets, set] = filter.values();
        let mut query = statement(sql)
            .bind(chains)
            .bind(addresses)
            .bind(assets)
            .bind(set)
            .bind(i64::from(limit));
        if let Some(after) = after {
            query = query
                .bind(after.chain.as_str())
                .bind(after.cell.address.as_str())
                .bind(after.cell.asset.as_str());
        }
        query
            .all(self.readers(), "read balances")
            .await?
            .iter()
            .map(BalanceRow::from_row)
            .collect()
    }

    /// How each of these addresses (in canonical form) stands with these assets; addresses of which
    /// nothing is known are left out.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn standings(
        &self,
        chain: &ChainName,
        addresses: &[&str],
        assets: &[&str],
    ) -> Result<HashMap<String, Standing>, LedgerError> {
        let sql = format!(
            "SELECT address, COUNT(*) AS cells, MIN(observed_at) AS oldest, \
             MAX(amount_key) AS most FROM balances \
             WHERE chain = $1 AND address IN {} AND asset IN {} GROUP BY address",
            self.engine().texts_of(2),
            self.engine().texts_of(3),
        );
        let rows = statement(sql)
            .bind(chain.as_str())
            .bind(texts(addresses))
            .bind(texts(assets))
            .all(self.readers(), "read how addresses stand")
            .await?;
        rows.iter()
            .map(|row| {
                let most: String = get(row, "balances", "most")?;
                let standing = Standing {
                    known: get_count(row, "balances", "cells")?,
                    oldest: get(row, "balances", "oldest")?,
                    is_funded: most.bytes().any(|digit| digit != b'0'),
                };
                Ok((get(row, "balances", "address")?, standing))
            })
            .collect()
    }

    /// Exact sums per chain and asset of the balances that `filter` lets through.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn totals(&self, filter: &BalanceFilter) -> Result<Vec<AssetTotal>, LedgerError> {
        // 2^256 amounts of 256 bits each would fit.
        type Sum = Uint<512, 8>;
        let mut totals: std::collections::BTreeMap<(ChainName, String), (AssetTotal, Sum)> =
            std::collections::BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.balances(filter, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.cursor());
            for row in page {
                let key = (row.chain.clone(), row.cell.asset.clone());
                let (total, sum) = totals.entry(key).or_insert_with(|| {
                    let total = AssetTotal {
                        chain: row.chain.clone(),
                        asset: row.cell.asset.clone(),
                        symbol: row.symbol.clone(),
                        decimals: row.decimals,
                        sum: String::new(),
                        cells: 0,
                        funded: 0,
                    };
                    (total, Sum::ZERO)
                });
                *sum += Sum::from(row.amount.0);
                total.cells += 1;
                total.funded += u64::from(!row.amount.0.is_zero());
            }
        }
        Ok(totals
            .into_values()
            .map(|(total, sum)| AssetTotal {
                sum: sum.to_string(),
                ..total
            })
            .collect())
    }

    /// At most `limit` changes with an id above `after`, oldest first.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn history(
        &self,
        filter: &BalanceFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<HistoryRow>, LedgerError> {
        let mut parts = filter.conditions(self.engine());
        parts.push("id > $5".to_owned());
        let sql = format!(
            "SELECT id, chain, address, asset, previous, amount, decimals, symbol, commitment, \
             provider, height, block_hash, observed_at, pass_id FROM history{} \
             ORDER BY id LIMIT $6",
            all_of(&parts),
        );
        let [chains, addresses, assets, set] = filter.values();
        statement(sql)
            .bind(chains)
            .bind(addresses)
            .bind(assets)
            .bind(set)
            .bind(after)
            .bind(i64::from(limit))
            .all(self.readers(), "read the history")
            .await?
            .iter()
            .map(HistoryRow::from_row)
            .collect()
    }
}

// === impl BalanceFilter ===

impl BalanceFilter {
    /// What must hold, over the parameters `$1` to `$4`.
    fn conditions(&self, engine: Engine) -> Vec<String> {
        let lists = [
            ("chain", self.chains.is_empty()),
            ("address", self.addresses.is_empty()),
            ("asset", self.assets.is_empty()),
        ]
        .into_iter()
        .zip(1..)
        .filter(|((_, empty), _)| !empty)
        .map(|((column, _), parameter)| format!("{column} IN {}", engine.texts_of(parameter)));
        let in_set = "(chain, address) IN \
            (SELECT chain, canonical FROM addresses WHERE set_name = $4)";
        let in_set = self.set.as_ref().map(|_| in_set.to_owned());
        let pairs = format!("chain || '/' || asset IN {}", engine.texts_of(3));
        let pairs = (!self.assets_of.is_empty()).then_some(pairs);
        lists.chain(in_set).chain(pairs).collect()
    }

    /// The parameters `$1` to `$4`; `$3` are assets, or pairs of chain and asset.
    fn values(&self) -> [String; 4] {
        [
            texts(self.chains.iter().map(ChainName::as_str)),
            texts(&self.addresses),
            if self.assets_of.is_empty() {
                texts(&self.assets)
            } else {
                let pairs = self.assets_of.iter();
                texts(pairs.map(|(chain, asset)| format!("{chain}/{asset}")))
            },
            self.set.clone().unwrap_or_default(),
        ]
    }
}

fn all_of(parts: &[String]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    format!(" WHERE {}", parts.join(" AND "))
}

fn get_pending(row: &AnyRow, table: &'static str) -> Result<Option<i128>, LedgerError> {
    let text: Option<String> = get(row, table, "pending")?;
    text.map(|text| {
        text.parse().map_err(|_| LedgerError::Row {
            table,
            reason: format!("`pending` is `{text}`"),
        })
    })
    .transpose()
}

fn get_decimals(row: &AnyRow, table: &'static str) -> Result<u8, LedgerError> {
    let value: i64 = get(row, table, "decimals")?;
    u8::try_from(value).map_err(|_| LedgerError::Row {
        table,
        reason: format!("`decimals` is {value}"),
    })
}

/// A height; a negative one is no height.
pub(super) fn get_height(
    row: &AnyRow,
    table: &'static str,
    column: &'static str,
) -> Result<Option<u64>, LedgerError> {
    let value: Option<i64> = get(row, table, column)?;
    Ok(value.and_then(|height| u64::try_from(height).ok()))
}
