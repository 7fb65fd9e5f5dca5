//! The real pool, gate, engine and ledger over scripted providers, on virtual time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::commit::Sink;
use super::engine::{Ending, Engine, Outcome as PassOutcome, Patience, Progress};
use super::list::{AddressList, ListReader};
use super::plan::Plan;
use super::report::{Report, Row};
use crate::clock::{SharedClock, VirtualClock};
use crate::config::{OnMismatch, ScanAt, Strategy};
use crate::gate::{BreakerConfig, CircuitState, Gate, GateConfig, GateKey, ProviderType};
use crate::ledger::{Ledger, Pass, PassKind, PassSpec};
use crate::model::{Asset, ChainName, Class, Commitment};
use crate::plugin::backend::{BalancesRequest, CallBudget, CallReport};
use crate::plugin::{Answer, Backend, CallError, Caps, Cost, Outcome};
use crate::pool::{Member, Pool};
use crate::scan::ScanError;

mod judging;
mod memory;
mod paced;
mod pinned;
mod sampled;
mod sharing;

const COOLDOWN: Duration = Duration::from_secs(30);

type Script = dyn Fn(&BalancesRequest, Duration) -> Result<Vec<Answer>, CallError> + Send + Sync;

/// A provider that answers by a script, told how long the test has been running.
struct Scripted {
    caps: Caps,
    script: Box<Script>,
    start: Instant,
    calls: AtomicUsize,
    call_times: Mutex<Vec<Duration>>,
    sizes: Mutex<Vec<usize>>,
    latency: Duration,
    /// What it says of itself from when on.
    identities: Mutex<Vec<(Duration, &'static str)>>,
}

impl Scripted {
    fn identity_now(&self) -> &'static str {
        let now = self.start.elapsed();
        let identities = self.identities.lock().unwrap();
        let since = identities.iter().rfind(|(at, _)| *at <= now);
        since.map_or("test", |(_, identity)| identity)
    }

    /// From `at` on it serves another chain.
    fn identity_after(&self, at: Duration, identity: &'static str) {
        self.identities.lock().unwrap().push((at, identity));
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for Scripted {
    fn caps(&self) -> Caps {
        self.caps
    }

    async fn validate_addresses(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Result<String, String>>, CallError> {
        Ok(addresses.into_iter().map(Ok).collect())
    }

    async fn identity(&self, _budget: CallBudget) -> CallReport<String> {
        CallReport {
            result: Ok(self.identity_now().to_owned()),
            http_attempts: 1,
        }
    }

    async fn balances(
        &self,
        request: BalancesRequest,
        budget: CallBudget,
    ) -> CallReport<Vec<Answer>> {
        let slot = match budget.slots.take(1).await {
            Ok(slot) => slot,
            Err(cause) => {
                return CallReport {
                    result: Err(CallError::new(Class::RateLimited, cause.to_string())),
                    http_attempts: 0,
                };
            }
        };
        self.calls.fetch_add(1, Ordering::SeqCst);
        let now = self.start.elapsed();
        self.call_times.lock().unwrap().push(now);
        self.sizes.lock().unwrap().push(request.cells.len());
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        slot.answered();
        CallReport {
            result: (self.script)(&request, now),
            http_attempts: 1,
        }
    }
}

/// The amount that every honest provider tells of an address: the digits of its name.
fn honest(request: &BalancesRequest) -> Vec<Answer> {
    let answer = |(index, (address, _)): (usize, &(u32, u16))| {
        let address = &request.addresses[*address as usize];
        Answer {
            cell: u32::try_from(index).unwrap(),
            outcome: amount_of(address),
        }
    };
    request.cells.iter().enumerate().map(answer).collect()
}

fn amount_of(address: &str) -> Outcome {
    let amount = address.trim_start_matches('a').parse().unwrap();
    Outcome::Known {
        used: None,
        amount,
        pending: None,
        height: Some(1),
        block_hash: None,
    }
}

fn failing(class: Class) -> Result<Vec<Answer>, CallError> {
    Err(CallError::new(class, "scripted"))
}

/// A chain with scripted providers and a ledger of its own.
struct Bench {
    _folder: tempfile::TempDir,
    ledger: Ledger,
    clock: SharedClock,
    chain: ChainName,
    pool: Pool,
    providers: Vec<Arc<Scripted>>,
    assets: Vec<Asset>,
    patience: Patience,
    at: ScanAt,
    sample: Option<f64>,
    on_mismatch: OnMismatch,
    /// Of its one pass.
    progress: Arc<Progress>,
}

impl Bench {
    async fn new(tokens: bool) -> Self {
        let clock: SharedClock = Arc::new(VirtualClock::starting_at(1_795_219_200_000));
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let ledger = Ledger::open(&url, clock.clone()).await.unwrap();
        let asset = |symbol: &str, contract: Option<&str>| Asset {
            symbol: symbol.into(),
            contract: contract.map(Into::into),
            decimals: 18,
        };
        let mut assets = vec![asset("NAT", None)];
        if tokens {
            assets.push(asset("TOK", Some("token")));
        }
        let chain = ChainName::from("test");
        Self {
            _folder: folder,
            ledger,
            clock,
            pool: Pool {
                cooldown_longest: COOLDOWN,
                ..Pool::empty(chain.clone())
            },
            chain,
            providers: Vec::new(),
            assets,
            patience: Patience {
                budget: Duration::from_secs(600),
                max_pool_failures: 5,
            },
            at: ScanAt::Newest,
            sample: None,
            on_mismatch: OnMismatch::Event,
            progress: Arc::default(),
        }
    }

    /// One more provider, of `batch` cells in a call.
    fn with<S>(self, batch: usize, script: S) -> Self
    where
        S: Fn(&BalancesRequest, Duration) -> Result<Vec<Answer>, CallError> + Send + Sync + 'static,
    {
        self.with_latency(batch, Duration::ZERO, script)
    }

    /// One more provider, which takes `latency` for each answer.
    fn with_latency<S>(mut self, batch: usize, latency: Duration, script: S) -> Self
    where
        S: Fn(&BalancesRequest, Duration) -> Result<Vec<Answer>, CallError> + Send + Sync + 'static,
    {
        self.add(Scripted {
            caps: Caps {
                native: true,
                tokens: true,
                pinned: false,
                min_height: false,
                derive: false,
                cells_max: batch,
                addresses_max: batch,
                assets_max: 10,
                cost: Cost {
                    call: 1,
                    ..Cost::default()
                },
                token_scope: "wallet",
                commitment_default: Commitment::Latest,
            },
            script: Box::new(script),
            start: Instant::now(),
            calls: AtomicUsize::new(0),
            call_times: Mutex::default(),
            sizes: Mutex::default(),
            latency,
            identities: Mutex::default(),
        });
        self
    }

    fn add(&mut self, provider: Scripted) {
        let provider = Arc::new(provider);
        let gate = self.gate(self.providers.len(), None);
        self.pool.members.push(Arc::new(Member::new(
            gate.key().provider.clone(),
            provider.clone(),
            gate,
            Duration::from_secs(15),
            2,
        )));
        self.providers.push(provider);
    }

    fn gate(&self, provider: usize, identity: Option<&str>) -> Gate {
        let key = GateKey {
            chain: self.chain.clone(),
            provider: format!("p{provider}").into(),
            kind: ProviderType::Scan,
        };
        let config = GateConfig {
            breaker: BreakerConfig {
                cooldown: COOLDOWN,
                ..BreakerConfig::default()
            },
            identity: identity.is_some(),
            ..GateConfig::default()
        };
        Gate::new(key, config, "", self.clock.clone(), 7)
    }

    /// From now on every provider must say that it serves `identity`.
    fn expect_identity(&mut self, identity: &str) {
        self.pool.identity = Some(identity.to_owned());
        for provider in 0..self.pool.members.len() {
            let gate = self.gate(provider, Some(identity));
            self.replace(provider, self.providers[provider].clone(), gate);
        }
    }

    /// From now on it reads no tokens.
    fn only_natives(&mut self, provider: usize) {
        let caps = Caps {
            tokens: false,
            ..self.providers[provider].caps
        };
        self.rewrite(provider, caps, |request, _| Ok(honest(request)));
    }

    /// From now on it can this and answers so.
    fn rewrite<S>(&mut self, provider: usize, caps: Caps, script: S)
    where
        S: Fn(&BalancesRequest, Duration) -> Result<Vec<Answer>, CallError> + Send + Sync + 'static,
    {
        let old = &self.providers[provider];
        let scripted = Scripted {
            caps,
            script: Box::new(script),
            start: old.start,
            calls: AtomicUsize::new(0),
            call_times: Mutex::default(),
            sizes: Mutex::default(),
            latency: old.latency,
            identities: Mutex::default(),
        };
        let gate = self.pool.members[provider].gate.clone();
        self.replace(provider, Arc::new(scripted), gate);
    }

    fn replace(&mut self, provider: usize, scripted: Arc<Scripted>, gate: Gate) {
        let name = gate.key().provider.clone();
        let timeout = Duration::from_secs(15);
        let member = Member::new(name, scripted.clone(), gate, timeout, 2);
        self.pool.members[provider] = Arc::new(member);
        self.providers[provider] = scripted;
    }

    async fn list(&self, addresses: usize) -> AddressList {
        let mut reader = ListReader::new(Vec::new()).unwrap();
        let text: String = (0..addresses).map(|index| format!("a{index}\n")).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        reader
            .read(file.path(), &mut |remark| panic!("{remark:?}"))
            .await
            .unwrap();
        reader.finish(&mut |remark| panic!("{remark:?}")).unwrap()
    }

    async fn begin(&self, cells: u64) -> Pass {
        let spec = PassSpec {
            chain: self.chain.clone(),
            kind: PassKind::Set,
            fingerprint: "test".to_owned(),
            cells,
            resume_within: Some(Duration::from_secs(3600)),
        };
        self.ledger.begin_pass(spec).await.unwrap()
    }

    async fn run(&self, list: &AddressList, pass: &Pass) -> PassOutcome {
        self.run_into(Arc::new(self.ledger.clone()), list, pass)
            .await
    }

    async fn run_into(&self, sink: Arc<dyn Sink>, list: &AddressList, pass: &Pass) -> PassOutcome {
        let engine = Engine {
            chain: &self.chain,
            pool: &self.pool,
            assets: self.assets.clone(),
            commitment: Commitment::Latest,
            at: self.at,
            sample: self.sample,
            on_mismatch: self.on_mismatch,
            sink,
            patience: self.patience,
            clock: self.clock.clone(),
            cancel: CancellationToken::new(),
            progress: self.progress.clone(),
        };
        let plan = Plan::new(list, &self.assets, &self.chain, pass, &self.ledger).unwrap();
        engine.run(pass, plan).await.unwrap()
    }

    /// Scans `addresses` addresses; the outcome and the pass.
    async fn scan_only(&self, addresses: usize) -> (PassOutcome, Pass) {
        let list = self.list(addresses).await;
        let pass = self.begin((addresses * self.assets.len()) as u64).await;
        (self.run(&list, &pass).await, pass)
    }

    /// Scans `addresses` addresses; the outcome and every row.
    async fn scan(&self, addresses: usize) -> (PassOutcome, Vec<Row>) {
        let list = self.list(addresses).await;
        let pass = self.begin((addresses * self.assets.len()) as u64).await;
        let outcome = self.run(&list, &pass).await;
        let report = Report {
            chain: &self.chain,
            pass: Some(pass.id.clone()),
            assets: &self.assets,
            rest: &outcome.rest,
            ledger: &self.ledger,
        };
        let mut rows = Vec::new();
        let mut tell = |row: Row| -> Result<(), ScanError> {
            rows.push(row);
            Ok(())
        };
        report.tell(&list, &mut tell).await.unwrap();
        assert_eq!(
            rows.len(),
            addresses * self.assets.len(),
            "every asked cell has its row"
        );
        (outcome, rows)
    }

    fn calls(&self, provider: usize) -> usize {
        self.providers[provider].calls.load(Ordering::SeqCst)
    }

    fn circuit(&self, provider: usize) -> CircuitState {
        self.pool.members[provider].gate.snapshot().breaker
    }
}

/// Cells that are known, each with the amount of its address; panics at any other amount.
#[track_caller]
fn known(rows: &[Row]) -> usize {
    let honest = |row: &&Row| match row {
        Row::Known { cell, amount, .. } => {
            assert_eq!(
                format!("a{amount}"),
                cell.address,
                "an amount that nobody told"
            );
            true
        }
        _ => false,
    };
    rows.iter().filter(honest).count()
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_cooldown_leaves_no_hole() {
    let down_for = COOLDOWN + Duration::from_secs(5);
    let script = move |request: &BalancesRequest, now: Duration| {
        if now < down_for {
            failing(Class::Transport)
        } else {
            Ok(honest(request))
        }
    };
    let bench = Bench::new(true).await.with(10, script).with(10, script);
    let (outcome, rows) = bench.scan(50).await;
    assert_eq!(outcome.ending, Ending::Complete);
    assert_eq!(known(&rows), 100);
}

#[tokio::test(start_paused = true)]
async fn a_dead_provider_costs_no_cell_and_few_calls() {
    let bench = Bench::new(false)
        .await
        .with(10, |_: &BalancesRequest, _| failing(Class::Timeout))
        .with(10, |request: &BalancesRequest, _| Ok(honest(request)));
    let (outcome, rows) = bench.scan(500).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 500));
    assert_ne!(bench.circuit(0), CircuitState::Closed);
    // Three open the circuit, one may have been under way beside the third, then one per cooldown.
    let times = bench.providers[0].call_times.lock().unwrap();
    assert!(
        times.iter().filter(|at| **at < COOLDOWN).count() <= 4,
        "{times:?}"
    );
    let later = times.iter().filter(|at| **at >= COOLDOWN);
    let later: Vec<_> = later.map(|at| at.as_secs() / COOLDOWN.as_secs()).collect();
    let mut cooldowns = later.clone();
    cooldowns.dedup();
    assert_eq!(later, cooldowns, "more than one call in a cooldown");
}

#[tokio::test(start_paused = true)]
async fn one_poisoned_cell_leaves_the_others_known() {
    for poisoned in [0_usize, 499, 500, 999] {
        let bench = Bench::new(false)
            .await
            .with(1_000, move |request: &BalancesRequest, _| {
                let name = format!("a{poisoned}");
                if request.addresses.iter().any(|address| **address == *name) {
                    return failing(Class::ServerError);
                }
                Ok(honest(request))
            });
        let (outcome, rows) = bench.scan(1_000).await;
        assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 999));
        assert_eq!(bench.circuit(0), CircuitState::Closed);
        assert!(bench.calls(0) <= 1 + 2 * 10, "{} calls", bench.calls(0));
        let Row::Unknown { error, .. } = &rows[poisoned] else {
            panic!("it is unknown")
        };
        assert_eq!(error.class, Class::Refused);
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_both_halves_is_the_providers_failure() {
    let bench = Bench::new(false)
        .await
        .with(8, |_: &BalancesRequest, now: Duration| {
            assert!(now < Duration::from_secs(3_600), "it never gives up");
            failing(Class::ServerError)
        });
    let (outcome, rows) = bench.scan(8).await;
    assert!(
        matches!(outcome.ending, Ending::GaveUp { .. }),
        "{:?}",
        outcome.ending
    );
    assert_eq!(known(&rows), 0);
    assert_ne!(bench.circuit(0), CircuitState::Closed);
    // Until it opens, each call of eight is split once and no further.
    let times = bench.providers[0].call_times.lock().unwrap();
    let before_open = times.iter().filter(|at| **at < COOLDOWN).count();
    assert_eq!(
        before_open, 9,
        "three calls, each split in two halves: {times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pass_gives_up_after_twice_the_cooldown_and_tells_all_reasons() {
    let bench = Bench::new(false)
        .await
        .with(10, |_: &BalancesRequest, _| failing(Class::Timeout))
        .with(10, |_: &BalancesRequest, _| failing(Class::Malformed));
    let began = Instant::now();
    let (outcome, rows) = bench.scan(1).await;
    assert!(matches!(outcome.ending, Ending::GaveUp { .. }));
    assert!(
        began.elapsed() >= 2 * COOLDOWN,
        "gave up after {:?}",
        began.elapsed()
    );
    assert!(
        began.elapsed() < Duration::from_secs(600),
        "waited for the whole budget"
    );
    let Row::Unknown { error, .. } = &rows[0] else {
        panic!("it is unknown")
    };
    let said: Vec<_> = error
        .providers
        .iter()
        .map(|it| (it.provider.as_str(), it.class))
        .collect();
    assert_eq!(said, [("p0", Class::Timeout), ("p1", Class::Malformed)]);
}

#[tokio::test(start_paused = true)]
async fn native_and_tokens_do_not_stop_each_other() {
    for native_works in [true, false] {
        let mut bench = Bench::new(true)
            .await
            .with(10, move |request: &BalancesRequest, _| {
                let mut answers = honest(request);
                for answer in &mut answers {
                    let (_, asset) = request.cells[answer.cell as usize];
                    if request.assets[usize::from(asset)].is_native() != native_works {
                        answer.outcome =
                            Outcome::Unknown(CallError::new(Class::ServerError, "scripted"));
                    }
                }
                Ok(answers)
            });
        bench.patience.budget = Duration::from_secs(70);
        let (_, rows) = bench.scan(20).await;
        assert_eq!(known(&rows), 20);
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_provider_leaves_out_is_asked_of_the_next() {
    let bench = Bench::new(false)
        .await
        .with(10, |request: &BalancesRequest, _| {
            Ok(honest(request).split_off(3))
        })
        .with(10, |request: &BalancesRequest, _| Ok(honest(request)));
    let (outcome, rows) = bench.scan(10).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 10));
    assert_eq!((bench.calls(0), bench.calls(1)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_everyone_refuses_is_not_asked_again() {
    let bench = Bench::new(false)
        .await
        .with(10, |_: &BalancesRequest, _| failing(Class::Refused))
        .with(10, |_: &BalancesRequest, _| failing(Class::Refused));
    let began = Instant::now();
    let (outcome, rows) = bench.scan(1).await;
    assert_eq!(outcome.ending, Ending::Complete);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "it waited for {:?}",
        began.elapsed()
    );
    assert!(matches!(&rows[0], Row::Unknown { error, .. } if error.class == Class::Refused));
}

#[tokio::test(start_paused = true)]
async fn doubled_and_uninvited_answers_are_no_amounts() {
    let bench = Bench::new(false)
        .await
        .with(10, |request: &BalancesRequest, now| {
            let mut answers = honest(request);
            if now < COOLDOWN {
                answers.push(Answer {
                    cell: 0,
                    outcome: amount_of("a99"),
                });
            }
            Ok(answers)
        });
    let (outcome, rows) = bench.scan(10).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 10));
    let uninvited = Bench::new(false)
        .await
        .with(10, |request: &BalancesRequest, _| {
            let mut answers = honest(request);
            answers.push(Answer {
                cell: 10,
                outcome: amount_of("a99"),
            });
            Ok(answers)
        });
    let (_, rows) = uninvited.scan(10).await;
    assert_eq!(known(&rows), 0);
}

#[tokio::test(start_paused = true)]
async fn a_continued_pass_asks_only_for_what_is_missing() {
    let bench = Bench::new(false)
        .await
        .with(10, |request: &BalancesRequest, _| Ok(honest(request)));
    let list = bench.list(100).await;
    let pass = bench.begin(100).await;
    bench.run(&list, &pass).await;
    assert_eq!(bench.calls(0), 10);
    // The process dies before the pass is ended; the next one finds it.
    let again = bench.begin(100).await;
    assert_eq!((again.id.clone(), again.resumed), (pass.id, true));
    bench.run(&list, &again).await;
    assert_eq!(bench.calls(0), 10, "nothing was missing");
}
