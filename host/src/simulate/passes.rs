//! The passes of a simulation, one after the other, and what came of each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::SimulateError;
use super::checks;
use super::report::{PassReport, Report};
use super::stage::{START_MS, Stage};
use super::world::{CellIndex, index_of};
use crate::config::{OnMismatch, ScanAt, Scenario};
use crate::gate::Transition;
use crate::ledger::{EventFilter, PassEnd, PassKind, PassSpec, StoredEvent};
use crate::model::{Amount, Commitment, Reason};
use crate::scan::ScanError;
use crate::scan::engine::{Ending, Engine, Patience, Progress};
use crate::scan::plan::Plan;
use crate::scan::report::{LastGood, Report as Rows, Row};

/// How often what gates tell is taken from them: they keep the newest thousand transitions.
const LISTEN_EVERY: Duration = Duration::from_secs(60);
/// A pass that takes longer is stopped: it would never end.
const PASS_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the whole simulation left, for the checks.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) stage: Stage,
    pub(super) passes: Vec<PassReport>,
    /// By provider, in the order of the pool.
    pub(super) transitions: Vec<Vec<Transition>>,
    pub(super) events: Vec<StoredEvent>,
    pub(super) rows: RowFaults,
    pub(super) took: Duration,
}

/// What is wrong with the rows of all passes; the first of each kind is told.
#[derive(Debug, Default)]
pub(super) struct RowFaults {
    pub(super) untrue: Faults,
    pub(super) count: Faults,
    pub(super) last: Faults,
    pub(super) unexplained: Faults,
    /// The passes that cells were last known in.
    known: HashMap<CellIndex, u32>,
}

/// How often something was wrong, and the first time in words.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) count: u64,
    pub(super) first: Option<String>,
}

/// Runs every pass, then judges.
pub(super) async fn run(scenario: &Scenario, seed: u64) -> Result<Report, SimulateError> {
    let stage = Stage::new(scenario, seed).await?;
    let began = stage.clock.now();
    let mut record = Record {
        transitions: vec![Vec::new(); stage.providers.len()],
        stage,
        passes: Vec::new(),
        events: Vec::new(),
        rows: RowFaults::default(),
        took: Duration::ZERO,
    };
    for number in 0..scenario.scan.passes {
        let start = began + scenario.scan.every * number;
        record.idle_until(start).await;
        record.pass(scenario, number).await?;
    }
    record.took = record.stage.clock.now() - began;
    record.events = all_events(&record.stage).await?;
    let report = checks::judge(scenario, seed, &record);
    record.stage.ledger.close().await;
    Ok(report)
}

impl Record {
    async fn idle_until(&mut self, start: tokio::time::Instant) {
        let transitions = &mut self.transitions;
        tokio::select! {
            () = tokio::time::sleep_until(start) => {}
            () = listen(&self.stage, transitions) => {}
        }
    }

    async fn pass(&mut self, scenario: &Scenario, number: u32) -> Result<(), SimulateError> {
        let stage = &self.stage;
        stage.world.begin_pass(number);
        let began = stage.clock.now();
        let cells = u64::from(scenario.addresses) * u64::from(scenario.assets);
        let spec = PassSpec {
            chain: stage.chain.clone(),
            kind: PassKind::Set,
            fingerprint: "simulation".to_owned(),
            cells,
            resume_within: None,
        };
        let pass = stage.ledger.begin_pass(spec).await?;
        let cancel = CancellationToken::new();
        let engine = Engine {
            chain: &stage.chain,
            pool: &stage.pool,
            assets: stage.assets.clone(),
            commitment: Commitment::Latest,
            at: ScanAt::Newest,
            sample: None,
            on_mismatch: OnMismatch::Event,
            sink: Arc::new(stage.ledger.clone()),
            patience: Patience {
                budget: scenario.scan.budget,
                max_pool_failures: scenario.scan.max_pool_failures,
            },
            clock: stage.clock.clone(),
            cancel: cancel.clone(),
            progress: Arc::new(Progress::default()),
        };
        let plan = Plan::new(
            &stage.list,
            &stage.assets,
            &stage.chain,
            &pass,
            &stage.ledger,
        )?;
        let stop = async {
            tokio::time::sleep(PASS_MAX).await;
            cancel.cancel();
            std::future::pending::<()>().await;
        };
        let outcome = tokio::select! {
            outcome = engine.run(&pass, plan) => outcome?,
            () = listen(stage, &mut self.transitions) => unreachable!("it listens until dropped"),
            () = stop => unreachable!("it stops the engine, not itself"),
        };
        take_transitions(stage, &mut self.transitions);
        let (ending, end) = match outcome.ending {
            Ending::Complete => ("complete", PassEnd::Complete),
            Ending::GaveUp { message } => ("gave_up", PassEnd::GaveUp { message }),
            Ending::Cancelled => {
                let message = "it did not end by itself".to_owned();
                let resumable = false;
                ("endless", PassEnd::Cancelled { message, resumable })
            }
        };
        stage.ledger.end_pass(&pass.id, end, Vec::new()).await?;
        let took = stage.clock.now() - began;
        let mut report = PassReport {
            number,
            ending: ending.to_owned(),
            began_ms: stage.clock.unix_ms() - START_MS - millis(took),
            took_ms: millis(took),
            cells,
            known: 0,
            unknown: 0,
        };
        self.read_rows(&pass.id, &outcome.rest, &mut report).await?;
        self.passes.push(report);
        Ok(())
    }

    /// Reads what an operator would be told, cell by cell, and holds it against the truth.
    async fn read_rows(
        &mut self,
        pass: &crate::model::PassId,
        rest: &Reason,
        report: &mut PassReport,
    ) -> Result<(), SimulateError> {
        let stage = &self.stage;
        let rows = Rows {
            chain: &stage.chain,
            pass: Some(pass.clone()),
            assets: &stage.assets,
            rest,
            ledger: &stage.ledger,
        };
        let faults = &mut self.rows;
        let mut place = 0_u64;
        let assets = stage.assets.len() as u64;
        let mut tell = |row: Row| -> Result<(), ScanError> {
            let expected = (place / assets, place % assets);
            place += 1;
            faults.look(stage, expected, &row, report);
            Ok(())
        };
        rows.tell(&stage.list, &mut tell).await?;
        if place != report.cells {
            let number = report.number;
            faults
                .count
                .note(format!("pass {number}: {place} rows of {}", report.cells));
        }
        Ok(())
    }
}

impl RowFaults {
    /// Judges one row, which should be about the address and asset of `expected`.
    fn look(&mut self, stage: &Stage, expected: (u64, u64), row: &Row, report: &mut PassReport) {
        let pass = report.number;
        let (Row::Known { cell, .. } | Row::Unknown { cell, .. } | Row::Invalid { cell, .. }) = row;
        let symbol = stage
            .assets
            .get(usize::try_from(expected.1).unwrap_or(usize::MAX));
        let is_next = cell.index == Some(expected.0)
            && cell.asset.as_deref() == symbol.map(|asset| asset.symbol.as_str());
        let index = index_of(&cell.address).zip(u16::try_from(expected.1).ok());
        let Some(index) = index.filter(|_| is_next) else {
            let told = format!("pass {pass}: an unexpected row for {}", cell.address);
            return self.count.note(told);
        };
        match row {
            Row::Known { amount, .. } => {
                report.known += 1;
                let truth = stage.world.amount(index);
                if *amount != truth || !stage.world.was_told(index) {
                    let address = &cell.address;
                    let told = format!("pass {pass}: {address} is {amount}, in truth {truth}");
                    self.untrue.note(told);
                }
                self.known.insert(index, pass);
            }
            Row::Unknown { error, last, .. } => {
                report.unknown += 1;
                if error.message.is_empty() || error.providers.is_empty() {
                    self.unexplained
                        .note(format!("pass {pass}: {}", cell.address));
                }
                let known = self.known.get(&index);
                let expected = known.map(|pass| stage.world.amount_in(index, *pass));
                let kept = last.as_ref().map(|LastGood { amount, .. }| *amount);
                if kept != expected {
                    let word = |it: Option<Amount>| {
                        it.map_or_else(|| "nothing".into(), |it| it.to_string())
                    };
                    let (kept, expected) = (word(kept), word(expected));
                    let address = &cell.address;
                    let told = format!("pass {pass}: {address} keeps {kept} instead of {expected}");
                    self.last.note(told);
                }
            }
            Row::Invalid { .. } => self.count.note(format!("pass {pass}: an invalid row")),
        }
    }
}

impl Faults {
    fn note(&mut self, told: String) {
        self.count += 1;
        self.first.get_or_insert(told);
    }
}

/// Takes what gates tell, now and then, until it is dropped.
async fn listen(stage: &Stage, transitions: &mut [Vec<Transition>]) {
    let mut ticks = tokio::time::interval(LISTEN_EVERY);
    loop {
        ticks.tick().await;
        take_transitions(stage, transitions);
    }
}

fn take_transitions(stage: &Stage, transitions: &mut [Vec<Transition>]) {
    for (member, told) in stage.pool.members.iter().zip(transitions) {
        told.extend(member.gate.take_transitions());
    }
}

async fn all_events(stage: &Stage) -> Result<Vec<StoredEvent>, SimulateError> {
    const PAGE: u32 = 1_000;
    let mut events: Vec<StoredEvent> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.id);
        let filter = EventFilter::default();
        let page = stage.ledger.events_after(after, &filter, PAGE).await?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page);
    }
}

/// Whole milliseconds, in which virtual time is counted.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
