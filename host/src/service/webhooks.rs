//! Webhooks: events that are sent to whoever the configuration names.
//!
//! The `events` table is the outbox: an event is written with the data it tells of, and each
//! webhook has a place in the order of events that moves on after the receiver took one. So each
//! event arrives at least once and in order; a receiver that sees an id twice has it already.
//! One `courier` per webhook sends one event at a time over one connection.

mod courier;
mod message;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::courier::Courier;
use super::setup::Setup;
use crate::clock::SharedClock;
use crate::config::Webhook;
use crate::http::{
    NewHttpClientError, ProxySetting, Redactor, ReqwestTransport, Transport, TransportSettings,
};
use crate::ledger::{EventFilter, Ledger};

/// Starts and ends couriers as the configuration has it.
#[derive(Debug)]
pub(super) struct Webhooks {
    ledger: Ledger,
    clock: SharedClock,
    couriers: BTreeMap<String, Working>,
}

#[derive(Debug)]
struct Working {
    webhook: Webhook,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The events that a webhook is told of.
pub(super) fn filter_of(webhook: &Webhook) -> EventFilter {
    EventFilter {
        chains: webhook.chains.clone(),
        kinds: webhook.events.iter().map(|&name| name.to_owned()).collect(),
    }
}

// === impl Webhooks ===

impl Webhooks {
    pub(super) fn new(ledger: Ledger, clock: SharedClock) -> Self {
        Self {
            ledger,
            clock,
            couriers: BTreeMap::new(),
        }
    }

    /// Follows the configuration until it is told to stop; couriers end first.
    pub(super) async fn run(
        mut self,
        mut setups: watch::Receiver<Arc<Setup>>,
        stop: CancellationToken,
    ) {
        let mut reloaded = false;
        loop {
            let wanted = setups.borrow_and_update().loaded.config.webhooks.clone();
            self.adopt(wanted, reloaded).await;
            reloaded = true;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = setups.changed() => if changed.is_err() { break },
            }
        }
        self.end(|_| true).await;
    }

    /// Goes on with these; those that stayed the same do not notice.
    async fn adopt(&mut self, wanted: Vec<Webhook>, reloaded: bool) {
        let stays = |working: &Working| wanted.iter().any(|it| it.is_same(&working.webhook));
        self.end(|working| !stays(working)).await;
        let names = wanted.iter().map(|webhook| webhook.name.clone()).collect();
        if let Err(error) = self.ledger.keep_webhooks(names).await {
            tracing::warn!(
                "webhooks that are gone could not be forgotten: {}",
                crate::causes::with_causes(&error)
            );
        }
        for webhook in wanted {
            if self.couriers.contains_key(&webhook.name) {
                continue;
            }
            let name = webhook.name.clone();
            match transport(&webhook) {
                Ok(transport) => {
                    let working = self.start(webhook, transport, reloaded);
                    self.couriers.insert(name, working);
                }
                Err(error) => {
                    tracing::error!(webhook = %name, "webhook `{name}` cannot be set up: {}", crate::causes::with_causes(&error));
                }
            }
        }
    }

    fn start(&self, webhook: Webhook, transport: Arc<dyn Transport>, reloaded: bool) -> Working {
        let stop = CancellationToken::new();
        let courier = Courier {
            ledger: self.ledger.clone(),
            clock: self.clock.clone(),
            random: fastrand::Rng::new(),
            webhook: webhook.clone(),
            transport,
            at_once: reloaded,
            passes_over: false,
        };
        Working {
            webhook,
            task: tokio::spawn(courier.run(stop.clone())),
            stop,
        }
    }

    /// Ends those couriers; returns when they have ended.
    async fn end(&mut self, which: impl Fn(&Working) -> bool) {
        let ending: Vec<String> = {
            let ending = self.couriers.iter().filter(|(_, working)| which(working));
            ending.map(|(name, _)| name.clone()).collect()
        };
        let ending: Vec<Working> = ending
            .iter()
            .filter_map(|name| self.couriers.remove(name))
            .collect();
        for working in &ending {
            working.stop.cancel();
        }
        for working in ending {
            if let Err(error) = working.task.await {
                let name = &working.webhook.name;
                tracing::error!(webhook = %name, "webhook `{name}` has failed: {}", crate::causes::with_causes(&error));
            }
        }
    }
}

/// One connection that is kept open.
fn transport(webhook: &Webhook) -> Result<Arc<dyn Transport>, NewHttpClientError> {
    let settings = TransportSettings {
        connections: 1,
        proxy: ProxySetting::Environment,
        ca_file: None,
        tls: webhook.url.expose().scheme() == "https",
        is_loopback: webhook.url.is_loopback(),
    };
    Ok(Arc::new(ReqwestTransport::new(
        &settings,
        &Redactor::default(),
    )?))
}
