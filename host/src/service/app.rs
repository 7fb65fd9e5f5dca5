//! What every part of the service works with, and how one configuration follows another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::alerts::Alerts;
use super::chain::{ChainHandle, Shared};
use super::feed::Feed;
use super::limits::Limits;
use super::metrics::Metrics;
use super::retention::{Policy, Retention};
use super::sets::Sets;
use super::setup::{ChainSetup, Setup, SetupError, Surroundings};
use super::webhooks::Webhooks;
use crate::clock::SharedClock;
use crate::config;
use crate::ledger::{Ledger, LedgerError, NewEvent, PassFilter, PassStatus};
use crate::model::ChainName;
use crate::pool::Member;
use crate::pool::record::{Recorder, save_decisions};
use crate::scan::pass::Stopped;
use crate::service::event;

/// Everything of a running service; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct App {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    surroundings: Surroundings,
    shared: Shared,
    setup: watch::Sender<Arc<Setup>>,
    chains: Mutex<BTreeMap<ChainName, ChainTask>>,
    /// One change of gates or setup at a time.
    changing: tokio::sync::Mutex<()>,
    limits: Limits,
    sets: Sets,
    store_check: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

#[derive(Debug)]
struct ChainTask {
    handle: ChainHandle,
    stop: CancellationToken,
}

/// What a reload did.
#[derive(Debug)]
pub(super) struct Reloaded {
    /// What is worth knowing about the new configuration.
    pub(super) warnings: Vec<String>,
}

// === impl App ===

impl App {
    /// A service that has begun nothing yet.
    pub(super) fn new(
        surroundings: Surroundings,
        ledger: Ledger,
        setup: Setup,
        shutdown: CancellationToken,
    ) -> Self {
        let shared = Shared {
            metrics: Metrics::new(&setup, &surroundings.clock),
            clock: surroundings.clock.clone(),
            feed: Feed::new(ledger.clone()),
            ledger,
            running: Arc::default(),
        };
        Self {
            inner: Arc::new(Inner {
                surroundings,
                shared,
                setup: watch::Sender::new(Arc::new(setup)),
                chains: Mutex::default(),
                changing: tokio::sync::Mutex::default(),
                limits: Limits::default(),
                sets: Sets::default(),
                store_check: tokio::sync::Mutex::default(),
                tasks: TaskTracker::new(),
                shutdown,
            }),
        }
    }

    /// Starts the feed and the chains, after a word on how each chain stands.
    pub(super) async fn start(&self) -> Result<(), LedgerError> {
        self.end_orphans().await?;
        let setup = self.setup();
        // Whoever follows the stream learns that the service is back, and how the chains stand.
        let mut states = Vec::new();
        for name in setup.chains.keys() {
            states.push(NewEvent {
                kind: event::SCAN_STATE,
                chain: Some(name.clone()),
                scan: None,
                data: event::scan_state(self.ledger(), name).await?,
            });
        }
        self.ledger().add_events(states).await?;
        let feed = self.feed().clone();
        let stop = self.inner.shutdown.clone();
        self.inner
            .tasks
            .spawn(async move { feed.follow(stop).await });
        let metrics = self.metrics().clone();
        let stop = self.inner.shutdown.clone();
        self.spawn(async move { metrics.keep(stop).await });
        self.spawn_retention();
        let webhooks = Webhooks::new(self.ledger().clone(), self.clock().clone());
        let setups = self.inner.setup.subscribe();
        let stop = self.inner.shutdown.clone();
        self.inner.tasks.spawn(webhooks.run(setups, stop));
        let alerts = Alerts::new(self.ledger().clone(), self.clock().clone());
        let setups = self.inner.setup.subscribe();
        let stop = self.inner.shutdown.clone();
        self.inner.tasks.spawn(alerts.run(setups, stop));
        for (name, chain) in &setup.chains {
            self.spawn_chain(name, chain);
        }
        Ok(())
    }

    fn spawn_retention(&self) {
        let setups = self.inner.setup.subscribe();
        let retention = Retention {
            ledger: self.ledger().clone(),
            clock: self.clock().clone(),
            random: fastrand::Rng::new(),
            policy: move || {
                let config = &setups.borrow().loaded.config;
                let expires = |webhook: &config::Webhook| (webhook.name.clone(), webhook.expires);
                Policy {
                    keep: config.store.keep,
                    webhooks: config.webhooks.iter().map(expires).collect(),
                }
            },
        };
        let stop = self.inner.shutdown.clone();
        self.inner.tasks.spawn(retention.run(stop));
    }

    /// Ends passes that no configured chain can go on with.
    async fn end_orphans(&self) -> Result<(), LedgerError> {
        let filter = PassFilter {
            status: Some(PassStatus::Running),
            ..PassFilter::default()
        };
        let setup = self.setup();
        for pass in self.ledger().pass_page(&filter, None, 1_000).await? {
            if !setup.chains.contains_key(&pass.chain) {
                let end = Stopped::RECONFIGURED.into();
                self.ledger().end_pass(&pass.id, end, Vec::new()).await?;
            }
        }
        Ok(())
    }

    fn spawn_chain(&self, name: &ChainName, setup: &Arc<ChainSetup>) {
        let stop = self.inner.shutdown.child_token();
        let shared = self.inner.shared.clone();
        let (handle, task) = ChainHandle::spawn(setup.clone(), shared, stop.clone());
        self.inner.tasks.spawn(task);
        self.chains()
            .insert(name.clone(), ChainTask { handle, stop });
    }

    /// Runs something beside the requests until the service ends, which waits for it.
    pub(super) fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.inner.tasks.spawn(task);
    }

    /// Waits until everything that was begun has ended; `shutdown` has asked it to.
    pub(super) async fn ended(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// The configuration and the pools of this moment.
    pub(super) fn setup(&self) -> Arc<Setup> {
        self.inner.setup.borrow().clone()
    }

    /// Hears of each other configuration.
    pub(super) fn setups(&self) -> watch::Receiver<Arc<Setup>> {
        self.inner.setup.subscribe()
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.inner.shared.ledger
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.inner.shared.clock
    }

    pub(super) fn feed(&self) -> &Feed {
        &self.inner.shared.feed
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.inner.shared.metrics
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// The address sets that the store has.
    pub(super) fn sets(&self) -> &Sets {
        &self.inner.sets
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The sign that the service ends.
    pub(super) fn shutdown(&self) -> &CancellationToken {
        &self.inner.shutdown
    }

    /// The task of a chain.
    pub(super) fn chain(&self, name: &ChainName) -> Option<ChainHandle> {
        self.chains().get(name).map(|chain| chain.handle.clone())
    }

    fn chains(&self) -> std::sync::MutexGuard<'_, BTreeMap<ChainName, ChainTask>> {
        let chains = self.inner.chains.lock();
        chains.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store can be written; asked of it once a second at most. The error is for people.
    pub(super) async fn check_store(&self) -> Result<(), String> {
        const FRESH: Duration = Duration::from_secs(1);
        let mut last = self.inner.store_check.lock().await;
        let now = self.clock().now();
        if let Some((at, result)) = &*last
            && now.saturating_duration_since(*at) < FRESH
        {
            return result.clone();
        }
        // Shorter than what a request may take, so that whoever asks hears why.
        let request = self.setup().loaded.config.service.request_timeout;
        let patience = Duration::from_secs(3).min(request / 2);
        let checked = tokio::time::timeout(patience, self.ledger().check_writable()).await;
        let result = match checked {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(crate::causes::with_causes(&error)),
            Err(_) => Err("the store did not answer in time".to_owned()),
        };
        *last = Some((self.clock().now(), result.clone()));
        result
    }

    /// Writes down decisions that the store does not have yet: whoever asks is to see the newest.
    pub(super) async fn store_decisions(&self) -> Result<(), LedgerError> {
        for chain in self.setup().chains.values() {
            save_decisions(&chain.pool, self.ledger()).await?;
        }
        Ok(())
    }

    /// Changes a provider's gate and writes it down before it returns.
    pub(super) async fn change_gate(
        &self,
        chain: &ChainName,
        member: &Arc<Member>,
        change: impl FnOnce(&Member),
    ) -> Result<Arc<Member>, LedgerError> {
        let _one = self.inner.changing.lock().await;
        // What cannot be kept over a restart is not done at all.
        self.ledger().check_writable().await?;
        // A reload may have put another gate in its place meanwhile.
        let setup = self.setup();
        let current = setup.chains.get(chain).and_then(|chain| {
            let mut members = chain.pool.members.iter();
            members.find(|it| it.name == member.name).cloned()
        });
        let member = current.unwrap_or_else(|| member.clone());
        change(&member);
        if let Some(chain) = setup.chains.get(chain) {
            let recorder = Recorder::new(&chain.pool, self.ledger(), self.clock());
            recorder.save_member(&member).await?;
        }
        Ok(member)
    }

    /// Reads the configuration again and goes on with it. What is wrong changes nothing.
    pub(super) async fn reload(&self) -> Result<Reloaded, SetupError> {
        let app = self.clone();
        // By itself: whoever asked may go away, and chains that are paused must not stay so.
        let reload = self.inner.tasks.spawn(async move {
            let result = app.try_reload().await;
            app.metrics().reloaded(&result);
            result
        });
        reload.await.unwrap_or_else(|error| {
            tracing::error!(
                "a reload has failed: {}",
                crate::causes::with_causes(&error)
            );
            Err(SetupError::Ledger(LedgerError::Closed))
        })
    }

    async fn try_reload(&self) -> Result<Reloaded, SetupError> {
        let _one = self.inner.changing.lock().await;
        let read = self.inner.surroundings.read().map_err(SetupError::Config)?;
        let before = self.setup();
        let mut warnings = fixed_settings(&before.loaded.config, &read.0.config);
        let handles: Vec<ChainHandle> = {
            let chains = self.chains();
            chains.values().map(|chain| chain.handle.clone()).collect()
        };
        join_all(handles.iter().map(ChainHandle::pause)).await;
        let surroundings = &self.inner.surroundings;
        let next = surroundings
            .assemble(read, self.ledger(), Some(&before))
            .await;
        let next = match next {
            Ok(next) => Arc::new(next),
            Err(error) => {
                self.adopt(&before).await;
                return Err(error.into());
            }
        };
        warnings.extend(next.warnings.iter().map(ToString::to_string));
        self.metrics().turn(&before, &next, || {
            self.inner.setup.send_replace(next.clone());
        });
        self.adopt(&next).await;
        self.remove_chains(&next).await?;
        Ok(Reloaded { warnings })
    }

    async fn adopt(&self, setup: &Setup) {
        for (name, chain) in &setup.chains {
            match self.chain(name) {
                Some(handle) => handle.adopt(chain.clone()).await,
                None => self.spawn_chain(name, chain),
            }
        }
    }

    /// Ends the chains that are not configured any more, and their passes.
    async fn remove_chains(&self, setup: &Setup) -> Result<(), LedgerError> {
        let removed: Vec<(ChainName, ChainTask)> = {
            let mut chains = self.chains();
            let gone = |name: &ChainName| !setup.chains.contains_key(name);
            let gone: Vec<ChainName> = chains.keys().filter(|name| gone(name)).cloned().collect();
            gone.into_iter()
                .filter_map(|name| chains.remove_entry(&name))
                .collect()
        };
        for (_, chain) in &removed {
            chain.stop.cancel();
            chain.handle.gone().await;
        }
        if !removed.is_empty() {
            self.end_orphans().await?;
        }
        Ok(())
    }
}

/// Settings that a running service cannot change.
fn fixed_settings(before: &config::Config, next: &config::Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut tell = |key: &str, changed: bool| {
        if changed {
            let place = next.place_of(key);
            warnings.push(format!("{place}: `{key}` is taken at the next start only"));
        }
    };
    let (old, new) = (&before.service, &next.service);
    tell("service.listen", old.listen != new.listen);
    tell("service.base_path", old.base_path != new.base_path);
    tell("store.url", !before.store.url.is_same(&next.store.url));
    tell("log.level", before.log.level != next.log.level);
    tell("log.format", before.log.format != next.log.format);
    warnings
}
