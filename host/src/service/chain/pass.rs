//! One pass of the service, from request to last event, over as many setups as it takes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{OwnedRwLockReadGuard, RwLock, oneshot, watch};

use super::{Begun, Running, Shared, StartError, Stop, StopSign};
use crate::causes::with_causes;
use crate::ledger::{Pass, PassKind, PassStatus};
use crate::model::{Asset, PassId};
use crate::scan::ScanError;
use crate::scan::engine::{Ending, Patience, Progress};
use crate::scan::list::{AddressList, Remark};
use crate::scan::pass::{PassRun, RESUME_WITHIN, SettledCells, Stopped};
use crate::scan::source::{self, Source};
use crate::service::setup::ChainSetup;

/// From one `scan_progress` to the next.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Lines that were left out and are told; the rest is counted.
const INVALID_TOLD: usize = 100;

/// How a pass ended, for its chain.
#[derive(Debug)]
pub(super) struct Ended {
    /// Why it could not begin, or broke.
    pub(super) trouble: Option<String>,
    /// The set is to be scanned again at once.
    pub(super) again: bool,
}

/// A pass that is about to begin.
pub(super) struct PassTask {
    pub(super) shared: Shared,
    pub(super) setups: watch::Receiver<Option<Arc<ChainSetup>>>,
    pub(super) in_use: Arc<RwLock<()>>,
    pub(super) kind: PassKind,
    pub(super) source: Source,
    /// `None`: all of the chain.
    pub(super) assets: Option<Vec<Asset>>,
    pub(super) stop: StopSign,
    pub(super) scan: Arc<OnceLock<PassId>>,
}

/// What stays the same over all setups of a pass.
struct Work {
    list: AddressList,
    assets: Vec<Asset>,
    /// What is meant by its answers.
    meaning: String,
    /// Of a pass of some cells, which the set's pass may read too.
    settled: Option<Arc<SettledCells>>,
    progress: Arc<Progress>,
}

/// How one stretch of a pass, with one setup, ended.
enum Stretch {
    /// For good.
    Ended,
    /// The setup is replaced.
    Interrupted,
    /// The setup before it meant something else.
    Reconfigured,
}

impl Ended {
    const WELL: Self = Self {
        trouble: None,
        again: false,
    };
}

impl PassTask {
    pub(super) async fn run(
        mut self,
        begun: Option<oneshot::Sender<Result<Begun, StartError>>>,
    ) -> Ended {
        let (work, pass) = match self.begin().await {
            Ok((begin, work, pass)) => {
                if let Some(begun) = begun {
                    // Whoever asked has gone: the pass goes on.
                    let _ = begun.send(Ok(begin));
                }
                (work, pass)
            }
            Err(error) => {
                let trouble = with_causes(&error);
                if self.kind == PassKind::Set {
                    tracing::error!("a scan could not begin: {trouble}");
                }
                if let Some(begun) = begun {
                    let _ = begun.send(Err(error));
                }
                return Ended {
                    trouble: Some(trouble),
                    again: false,
                };
            }
        };
        let id = pass.id.clone();
        let ended = self.stretches(&work, pass).await;
        self.shared.all_running().remove(&id);
        ended
    }

    /// Reads the list and begins the pass.
    async fn begin(&mut self) -> Result<(Begun, Work, Pass), StartError> {
        let (setup, _in_use) = self.claim().await.ok_or(StartError::Stopping)?;
        let mut invalid = Vec::new();
        let mut left_out = 0_usize;
        let mut remark = |remark: Remark| {
            left_out += 1;
            if invalid.len() < INVALID_TOLD {
                let Remark {
                    file,
                    line,
                    message,
                } = remark;
                invalid.push(format!("{}:{line}: {message}", file.display()));
            }
        };
        let ChainSetup { chain, pool } = &*setup;
        let ledger = &self.shared.ledger;
        if self.kind == PassKind::Set {
            // What is new from here on is found by this pass.
            source::keep(chain, pool, ledger, ledger).await?;
        }
        let list = source::read(&self.source, chain, pool, Some(ledger), &mut remark).await?;
        if self.kind == PassKind::Spot && list.valid == 0 {
            return Err(StartError::NoAddress(invalid));
        }
        if left_out > 0 && self.kind == PassKind::Set {
            let (name, first) = (&chain.name, invalid.first());
            let first = first.map(String::as_str).unwrap_or_default();
            tracing::warn!(chain = %name, left_out, "chain `{name}`: {left_out} lines are left out; the first: {first}");
        }
        let work = Work {
            list,
            assets: self.assets.clone().unwrap_or_else(|| chain.assets.clone()),
            meaning: chain.fingerprint(),
            settled: (self.kind == PassKind::Spot).then(Arc::default),
            progress: Arc::default(),
        };
        let run = self.pass_run(&setup, &work);
        let pass = run.begin(Some(RESUME_WITHIN)).await?;
        // It is set once, here.
        let _ = self.scan.set(pass.id.clone());
        let begun = Begun {
            scan: pass.id.clone(),
            cells: run.cells(),
            invalid,
        };
        Ok((begun, work, pass))
    }

    /// Runs the pass with one setup after the other, until it ends.
    async fn stretches(&mut self, work: &Work, mut pass: Pass) -> Ended {
        loop {
            let Some((setup, guard)) = self.claim().await else {
                return self.end_waiting(&pass.id).await;
            };
            let stretch = self.stretch(&setup, work, &mut pass).await;
            drop(guard);
            match stretch {
                Ok(Stretch::Interrupted) => {}
                Ok(Stretch::Ended) => return Ended::WELL,
                Ok(Stretch::Reconfigured) => {
                    return Ended {
                        trouble: None,
                        again: self.kind == PassKind::Set,
                    };
                }
                Err(error) => {
                    let name = &setup.chain.name;
                    let causes = with_causes(&error);
                    tracing::error!(chain = %name, "the scan of chain `{name}` broke: {causes}");
                    return Ended {
                        trouble: Some(causes),
                        again: false,
                    };
                }
            }
        }
    }

    async fn stretch(
        &mut self,
        setup: &Arc<ChainSetup>,
        work: &Work,
        pass: &mut Pass,
    ) -> Result<Stretch, ScanError> {
        let run = self.pass_run(setup, work);
        if setup.chain.fingerprint() != work.meaning {
            let end = Stopped::RECONFIGURED.into();
            let ledger = &self.shared.ledger;
            ledger.end_pass(&pass.id, end, Vec::new()).await?;
            self.note_end(setup, pass, PassStatus::Cancelled);
            return Ok(Stretch::Reconfigured);
        }
        let is_first = self.shared.running(&pass.id).is_none();
        if !is_first {
            *pass = run.go_on(&pass.id).await?;
        }
        let settled = work
            .progress
            .settled
            .load(std::sync::atomic::Ordering::Relaxed);
        let running = Running {
            cells: run.cells(),
            progress: work.progress.clone(),
            since: self.shared.clock.now(),
            settled_before: settled,
        };
        self.shared.all_running().insert(pass.id.clone(), running);
        let outcome = {
            let mut engine = std::pin::pin!(run.run(pass));
            let ticker = self.tell_progress(&pass.id);
            tokio::select! {
                outcome = &mut engine => outcome,
                () = replaced(self.setups.clone()) => {
                    run.cancel.cancel();
                    engine.await
                }
                () = ticker => unreachable!("it tells until it is dropped"),
            }
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                run.end_broken(&pass.id, &error).await;
                self.note_end(setup, pass, PassStatus::Broken);
                return Err(error);
            }
        };
        let why = match (&outcome.ending, self.stop.why()) {
            (Ending::Cancelled, None) => return Ok(Stretch::Interrupted),
            // The next service goes on with it.
            (Ending::Cancelled, Some(Stop::ShutDown)) if self.kind == PassKind::Set => {
                return Ok(Stretch::Ended);
            }
            (_, Some(Stop::ShutDown)) => Stopped::SHUT_DOWN,
            (_, _) => Stopped::CANCELLED,
        };
        let ended = run.end(&pass.id, &outcome, why).await?;
        self.note_end(setup, pass, ended.status);
        Ok(Stretch::Ended)
    }

    fn note_end(&self, setup: &ChainSetup, pass: &Pass, status: PassStatus) {
        let took = self.shared.clock.unix_ms().saturating_sub(pass.started_at);
        let took = Duration::from_millis(u64::try_from(took).unwrap_or(0));
        let metrics = &self.shared.metrics;
        metrics.pass_ended(&setup.chain.name, self.kind, status, took);
    }

    /// Ends a pass that is stopped while it waits for a setup.
    async fn end_waiting(&self, pass: &PassId) -> Ended {
        let why = match (self.kind, self.stop.why()) {
            (_, Some(Stop::Cancelled)) => Stopped::CANCELLED,
            // The next service goes on with it.
            (PassKind::Set, _) => return Ended::WELL,
            (PassKind::Spot, _) => Stopped::SHUT_DOWN,
        };
        let ended = self
            .shared
            .ledger
            .end_pass(pass, why.into(), Vec::new())
            .await;
        Ended {
            trouble: ended.err().map(|error| with_causes(&error)),
            again: false,
        }
    }

    /// The setup to work with, which stays as long as the guard is held; `None` when the pass is to
    /// stop first.
    async fn claim(&mut self) -> Option<(Arc<ChainSetup>, OwnedRwLockReadGuard<()>)> {
        loop {
            self.ready().await?;
            let guard = self.in_use.clone().read_owned().await;
            // It may have been taken away while the guard was waited for.
            let setup = self.setups.borrow_and_update().clone();
            if let Some(setup) = setup {
                return Some((setup, guard));
            }
        }
    }

    /// The setup to work with; `None` when the pass is to stop first.
    async fn ready(&mut self) -> Option<Arc<ChainSetup>> {
        tokio::select! {
            biased;
            () = self.stop.token.cancelled() => None,
            // An error means that the chain's task has ended.
            setup = self.setups.wait_for(Option::is_some) => setup.ok()?.clone(),
        }
    }

    fn pass_run<'a>(&'a self, setup: &'a ChainSetup, work: &'a Work) -> PassRun<'a> {
        let scan = &setup.chain.scan;
        PassRun {
            chain: &setup.chain,
            assets: &work.assets,
            list: &work.list,
            pool: &setup.pool,
            kind: self.kind,
            patience: Patience {
                budget: scan.budget,
                max_pool_failures: scan.max_pool_failures,
            },
            ledger: &self.shared.ledger,
            clock: &self.shared.clock,
            settled: work.settled.clone(),
            cancel: self.stop.token.child_token(),
            progress: work.progress.clone(),
        }
    }

    /// Tells how far the pass is, as long as it is polled.
    async fn tell_progress(&self, id: &PassId) {
        let mut ticks = tokio::time::interval(PROGRESS_EVERY);
        let mut told = None;
        loop {
            ticks.tick().await;
            if !self.shared.feed.has_listeners() {
                continue;
            }
            let row = match self.shared.ledger.pass(id).await {
                Ok(Some(row)) if told != Some(row.counters) => row,
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(
                        "the progress of a pass cannot be read: {}",
                        crate::causes::with_causes(&error)
                    );
                    continue;
                }
            };
            told = Some(row.counters);
            let now = self.shared.clock.now();
            let eta_ms = self.shared.running(id).and_then(|it| it.eta_ms(now));
            let elapsed_ms = self.shared.clock.unix_ms().saturating_sub(row.started_at);
            let counters = row.counters;
            let data = json!({
                "scan": row.id,
                "chain": row.chain,
                "asked": counters.asked,
                "known": counters.known,
                "unknown": counters.unknown,
                "invalid": counters.invalid,
                "funded": counters.funded,
                "elapsed_ms": elapsed_ms.max(0),
                "eta_ms": eta_ms,
            });
            self.shared.feed.tell_progress(&row.chain, &data);
        }
    }
}

/// Ends when the setup that was seen last is taken away or another one stands in its place.
async fn replaced(mut setups: watch::Receiver<Option<Arc<ChainSetup>>>) {
    if setups.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
