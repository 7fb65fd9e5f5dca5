//! One task per chain: it begins passes by schedule and by request, one pass of the set at a time.
//!
//! Chains know nothing of each other and run side by side. What a chain works by is a
//! [`ChainSetup`], which a reload replaces: passes are interrupted between two chunks, the gates are
//! written down, and the same passes go on with the new providers. Nothing that was committed is
//! asked again.

mod pass;
mod schedule;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{RwLock, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::pass::{Ended, PassTask};
use super::feed::Feed;
use super::metrics::Metrics;
use super::setup::ChainSetup;
use crate::clock::SharedClock;
use crate::ledger::{Ledger, LedgerError, PassEnd, PassKind, PassStatus};
use crate::model::{Asset, PassId};
use crate::pool::record::Recorder;
use crate::scan::engine::Progress;
use crate::scan::idle;
use crate::scan::pass::RESUME_WITHIN;
use crate::scan::source::{Source, SourceError};

/// Passes of some cells that a chain runs at once.
const SPOTS_MAX: usize = 8;
/// Requests that wait for a chain's task.
const INBOX: usize = 64;

/// What all chains share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) ledger: Ledger,
    pub(super) clock: SharedClock,
    pub(super) feed: Feed,
    pub(super) metrics: Metrics,
    /// The passes at work in this process.
    pub(super) running: Arc<Mutex<BTreeMap<PassId, Running>>>,
}

/// A pass at work, for whoever wants to know how far it is.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) cells: u64,
    pub(super) progress: Arc<Progress>,
    /// When this process took it up, and how much was settled then.
    pub(super) since: Instant,
    pub(super) settled_before: u64,
}

/// How a chain stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    /// When the next pass of its set is due, in milliseconds since 1970.
    pub(super) next_at: Option<i64>,
    /// Why the last pass could not begin.
    pub(super) trouble: Option<String>,
}

/// A pass that did not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The chain's set is being scanned.
    #[error("the set of the chain is being scanned")]
    Busy(Option<PassId>),
    /// As many passes of some cells as may run at once.
    #[error("{SPOTS_MAX} scans of single addresses are running on this chain")]
    Full,
    /// None of the addresses is one.
    #[error("no address is valid on this chain")]
    NoAddress(Vec<String>),
    /// The list.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The service stops, or the chain is not configured any more.
    #[error("the service is being shut down")]
    Stopping,
}

/// A pass that began.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) scan: PassId,
    pub(super) cells: u64,
    /// What was left out, and why.
    pub(super) invalid: Vec<String>,
}

/// Where a chain's task is spoken to; clones speak to the same one.
#[derive(Clone, Debug)]
pub(super) struct ChainHandle {
    inbox: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
}

#[derive(Debug)]
enum Command {
    Start {
        wanted: Wanted,
        begun: oneshot::Sender<Result<Begun, StartError>>,
    },
    Cancel {
        scan: PassId,
        found: oneshot::Sender<bool>,
    },
    /// Interrupts all work and writes down what the gates know.
    Pause { done: oneshot::Sender<()> },
    /// Goes on, with this setup.
    Adopt(Arc<ChainSetup>),
}

/// What a request asks for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The chain's set.
    Set,
    /// These addresses, these assets.
    Spot(Vec<String>, Vec<Asset>),
}

/// Why a pass is to end before it is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// A request.
    Cancelled,
    /// The service ends; the set's pass is continued by the next one.
    ShutDown,
}

/// The sign to stop one pass, with its reason.
#[derive(Clone, Debug)]
struct StopSign {
    token: CancellationToken,
    why: Arc<OnceLock<Stop>>,
}

struct Worker {
    shared: Shared,
    inbox: mpsc::Receiver<Command>,
    status: watch::Sender<Status>,
    setup: Arc<ChainSetup>,
    /// `None` while it is being replaced.
    setups: watch::Sender<Option<Arc<ChainSetup>>>,
    /// Held for reading by whoever works with the pool.
    in_use: Arc<RwLock<()>>,
    recorder: Option<RecorderTask>,
    passes: JoinSet<Ended>,
    /// The pass of the set and those of some cells, by the task's id.
    active: Vec<Active>,
    /// When a pass of the set began last, in milliseconds since 1970.
    last_start: Option<i64>,
    /// The next pass of the set begins at once, whatever the schedule says.
    now: bool,
    shutdown: CancellationToken,
}

struct Active {
    task: tokio::task::Id,
    kind: PassKind,
    /// Of addresses behind used ones.
    grows: bool,
    /// Known once it has begun.
    scan: Arc<OnceLock<PassId>>,
    stop: StopSign,
}

/// Writes down what a pool's gates and pacers know, until it is stopped.
struct RecorderTask {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

// === impl Running ===

impl Running {
    /// How long the rest will take at the pace so far, in milliseconds.
    pub(super) fn eta_ms(&self, now: Instant) -> Option<u64> {
        let settled = self
            .progress
            .settled
            .load(std::sync::atomic::Ordering::Relaxed);
        let done = settled.saturating_sub(self.settled_before);
        let left = self.cells.saturating_sub(settled);
        if done == 0 {
            return None;
        }
        let elapsed = now.saturating_duration_since(self.since).as_millis();
        let eta = elapsed * u128::from(left) / u128::from(done);
        u64::try_from(eta).ok()
    }
}

// === impl Shared ===

impl Shared {
    /// The pass with this id, if it is at work here.
    pub(super) fn running(&self, scan: &PassId) -> Option<Running> {
        self.all_running().get(scan).cloned()
    }

    fn all_running(&self) -> std::sync::MutexGuard<'_, BTreeMap<PassId, Running>> {
        let running = self.running.lock();
        running.unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl StopSign ===

impl StopSign {
    fn new() -> Self {
        Self {
            token: CancellationToken::new(),
            why: Arc::default(),
        }
    }

    /// The first reason counts.
    fn stop(&self, why: Stop) {
        let _ = self.why.set(why);
        self.token.cancel();
    }

    fn why(&self) -> Option<Stop> {
        self.why.get().copied()
    }
}

// === impl ChainHandle ===

impl ChainHandle {
    /// Starts the task of a chain; it ends with `shutdown`, after its passes.
    pub(super) fn spawn(
        setup: Arc<ChainSetup>,
        shared: Shared,
        shutdown: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let (status, told) = watch::channel(Status::default());
        let worker = Worker {
            recorder: Some(RecorderTask::spawn(setup.clone(), shared.clone())),
            setups: watch::Sender::new(Some(setup.clone())),
            setup,
            shared,
            inbox,
            status,
            in_use: Arc::default(),
            passes: JoinSet::new(),
            active: Vec::new(),
            last_start: None,
            now: false,
            shutdown,
        };
        let handle = Self {
            inbox: sender,
            status: told,
        };
        (handle, tokio::spawn(worker.run()))
    }

    /// Begins a pass; returns when it has begun.
    pub(super) async fn start(&self, wanted: Wanted) -> Result<Begun, StartError> {
        let (begun, answer) = oneshot::channel();
        let command = Command::Start { wanted, begun };
        let sent = self.inbox.send(command).await;
        sent.map_err(|_| StartError::Stopping)?;
        answer.await.unwrap_or(Err(StartError::Stopping))
    }

    /// Asks a pass to stop; `false` if it is not at work.
    pub(super) async fn cancel(&self, scan: PassId) -> bool {
        let (found, answer) = oneshot::channel();
        let sent = self.inbox.send(Command::Cancel { scan, found }).await;
        sent.is_ok() && answer.await.unwrap_or(false)
    }

    /// Interrupts all work; returns when nobody uses the pool and all is written down.
    pub(super) async fn pause(&self) {
        let (done, answer) = oneshot::channel();
        if self.inbox.send(Command::Pause { done }).await.is_ok() {
            // An error means that the task has ended: nobody works.
            let _ = answer.await;
        }
    }

    /// Goes on with this setup.
    pub(super) async fn adopt(&self, setup: Arc<ChainSetup>) {
        // A task that has ended needs none.
        let _ = self.inbox.send(Command::Adopt(setup)).await;
    }

    /// Waits until the task has ended.
    pub(super) async fn gone(&self) {
        self.inbox.closed().await;
        let mut status = self.status.clone();
        // Its end is the only error.
        while status.changed().await.is_ok() {}
    }

    pub(super) fn status(&self) -> Status {
        self.status.borrow().clone()
    }
}

// === impl RecorderTask ===

impl RecorderTask {
    fn spawn(setup: Arc<ChainSetup>, shared: Shared) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let recorder = Recorder::new(&setup.pool, &shared.ledger, &shared.clock);
            tokio::select! {
                () = recorder.run() => {}
                () = stopped.cancelled() => {}
            }
            if let Err(error) = recorder.save().await {
                tracing::warn!(
                    "the health of providers could not be written: {}",
                    crate::causes::with_causes(&error)
                );
            }
        });
        Self { stop, task }
    }

    /// Returns when all is written down.
    async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(
                "the task that records health has failed: {}",
                crate::causes::with_causes(&error)
            );
        }
    }
}

// === impl Worker ===

impl Worker {
    async fn run(mut self) {
        if let Err(error) = self.take_up_what_is_left().await {
            tracing::error!(
                "the last scan of a chain cannot be read: {}",
                crate::causes::with_causes(&error)
            );
        }
        loop {
            let due = self.due();
            self.tell(|status| status.next_at = due);
            let due = due.map(|due| self.instant_of(due));
            let idle = self.setup.clone();
            // A pass tries its providers itself; a pool that is being replaced is let alone.
            let may_try = self.active.is_empty() && self.setups.borrow().is_some();
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                Some(command) = self.inbox.recv() => self.obey(command).await,
                Some(ended) = self.passes.join_next_with_id() => self.ended(ended),
                () = until(due) => self.begin_set(None),
                () = idle::watch(&idle.pool), if may_try => {}
            }
        }
        self.inbox.close();
        for active in &self.active {
            active.stop.stop(Stop::ShutDown);
        }
        while self.passes.join_next().await.is_some() {}
        if let Some(recorder) = self.recorder.take() {
            recorder.stop().await;
        }
    }

    /// A pass that a process left behind is continued if it is young, and ended if it is not.
    async fn take_up_what_is_left(&mut self) -> Result<(), LedgerError> {
        let ledger = &self.shared.ledger;
        let Some(last) = ledger.last_set_pass(&self.setup.chain.name).await? else {
            return Ok(());
        };
        self.last_start = Some(last.started_at);
        if last.status != PassStatus::Running {
            return Ok(());
        }
        let age_ms = self.shared.clock.unix_ms().saturating_sub(last.updated_at);
        let within_ms = i64::try_from(RESUME_WITHIN.as_millis()).unwrap_or(i64::MAX);
        if age_ms <= within_ms {
            self.now = true;
            return Ok(());
        }
        let end = PassEnd::Broken {
            message: "it was left behind, and is too old to be continued".to_owned(),
        };
        ledger.end_pass(&last.id, end, Vec::new()).await?;
        Ok(())
    }

    /// When the next pass of the set begins by itself, in milliseconds since 1970.
    fn due(&self) -> Option<i64> {
        let is_active = self.active.iter().any(|it| it.kind == PassKind::Set);
        if is_active {
            return None;
        }
        let now = self.shared.clock.unix_ms();
        if self.now {
            return Some(now);
        }
        schedule::due(self.setup.chain.scan.every?, self.last_start, now)
    }

    fn instant_of(&self, unix_ms: i64) -> Instant {
        let wait = unix_ms.saturating_sub(self.shared.clock.unix_ms());
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        self.shared.clock.now() + wait
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Start { wanted, begun } => self.start(wanted, begun),
            Command::Cancel { scan, found } => {
                let mut known = false;
                for active in &self.active {
                    if active.scan.get() == Some(&scan) {
                        active.stop.stop(Stop::Cancelled);
                        known = true;
                    }
                }
                // Whoever asked has gone: fine.
                let _ = found.send(known);
            }
            Command::Pause { done } => {
                self.setups.send_replace(None);
                // Whoever works with the pool lets go of it between two chunks.
                drop(self.in_use.write().await);
                if let Some(recorder) = self.recorder.take() {
                    recorder.stop().await;
                }
                let _ = done.send(());
            }
            Command::Adopt(setup) => {
                if self.recorder.is_none() {
                    let recorder = RecorderTask::spawn(setup.clone(), self.shared.clone());
                    self.recorder = Some(recorder);
                }
                self.setup = setup.clone();
                self.setups.send_replace(Some(setup));
            }
        }
    }

    fn start(&mut self, wanted: Wanted, begun: oneshot::Sender<Result<Begun, StartError>>) {
        let refused = match &wanted {
            Wanted::Set => {
                let mut active = self.active.iter();
                let set = active.find(|it| it.kind == PassKind::Set);
                set.map(|set| StartError::Busy(set.scan.get().cloned()))
            }
            Wanted::Spot(..) => {
                let active = self.active.iter();
                let spots = active.filter(|it| it.kind == PassKind::Spot).count();
                (spots >= SPOTS_MAX).then_some(StartError::Full)
            }
        };
        match (refused, wanted) {
            // Whoever asked has gone: fine.
            (Some(refused), _) => drop(begun.send(Err(refused))),
            (None, Wanted::Set) => self.begin_set(Some(begun)),
            (None, Wanted::Spot(addresses, assets)) => {
                let source = Source::Addresses(addresses);
                self.begin(PassKind::Spot, source, Some(assets), Some(begun));
            }
        }
    }

    fn begin_set(&mut self, begun: Option<oneshot::Sender<Result<Begun, StartError>>>) {
        self.now = false;
        self.last_start = Some(self.shared.clock.unix_ms());
        self.begin(PassKind::Set, Source::Sets, None, begun);
    }

    /// Scans what the sets of keys have more than before, if they have.
    fn begin_grown(&mut self) {
        let mut sets = self.setup.chain.addresses.iter();
        if sets.any(|set| set.key.is_some()) && !self.shutdown.is_cancelled() {
            self.begin(PassKind::Spot, Source::Grown, None, None);
        }
    }

    fn begin(
        &mut self,
        kind: PassKind,
        source: Source,
        assets: Option<Vec<Asset>>,
        begun: Option<oneshot::Sender<Result<Begun, StartError>>>,
    ) {
        let grows = matches!(source, Source::Grown);
        let stop = StopSign::new();
        let scan = Arc::new(OnceLock::new());
        let task = PassTask {
            shared: self.shared.clone(),
            setups: self.setups.subscribe(),
            in_use: self.in_use.clone(),
            kind,
            source,
            assets,
            stop: stop.clone(),
            scan: scan.clone(),
        };
        let handle = self.passes.spawn(task.run(begun));
        self.active.push(Active {
            task: handle.id(),
            kind,
            grows,
            scan,
            stop,
        });
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, Ended), tokio::task::JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(at) = self.active.iter().position(|it| it.task == id) else {
            return;
        };
        let active = self.active.swap_remove(at);
        let ended = match ended {
            Ok((_, ended)) => ended,
            Err(error) => {
                tracing::error!("a pass has failed: {}", crate::causes::with_causes(&error));
                self.end_failed(active.scan.get());
                let trouble = Some("a pass has failed; see the log".to_owned());
                Ended {
                    trouble,
                    again: false,
                }
            }
        };
        let was_set = active.kind == PassKind::Set;
        // One that found nothing more has no id.
        if (was_set || active.grows) && active.scan.get().is_some() && ended.trouble.is_none() {
            self.begin_grown();
        }
        if was_set {
            self.now = ended.again;
            self.tell(|status| status.trouble = ended.trouble);
        }
    }

    /// Gives a pass its last event whose task could not do so itself.
    fn end_failed(&self, scan: Option<&PassId>) {
        let Some(scan) = scan.cloned() else {
            return;
        };
        self.shared.all_running().remove(&scan);
        let ledger = self.shared.ledger.clone();
        tokio::spawn(async move {
            let end = PassEnd::Broken {
                message: "a fault of Scanhost; its log tells more".to_owned(),
            };
            if let Err(error) = ledger.end_pass(&scan, end, Vec::new()).await {
                let causes = crate::causes::with_causes(&error);
                tracing::error!("a pass that has failed could not be ended: {causes}");
            }
        });
    }

    fn tell(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
