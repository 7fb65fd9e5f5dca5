//! What came of it: each request, each reading.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use serde::Serialize;

use super::asked::Cell;
use crate::cli::CliError;
use crate::cli::output::{self, Out, Table, json_line, plain};
use crate::http::{Attempt, AttemptEnd, HttpObserver, Method};
use crate::plugin::{CallError, PluginFile};
use crate::scan::reconcile::{CellOutcome, Known, Settled};

/// How it is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli::plugins) enum TryFormat {
    /// For people.
    #[default]
    Table,
    /// One JSON object per line.
    Json,
}

/// The requests that were sent since the last look.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<Vec<Sent>>);

/// A request that is over.
#[derive(Clone, Debug, Serialize)]
struct Sent {
    method: &'static str,
    /// Without any key.
    url: String,
    status: Option<u16>,
    failure: Option<&'static str>,
    bytes: u64,
    elapsed_ms: u128,
}

impl HttpObserver for Requests {
    fn started(&self) {}

    fn finished(&self, attempt: &Attempt<'_>) {
        let (status, failure) = match attempt.end {
            AttemptEnd::Status(status) => (Some(status), None),
            AttemptEnd::Failed(class) => (None, Some(class.as_str())),
            AttemptEnd::Dropped => (None, Some("cancelled")),
        };
        let sent = Sent {
            method: match attempt.method {
                Method::Get => "GET",
                Method::Head => "HEAD",
                Method::Post => "POST",
            },
            url: attempt.url.to_owned(),
            status,
            failure,
            bytes: attempt.bytes,
            elapsed_ms: attempt.elapsed.as_millis(),
        };
        self.lock().push(sent);
    }
}

impl Requests {
    fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line of `--format json`.
#[derive(Debug, Serialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line<'a> {
    Plugin {
        name: &'a str,
        version: &'a str,
        sha256: &'a str,
        endpoint: &'a str,
    },
    Request(&'a Sent),
    Identity {
        identity: Option<&'a str>,
        checked: bool,
        error: Option<Failure<'a>>,
    },
    Reading(Reading<'a>),
}

#[derive(Debug, Serialize)]
struct Failure<'a> {
    class: &'static str,
    message: &'a str,
    http_status: Option<u16>,
}

#[derive(Debug, Serialize)]
struct Reading<'a> {
    address: &'a str,
    /// `None` is the native coin.
    contract: Option<&'a str>,
    status: &'static str,
    /// In the smallest unit, as `pending`.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
}

/// Prints what came of it as it comes.
pub(super) struct Told {
    out: Out,
    format: TryFormat,
    requests: Arc<Requests>,
    readings: Table,
}

impl Told {
    pub(super) fn new(format: TryFormat, requests: Arc<Requests>) -> Self {
        Self {
            out: output::stdout(),
            format,
            requests,
            readings: Table::new(&["ADDRESS", "ASSET", ">AMOUNT", ">PENDING", ">HEIGHT", "NOTE"]),
        }
    }

    pub(super) fn plugin(&mut self, file: &PluginFile, endpoint: &str) -> Result<(), CliError> {
        let (name, version) = (file.manifest.name.as_str(), &*file.manifest.version);
        if self.format == TryFormat::Json {
            let sha256 = &*file.sha256;
            return self.json(&Line::Plugin {
                name,
                version,
                sha256,
                endpoint,
            });
        }
        let line = plain(&format!("{name} {version} at {endpoint}"));
        writeln!(self.out, "{line}\n")?;
        Ok(self.out.flush()?)
    }

    pub(super) fn identity(
        &mut self,
        told: Result<&str, &CallError>,
        checked: bool,
    ) -> Result<(), CliError> {
        self.sent()?;
        if self.format == TryFormat::Json {
            return self.json(&Line::Identity {
                identity: told.ok(),
                checked,
                error: told.err().map(failure),
            });
        }
        let line = match told {
            Ok(identity) if checked => format!("identity: {identity}, as it should be"),
            Ok(identity) => format!("identity: {identity}; `--identity {identity}` checks it"),
            Err(error) => format!("identity: unknown: {}: {}", error.class, error.message),
        };
        writeln!(self.out, "{}\n", plain(&line))?;
        Ok(self.out.flush()?)
    }

    /// The readings of one call; whether all of them are amounts.
    pub(super) fn readings(
        &mut self,
        cells: &[Cell],
        settled: Result<Vec<Settled>, CallError>,
    ) -> Result<bool, CliError> {
        self.sent()?;
        let outcomes: Vec<CellOutcome> = match settled {
            Ok(settled) => settled.into_iter().map(|(_, _, outcome)| outcome).collect(),
            Err(error) => vec![CellOutcome::Unknown(error); cells.len()],
        };
        let mut known = true;
        for (cell, outcome) in cells.iter().zip(&outcomes) {
            known &= matches!(outcome, CellOutcome::Known(_));
            let reading = reading(cell, outcome);
            match self.format {
                TryFormat::Json => self.json(&Line::Reading(reading))?,
                TryFormat::Table => self.readings.row(cells_of(&reading)),
            }
        }
        Ok(known)
    }

    pub(super) fn end(mut self) -> Result<(), CliError> {
        if self.format == TryFormat::Table {
            writeln!(self.out)?;
            self.readings.print(&mut self.out)?;
            writeln!(self.out, "\namounts are in the smallest unit")?;
        }
        Ok(self.out.flush()?)
    }

    /// The requests since the last call.
    fn sent(&mut self) -> Result<(), CliError> {
        for sent in self.requests.take() {
            if self.format == TryFormat::Json {
                self.json(&Line::Request(&sent))?;
                continue;
            }
            let status = sent.status.map(|status| status.to_string());
            let end = status.unwrap_or_else(|| sent.failure.unwrap_or_default().to_owned());
            let line = format!(
                "{:<4}  {end:>3}  {:>7} bytes  {:>5} ms  {}",
                sent.method, sent.bytes, sent.elapsed_ms, sent.url
            );
            writeln!(self.out, "{}", plain(&line))?;
        }
        Ok(self.out.flush()?)
    }

    fn json(&mut self, line: &Line<'_>) -> Result<(), CliError> {
        json_line(&mut self.out, line)?;
        Ok(self.out.flush()?)
    }
}

fn failure(error: &CallError) -> Failure<'_> {
    Failure {
        class: error.class.as_str(),
        message: &error.message,
        http_status: error.http_status,
    }
}

fn reading<'a>(cell: &'a Cell, outcome: &'a CellOutcome) -> Reading<'a> {
    let blank = Reading {
        address: &cell.address,
        contract: cell.asset.contract.as_deref(),
        status: "unknown",
        amount: None,
        pending: None,
        height: None,
        block_hash: None,
        error: None,
    };
    match outcome {
        CellOutcome::Known(Known {
            amount,
            pending,
            height,
            block_hash,
            used: _,
        }) => Reading {
            status: "known",
            amount: Some(amount.to_string()),
            pending: pending.map(|pending| pending.to_string()),
            height: *height,
            block_hash: block_hash.as_deref(),
            ..blank
        },
        CellOutcome::Unknown(error) => Reading {
            error: Some(failure(error)),
            ..blank
        },
        CellOutcome::Invalid(error) => Reading {
            status: "invalid",
            error: Some(failure(error)),
            ..blank
        },
    }
}

fn cells_of(reading: &Reading<'_>) -> Vec<String> {
    let number = |value: Option<u64>| value.map(|it| it.to_string()).unwrap_or_default();
    let note = reading.error.as_ref();
    let note = note.map(|error| format!("{}: {}", error.class, error.message));
    vec![
        reading.address.to_owned(),
        reading.contract.unwrap_or("native").to_owned(),
        // What is no amount is told by its name.
        reading
            .amount
            .clone()
            .unwrap_or_else(|| reading.status.to_owned()),
        reading.pending.clone().unwrap_or_default(),
        number(reading.height),
        note.unwrap_or_default(),
    ]
}
