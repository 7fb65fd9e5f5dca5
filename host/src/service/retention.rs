//! Takes out of the store what is older than `[store] keep`, a little at a time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::config::Keep;
use crate::ledger::{Expiry, Ledger, LedgerError, Pruned};

/// From one look at the events and holes to the next, and this much longer by chance.
const EVERY: Duration = Duration::from_secs(10 * 60);
const JITTER: Duration = Duration::from_secs(60);
/// The first look is not in the way of a start.
const FIRST: Duration = Duration::from_secs(5);
/// From one look at the history, all of which is read for it, to the next.
const HISTORY_EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// The task that keeps the store from growing.
pub(super) struct Retention<P> {
    pub(super) ledger: Ledger,
    pub(super) clock: SharedClock,
    pub(super) random: fastrand::Rng,
    /// What is to be kept now: a reload may change it.
    pub(super) policy: P,
}

/// What is to be kept.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// `[store] keep`.
    pub(super) keep: Keep,
    /// The webhooks, and how long each has an event waiting for it: so long it stays.
    pub(super) webhooks: Vec<(String, Duration)>,
}

// === impl Retention ===

impl<P> Retention<P>
where
    P: Fn() -> Policy + Send,
{
    /// Runs until it is told to stop, which it does between two transactions.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut wait = FIRST;
        let mut history_at = self.clock.now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let with_history = self.clock.now() >= history_at;
            if with_history {
                history_at = self.clock.now() + HISTORY_EVERY;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                pruned = self.prune(with_history) => match pruned {
                    Ok(pruned) if pruned != Pruned::default() => {
                        tracing::debug!(?pruned, "old rows were taken out of the store");
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!("old rows stay in the store for now: {}", crate::causes::with_causes(&error));
                    }
                },
            }
            wait = EVERY + JITTER.mul_f64(self.random.f64());
        }
    }

    async fn prune(&self, with_history: bool) -> Result<Pruned, LedgerError> {
        let Policy { keep, webhooks } = (self.policy)();
        let before = |keep: Option<Duration>| Some(self.ago(keep?));
        let expiry = Expiry {
            events: before(keep.events),
            events_from: self.undelivered(&webhooks).await?,
            history: before(keep.history),
        };
        let mut pruned = Pruned {
            events: self.ledger.prune_events(&expiry).await?,
            holes: self.ledger.prune_holes().await?,
            ..Pruned::default()
        };
        if with_history {
            let old = self.ledger.prune_history(&expiry).await?;
            pruned = Pruned {
                events: pruned.events,
                holes: pruned.holes,
                ..old
            };
        }
        Ok(pruned)
    }

    /// The first event that a webhook has still to be told of.
    async fn undelivered(
        &self,
        webhooks: &[(String, Duration)],
    ) -> Result<Option<i64>, LedgerError> {
        if webhooks.is_empty() {
            return Ok(None);
        }
        let rows = self.ledger.webhooks().await?;
        let mut first = None;
        for (name, expires) in webhooks {
            let mut rows = rows.iter();
            // One that is gone is told of nothing any more.
            let Some(row) = rows.find(|row| row.name == *name && !row.gone) else {
                continue;
            };
            let since = self.ago(*expires);
            let waiting = self.ledger.first_event_since(row.cursor, since).await?;
            first = match (first, waiting) {
                (Some(first), Some(waiting)) => Some(waiting.min(first)),
                (first, waiting) => first.or(waiting),
            };
        }
        Ok(first)
    }

    /// The wall clock so long ago.
    fn ago(&self, time: Duration) -> i64 {
        let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.clock.unix_ms().saturating_sub(ms)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use sqlx::{Connection as _, Row as _};

    use super::*;
    use crate::clock::VirtualClock;
    use crate::ledger::{
        BalanceFilter, CellName, ChunkCommit, EventFilter, Hole, KnownReading, NewEvent, PassEnd,
        PassFilter, PassKind, PassSpec, ReadingSource,
    };
    use crate::model::{Asset, ChainName, Checkpoint, Class, Commitment, PassId, Reading, Reason};

    const HOUR: Duration = Duration::from_secs(3_600);
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    const START_MS: i64 = 1_795_219_200_000;

    /// A store under paused time, with the task that prunes it.
    struct Bench {
        folder: tempfile::TempDir,
        clock: SharedClock,
        ledger: Ledger,
        stop: CancellationToken,
    }

    impl Bench {
        async fn new(keep: Keep) -> Self {
            Self::with_webhooks(keep, Vec::new()).await
        }

        async fn with_webhooks(keep: Keep, webhooks: Vec<(String, Duration)>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("scanhost.db").display());
            let clock: SharedClock = Arc::new(VirtualClock::starting_at(START_MS));
            let ledger = Ledger::open(&url, clock.clone()).await.unwrap();
            let stop = CancellationToken::new();
            let retention = Retention {
                ledger: ledger.clone(),
                clock: clock.clone(),
                random: fastrand::Rng::with_seed(7),
                policy: move || Policy {
                    keep,
                    webhooks: webhooks.clone(),
                },
            };
            tokio::spawn(retention.run(stop.clone()));
            Self {
                folder,
                clock,
                ledger,
                stop,
            }
        }

        /// One pass over some cells: one never changes, many do, some are not known.
        async fn scan(&self, round: usize) -> PassId {
            let asset = Asset {
                symbol: "BNB".into(),
                contract: None,
                decimals: 18,
            };
            let spec = PassSpec {
                chain: ChainName::from("bsc"),
                kind: PassKind::Set,
                fingerprint: "same".to_owned(),
                cells: 60,
                resume_within: None,
            };
            let pass = self.ledger.begin_pass(spec).await.unwrap();
            let reading = |cell: usize| {
                let amount = if cell == 0 { 7 } else { round + cell };
                let reading = Reading::Known {
                    used: None,
                    amount: amount.to_string().parse().unwrap(),
                    pending: None,
                    at: Checkpoint {
                        height: None,
                        block_hash: None,
                        commitment: Commitment::Latest,
                    },
                };
                let source = ReadingSource {
                    provider: "first".into(),
                    scope: "wallet".to_owned(),
                    observed_at: self.clock.unix_ms(),
                };
                KnownReading::new(&format!("a{cell}"), &asset, &reading, source).unwrap()
            };
            let hole = |cell: usize| Hole {
                cell: CellName::new(&format!("a{cell}"), &asset),
                reason: Reason::host(Class::Timeout, "nobody answered"),
                is_final: true,
            };
            let chunk = ChunkCommit {
                pass: pass.id.clone(),
                readings: (0..40).map(reading).collect(),
                holes: (40..60).map(hole).collect(),
                events: Vec::new(),
                asked: 60,
                invalid_lines: 0,
            };
            self.ledger.commit(chunk).await.unwrap();
            let end = self
                .ledger
                .end_pass(&pass.id, PassEnd::Complete, Vec::new());
            end.await.unwrap();
            pass.id
        }

        async fn events(&self) -> Vec<crate::ledger::StoredEvent> {
            let all = EventFilter::default();
            self.ledger.events_after(0, &all, 100_000).await.unwrap()
        }

        async fn history(&self) -> Vec<crate::ledger::HistoryRow> {
            let all = BalanceFilter::default();
            self.ledger.history(&all, 0, 100_000).await.unwrap()
        }

        async fn passes(&self) -> Vec<crate::ledger::PassRow> {
            let all = PassFilter::default();
            self.ledger.pass_page(&all, None, 10_000).await.unwrap()
        }

        /// Pages of the file, with those that still stand in the log beside it.
        async fn size(&self) -> i64 {
            let _hold = self.clock.hold();
            let file = self.folder.path().join("scanhost.db");
            let url = format!("sqlite://{}?mode=ro", file.display());
            let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
            let row = sqlx::query("PRAGMA page_count").fetch_one(&mut connection);
            let row = row.await.unwrap();
            let pages = row.try_get::<i64, _>(0);
            pages
                .or_else(|_| row.try_get::<i32, _>(0).map(i64::from))
                .unwrap()
        }
    }

    fn keep(events: Duration, history: Duration) -> Keep {
        Keep {
            events: Some(events),
            history: Some(history),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_stays_flat_over_thirty_days_of_scans() {
        let bench = Bench::new(keep(DAY, 3 * DAY)).await;
        let mut sizes = Vec::new();
        let mut rows = Vec::new();
        let mut passes = Vec::new();
        for day in 0..30 {
            for scan in 0..6 {
                passes.push(bench.scan(day * 6 + scan).await);
                tokio::time::sleep(4 * HOUR).await;
            }
            sizes.push(bench.size().await);
            let (events, history) = (bench.events().await.len(), bench.history().await.len());
            rows.push((events, history, bench.passes().await.len()));
        }
        // A day and the time between two looks, three days and the same.
        let (events, history, kept) = rows[29];
        assert!(events <= 8 * 41, "{rows:?}");
        assert!(history <= 21 * 40, "{rows:?}");
        assert!(kept <= 21, "{rows:?}");
        for day in 8..30 {
            assert!(rows[day].0.abs_diff(rows[6].0) <= 82, "{rows:?}");
            assert!(rows[day].1.abs_diff(rows[6].1) <= 80, "{rows:?}");
            assert!(sizes[day] <= sizes[7] + sizes[7] / 10, "{sizes:?}");
        }
        // Only the newest passes have holes still; each cell has its newest change.
        for (at, pass) in passes.iter().rev().enumerate() {
            let holes = bench.ledger.hole_count(pass).await.unwrap();
            assert_eq!(holes, if at < 2 { 20 } else { 0 }, "{at} passes ago");
        }
        let history = bench.history().await;
        let unchanged = history.iter().filter(|row| row.cell.address == "a0");
        assert_eq!(unchanged.count(), 1, "the newest change stays, however old");
        bench.stop.cancel();
        bench.ledger.clone().close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn events_leave_from_the_oldest_on_and_ids_go_on() {
        let bench = Bench::new(keep(DAY, 400 * DAY)).await;
        bench.scan(0).await;
        tokio::time::sleep(HOUR).await;
        bench.scan(1).await;
        let newest = bench.events().await.last().unwrap().id;
        tokio::time::sleep(DAY - HOUR / 2).await;
        let left = bench.events().await;
        assert_eq!(left.len(), 41, "those of the second scan");
        assert_eq!(left.last().unwrap().id, newest);
        assert_eq!(bench.ledger.oldest_event().await.unwrap(), Some(left[0].id));
        tokio::time::sleep(DAY).await;
        assert_eq!(bench.events().await, []);
        let event = NewEvent {
            kind: "provider_state",
            chain: None,
            scan: None,
            data: json!({}),
        };
        let ids = bench.ledger.add_events(vec![event]).await.unwrap();
        assert_eq!(ids, [newest + 1], "no number is given twice");
        bench.stop.cancel();
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_webhook_has_still_to_be_told_of_stays_until_it_expires() {
        let webhooks = vec![("ops".to_owned(), 3 * DAY)];
        let bench = Bench::with_webhooks(keep(HOUR, DAY), webhooks).await;
        bench.scan(0).await;
        let begin = |name| bench.ledger.begin_webhook(name, String::new(), false);
        let row = begin("ops").await.unwrap();
        bench.scan(1).await;
        tokio::time::sleep(2 * DAY).await;
        let left = bench.events().await;
        assert_eq!(left.first().unwrap().id, row.cursor + 1);
        assert_eq!(left.len(), 41);
        tokio::time::sleep(DAY + HOUR).await;
        assert_eq!(bench.events().await, [], "nobody waits for ever");
        bench.stop.cancel();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_for_ever_stays() {
        let bench = Bench::new(Keep {
            events: None,
            history: None,
        })
        .await;
        bench.scan(0).await;
        bench.scan(1).await;
        tokio::time::sleep(20 * DAY).await;
        assert_eq!(bench.passes().await.len(), 2);
        assert_eq!(bench.history().await.len(), 79);
        assert_eq!(bench.events().await.len(), 2 * 2 + 39);
        bench.stop.cancel();
    }
}
