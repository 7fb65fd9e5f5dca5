//! Rows of a scan in the three formats.

use std::collections::BTreeMap;
use std::io::Write;

use ruint::aliases::U256;

use super::CliError;
use super::output::{Format, Out, Table, json_line};
use crate::model::{Amount, Reason};
use crate::scan::report::{Row, RowCell};

const CSV_HEADER: [&str; 16] = [
    "chain",
    "address",
    "index",
    "label",
    "asset",
    "status",
    "amount",
    "pending",
    "decimals",
    "commitment",
    "scope",
    "provider",
    "height",
    "observed_at",
    "error_class",
    "error_message",
];

/// Prints rows as they come; the table for people is held back for its widths and totals.
#[derive(Debug)]
pub(super) struct RowPrinter {
    format: Format,
    all: bool,
    header_done: bool,
    table: Table,
    /// Reasons that stand below the table, each once.
    reasons: Vec<String>,
    totals: BTreeMap<(String, String), Total>,
}

#[derive(Debug, Default)]
struct Total {
    sum: U256,
    decimals: u8,
    known: u64,
    funded: u64,
    unknown: u64,
}

impl RowPrinter {
    pub(super) fn new(format: Format, all: bool) -> Self {
        let headings = [
            "CHAIN", "ADDRESS", "ASSET", ">AMOUNT", ">PENDING", "PROVIDER", ">HEIGHT", "NOTE",
        ];
        Self {
            format,
            all,
            header_done: false,
            table: Table::new(&headings),
            reasons: Vec::new(),
            totals: BTreeMap::new(),
        }
    }

    pub(super) fn row(&mut self, out: &mut Out, row: &Row) -> Result<(), CliError> {
        match self.format {
            Format::Json => json_line(out, row),
            Format::Csv => self.csv(out, row),
            Format::Table => {
                self.add(row);
                self.table.spill()
            }
        }
    }

    pub(super) fn finish(&mut self, out: &mut Out) -> Result<(), CliError> {
        match self.format {
            Format::Json => Ok(()),
            Format::Csv => self.csv_header(out),
            Format::Table => self.print_table(out),
        }
    }

    fn csv_header(&mut self, out: &mut Out) -> Result<(), CliError> {
        if !std::mem::replace(&mut self.header_done, true) {
            let mut writer = csv::Writer::from_writer(out);
            writer.write_record(CSV_HEADER)?;
            writer.flush()?;
        }
        Ok(())
    }

    fn csv(&mut self, out: &mut Out, row: &Row) -> Result<(), CliError> {
        self.csv_header(out)?;
        let text = |value: Option<String>| value.unwrap_or_default();
        let (cell, rest) = match row {
            Row::Known {
                cell,
                amount,
                pending,
                decimals,
                commitment,
                scope,
                provider,
                height,
                observed_at,
                ..
            } => {
                let rest = [
                    amount.to_string(),
                    text(pending.map(|pending| pending.to_string())),
                    decimals.to_string(),
                    commitment.clone(),
                    scope.clone(),
                    provider.clone(),
                    text(height.map(|height| height.to_string())),
                    observed_at.clone(),
                    String::new(),
                    String::new(),
                ];
                (cell, rest)
            }
            Row::Unknown { cell, error, .. } => {
                let message = full_message(error);
                (cell, failed(error.class.as_str(), &message))
            }
            Row::Invalid { cell, error, .. } => {
                (cell, failed(error.class.as_str(), &error.message))
            }
        };
        let RowCell {
            chain,
            address,
            index,
            label,
            asset,
            status,
        } = cell;
        let start = [
            chain.to_string(),
            address.clone(),
            text(index.map(|index| index.to_string())),
            text(label.clone()),
            text(asset.clone()),
            (*status).to_owned(),
        ];
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(start.iter().chain(&rest))?;
        Ok(writer.flush()?)
    }

    fn add(&mut self, row: &Row) {
        match row {
            Row::Known {
                cell,
                amount,
                pending,
                decimals,
                provider,
                height,
                ..
            } => {
                let total = self.total(cell);
                total.known += 1;
                total.decimals = *decimals;
                // Amounts are below 2^256 and so are sums of what exists; a lie must not wrap.
                total.sum = total.sum.saturating_add(amount.0);
                let zero = amount.0.is_zero();
                total.funded += u64::from(!zero);
                if zero && pending.unwrap_or(0) == 0 && !self.all {
                    return;
                }
                let pending = pending.filter(|pending| *pending != 0);
                let pending = pending.map(|pending| signed_in_coins(pending, *decimals));
                let height = height.map(|height| height.to_string());
                let amount = amount.in_coins(*decimals);
                self.push(
                    cell,
                    [
                        amount,
                        pending.unwrap_or_default(),
                        provider.clone(),
                        height.unwrap_or_default(),
                        String::new(),
                    ],
                );
            }
            Row::Unknown { cell, error, last } => {
                self.total(cell).unknown += 1;
                let last = last
                    .as_ref()
                    .map(|last| format!(", last known {}", last.amount));
                let note = self.note(error) + &last.unwrap_or_default();
                let unknown = "unknown".to_owned();
                self.push(
                    cell,
                    [unknown, String::new(), String::new(), String::new(), note],
                );
            }
            Row::Invalid { cell, error, line } => {
                let note = format!("line {line}: {}", error.message);
                let invalid = "invalid".to_owned();
                self.push(
                    cell,
                    [invalid, String::new(), String::new(), String::new(), note],
                );
            }
        }
    }

    /// A reason's class and its number below the table.
    fn note(&mut self, reason: &Reason) -> String {
        let message = full_message(reason);
        let known = self.reasons.iter().position(|known| *known == message);
        let number = known.unwrap_or_else(|| {
            self.reasons.push(message);
            self.reasons.len() - 1
        });
        format!("{} [{}]", reason.class, number + 1)
    }

    fn total(&mut self, cell: &RowCell) -> &mut Total {
        let asset = cell.asset.clone().unwrap_or_default();
        self.totals
            .entry((cell.chain.to_string(), asset))
            .or_default()
    }

    fn push(&mut self, cell: &RowCell, rest: [String; 5]) {
        let asset = cell.asset.clone().unwrap_or_default();
        let start = [cell.chain.to_string(), cell.address.clone(), asset];
        self.table.row(start.into_iter().chain(rest).collect());
    }

    fn print_table(&self, out: &mut Out) -> Result<(), CliError> {
        if !self.table.is_empty() {
            self.table.print(out)?;
            for (index, reason) in self.reasons.iter().enumerate() {
                writeln!(out, "[{}] {reason}", index + 1)?;
            }
            writeln!(out)?;
        }
        let mut totals = Table::new(&[
            "CHAIN",
            "ASSET",
            ">TOTAL",
            ">KNOWN",
            ">NON-ZERO",
            ">UNKNOWN",
        ]);
        for ((chain, asset), total) in &self.totals {
            let sum = match total.known {
                0 => "unknown".to_owned(),
                _ => Amount(total.sum).in_coins(total.decimals),
            };
            totals.row(vec![
                chain.clone(),
                asset.clone(),
                sum,
                total.known.to_string(),
                total.funded.to_string(),
                total.unknown.to_string(),
            ]);
        }
        totals.print(out)
    }
}

fn failed(class: &str, message: &str) -> [String; 10] {
    let mut rest: [String; 10] = Default::default();
    rest[8] = class.to_owned();
    rest[9] = message.to_owned();
    rest
}

/// The reason with every provider's word and class.
fn full_message(reason: &Reason) -> String {
    let mut text = format!("{}: {}", reason.class, reason.message);
    for said in &reason.providers {
        let told = format!("{}: {}", said.provider, said.message);
        // A reason of one provider is told in the message already, behind its class.
        if said.class != reason.class || !text.contains(&told) {
            text = format!(
                "{text}; {}: {}: {}",
                said.provider, said.class, said.message
            );
        }
    }
    text
}

fn signed_in_coins(amount: i128, decimals: u8) -> String {
    let sign = if amount < 0 { "-" } else { "+" };
    format!(
        "{sign}{}",
        Amount(U256::from(amount.unsigned_abs())).in_coins(decimals)
    )
}
