//! Balances and changes in the three formats, page by page.

use std::collections::BTreeMap;
use std::io::Write;
use std::marker::PhantomData;

use ruint::aliases::U256;
use serde::Serialize;

use super::super::CliError;
use super::super::output::{Format, Out, Table, age, json_line};
use crate::clock::rfc3339;
use crate::ledger::{BalanceRow, HistoryRow};
use crate::model::Amount;

/// A row in every format; its fields in their order are the columns of JSON and CSV.
pub(super) trait Line: Serialize {
    /// The header of CSV.
    const COLUMNS: &'static [&'static str];
    /// The headings of the table.
    const HEADINGS: &'static [&'static str];

    /// The row of the table.
    fn cells(&self, now_ms: i64) -> Vec<String>;
}

/// The last good value of a cell, in the shape of a scan's known rows.
#[derive(Debug, Serialize)]
pub(super) struct BalanceLine {
    chain: String,
    address: String,
    asset: String,
    status: &'static str,
    amount: String,
    pending: Option<String>,
    decimals: u8,
    commitment: String,
    scope: String,
    provider: String,
    height: Option<u64>,
    block_hash: Option<String>,
    observed_at: String,
    #[serde(skip)]
    amounts: (Amount, Option<i128>),
    #[serde(skip)]
    observed_ms: i64,
}

/// One change of a balance; no `previous` where none was known.
#[derive(Debug, Serialize)]
pub(super) struct HistoryLine {
    chain: String,
    address: String,
    asset: String,
    previous: Option<String>,
    amount: String,
    decimals: u8,
    commitment: String,
    provider: String,
    height: Option<u64>,
    block_hash: Option<String>,
    at: String,
    #[serde(skip)]
    amounts: (Option<Amount>, Amount),
}

/// Prints lines of one kind.
#[derive(Debug)]
pub(super) struct Printer<L> {
    format: Format,
    now_ms: i64,
    header_done: bool,
    table: Table,
    rows: u64,
    lines: PhantomData<fn(&L)>,
}

/// Exact sums per chain and asset.
#[derive(Debug, Default)]
pub(super) struct Totals(BTreeMap<TotalKey, Total>);

/// An asset that was read with other decimals is summed apart.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TotalKey {
    chain: String,
    asset: String,
    symbol: String,
    decimals: u8,
}

#[derive(Debug)]
struct Total {
    /// `None` past 2^256, which only a lie reaches.
    sum: Option<U256>,
    cells: u64,
    funded: u64,
}

// === impl BalanceLine ===

impl From<BalanceRow> for BalanceLine {
    fn from(row: BalanceRow) -> Self {
        Self {
            chain: row.chain.to_string(),
            address: row.cell.address,
            asset: row.symbol.to_string(),
            status: "known",
            amount: row.amount.to_string(),
            pending: row.pending.map(|pending| pending.to_string()),
            decimals: row.decimals,
            commitment: row.commitment,
            scope: row.scope,
            provider: row.provider.to_string(),
            height: row.height,
            block_hash: row.block_hash,
            observed_at: rfc3339(row.observed_at),
            amounts: (row.amount, row.pending),
            observed_ms: row.observed_at,
        }
    }
}

impl Line for BalanceLine {
    const COLUMNS: &'static [&'static str] = &[
        "chain",
        "address",
        "asset",
        "status",
        "amount",
        "pending",
        "decimals",
        "commitment",
        "scope",
        "provider",
        "height",
        "block_hash",
        "observed_at",
    ];
    const HEADINGS: &'static [&'static str] = &[
        "CHAIN", "ADDRESS", "ASSET", ">AMOUNT", ">PENDING", ">AGE", "PROVIDER", ">HEIGHT",
    ];

    fn cells(&self, now_ms: i64) -> Vec<String> {
        let (amount, pending) = self.amounts;
        let pending = pending.filter(|pending| *pending != 0);
        let pending = pending.map(|pending| signed_in_coins(pending, self.decimals));
        vec![
            self.chain.clone(),
            self.address.clone(),
            self.asset.clone(),
            amount.in_coins(self.decimals),
            pending.unwrap_or_default(),
            age(now_ms, self.observed_ms),
            self.provider.clone(),
            told(self.height),
        ]
    }
}

// === impl HistoryLine ===

impl From<HistoryRow> for HistoryLine {
    fn from(row: HistoryRow) -> Self {
        Self {
            chain: row.chain.to_string(),
            address: row.cell.address,
            asset: row.symbol.to_string(),
            previous: row.previous.map(|amount| amount.to_string()),
            amount: row.amount.to_string(),
            decimals: row.decimals,
            commitment: row.commitment,
            provider: row.provider.to_string(),
            height: row.height,
            block_hash: row.block_hash,
            at: rfc3339(row.observed_at),
            amounts: (row.previous, row.amount),
        }
    }
}

impl Line for HistoryLine {
    const COLUMNS: &'static [&'static str] = &[
        "chain",
        "address",
        "asset",
        "previous",
        "amount",
        "decimals",
        "commitment",
        "provider",
        "height",
        "block_hash",
        "at",
    ];
    const HEADINGS: &'static [&'static str] = &[
        "AT",
        "CHAIN",
        "ADDRESS",
        "ASSET",
        ">PREVIOUS",
        ">AMOUNT",
        "PROVIDER",
        ">HEIGHT",
    ];

    fn cells(&self, _now_ms: i64) -> Vec<String> {
        let (previous, amount) = self.amounts;
        vec![
            self.at.clone(),
            self.chain.clone(),
            self.address.clone(),
            self.asset.clone(),
            previous.map_or_else(
                || "unknown".to_owned(),
                |amount| amount.in_coins(self.decimals),
            ),
            amount.in_coins(self.decimals),
            self.provider.clone(),
            told(self.height),
        ]
    }
}

// === impl Printer ===

impl<L: Line> Printer<L> {
    pub(super) fn new(format: Format, now_ms: i64) -> Self {
        Self {
            format,
            now_ms,
            header_done: false,
            table: Table::new(L::HEADINGS),
            rows: 0,
            lines: PhantomData,
        }
    }

    pub(super) fn page(&mut self, out: &mut Out, lines: &[L]) -> Result<(), CliError> {
        self.rows += lines.len() as u64;
        match self.format {
            Format::Json => lines.iter().try_for_each(|line| json_line(out, line)),
            Format::Csv => self.csv(out, lines),
            Format::Table => {
                for line in lines {
                    self.table.row(line.cells(self.now_ms));
                }
                self.table.print_page(out)
            }
        }
    }

    /// How many rows there were.
    pub(super) fn finish(mut self, out: &mut Out) -> Result<u64, CliError> {
        if self.format == Format::Csv {
            self.csv(out, &[])?;
        }
        Ok(self.rows)
    }

    fn csv(&mut self, out: &mut Out, lines: &[L]) -> Result<(), CliError> {
        let mut writer = csv::WriterBuilder::new()
            .has_headers(false)
            .from_writer(out);
        if !std::mem::replace(&mut self.header_done, true) {
            writer.write_record(L::COLUMNS)?;
        }
        for line in lines {
            writer.serialize(line)?;
        }
        Ok(writer.flush()?)
    }
}

// === impl Totals ===

impl Totals {
    pub(super) fn add(&mut self, rows: &[BalanceRow]) {
        for row in rows {
            let total = self.0.entry(TotalKey {
                chain: row.chain.to_string(),
                asset: row.cell.asset.clone(),
                symbol: row.symbol.to_string(),
                decimals: row.decimals,
            });
            let total = total.or_insert(Total {
                sum: Some(U256::ZERO),
                cells: 0,
                funded: 0,
            });
            total.sum = total.sum.and_then(|sum| sum.checked_add(row.amount.0));
            total.cells += 1;
            total.funded += u64::from(!row.amount.0.is_zero());
        }
    }

    pub(super) fn print(&self, out: &mut Out) -> Result<(), CliError> {
        let mut table = Table::new(&["CHAIN", "ASSET", ">TOTAL", ">KNOWN", ">NON-ZERO"]);
        for (key, total) in &self.0 {
            table.row(vec![
                key.chain.clone(),
                key.symbol.clone(),
                total.sum.map_or_else(
                    || "more than 2^256".to_owned(),
                    |sum| Amount(sum).in_coins(key.decimals),
                ),
                total.cells.to_string(),
                total.funded.to_string(),
            ]);
        }
        writeln!(out)?;
        table.print(out)
    }
}

fn told(height: Option<u64>) -> String {
    height.map_or_else(String::new, |height| height.to_string())
}

fn signed_in_coins(amount: i128, decimals: u8) -> String {
    let sign = if amount < 0 { "-" } else { "+" };
    let amount = Amount(U256::from(amount.unsigned_abs()));
    format!("{sign}{}", amount.in_coins(decimals))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::CellName;

    fn row(amount: &str) -> BalanceRow {
        BalanceRow {
            chain: "btc".into(),
            cell: CellName {
                address: "bc1q".to_owned(),
                asset: String::new(),
            },
            amount: amount.parse().unwrap(),
            pending: Some(-2_500),
            decimals: 8,
            symbol: "BTC".into(),
            commitment: "confirmed".to_owned(),
            scope: "wallet".to_owned(),
            provider: "blockstream".into(),
            height: Some(870_000),
            block_hash: None,
            observed_at: 1_795_219_200_000,
            pass: "p".into(),
        }
    }

    fn change(previous: Option<&str>) -> HistoryRow {
        let row = row("7");
        HistoryRow {
            id: 1,
            chain: row.chain,
            cell: row.cell,
            previous: previous.map(|amount| amount.parse().unwrap()),
            amount: row.amount,
            decimals: row.decimals,
            symbol: row.symbol,
            commitment: row.commitment,
            provider: row.provider,
            height: row.height,
            block_hash: row.block_hash,
            observed_at: row.observed_at,
            pass: row.pass,
        }
    }

    #[track_caller]
    fn check_columns<L: Line>(line: &L) {
        let json = serde_json::to_string(line).unwrap();
        let mut rest = json.as_str();
        for column in L::COLUMNS {
            let name = format!("\"{column}\":");
            let at = rest
                .find(&name)
                .unwrap_or_else(|| panic!("{column} in {json}"));
            rest = &rest[at + name.len()..];
        }
        let fields = serde_json::to_value(line).unwrap();
        assert_eq!(fields.as_object().unwrap().len(), L::COLUMNS.len());
        assert_eq!(line.cells(0).len(), L::HEADINGS.len());
    }

    #[test]
    fn csv_and_json_have_the_same_columns() {
        check_columns(&BalanceLine::from(row("100000")));
        check_columns(&HistoryLine::from(change(None)));
    }

    #[test]
    fn a_balance_is_told_like_a_known_row_of_a_scan() {
        let line = serde_json::to_string(&BalanceLine::from(row("100000"))).unwrap();
        assert_eq!(
            line,
            r#"{"chain":"btc","address":"bc1q","asset":"BTC","status":"known","amount":"100000","pending":"-2500","decimals":8,"commitment":"confirmed","scope":"wallet","provider":"blockstream","height":870000,"block_hash":null,"observed_at":"2026-11-21T00:00:00.000Z"}"#
        );
    }

    #[test]
    fn people_see_coins_and_age() {
        let cells = BalanceLine::from(row("150000000")).cells(1_795_219_200_000 + 90_000);
        assert_eq!(
            cells[3..],
            ["1.5", "-0.000025", "1m", "blockstream", "870000"]
        );
    }

    #[test]
    fn what_was_never_known_is_no_zero() {
        assert_eq!(HistoryLine::from(change(None)).cells(0)[4], "unknown");
        assert_eq!(HistoryLine::from(change(Some("0"))).cells(0)[4], "0");
        let json = serde_json::to_value(HistoryLine::from(change(None))).unwrap();
        assert_eq!(json["previous"], serde_json::Value::Null);
    }

    #[test]
    fn a_sum_is_exact_or_none() {
        let mut totals = Totals::default();
        let max = U256::MAX.to_string();
        totals.add(&[row(&max), row("0")]);
        let sum = |totals: &Totals| totals.0.values().next().unwrap().sum;
        assert_eq!(sum(&totals), Some(U256::MAX));
        totals.add(&[row("1")]);
        totals.add(&[row("1")]);
        assert_eq!(sum(&totals), None);
        let total = totals.0.values().next().unwrap();
        assert_eq!((total.cells, total.funded), (4, 3));
    }
}
