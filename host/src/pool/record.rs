//! What gates and pacers know, kept in the ledger: health rows, usage, events of transitions, what
//! is spent of long limits.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use super::assemble::provider_key;
use super::{Member, Pool};
use crate::clock::{SharedClock, rfc3339};
use crate::gate::Pacer;
use crate::gate::pacer::Save;
use crate::ledger::{Ledger, LedgerError, NewEvent, ProviderRecord, Usage, UsageRow};
use crate::model::ProviderName;

/// How often a running scan writes down what changed.
const EVERY: Duration = Duration::from_secs(1);

/// Keeps the rows of a pool's providers current.
#[derive(Debug)]
pub struct Recorder<'a> {
    pool: &'a Pool,
    ledger: &'a Ledger,
    clock: &'a SharedClock,
    /// What the store has, so that a service that has nothing to do writes nothing.
    written: Mutex<HashMap<ProviderName, ProviderRecord>>,
}

impl<'a> Recorder<'a> {
    /// A recorder for the pool.
    #[must_use]
    pub fn new(pool: &'a Pool, ledger: &'a Ledger, clock: &'a SharedClock) -> Self {
        Self {
            pool,
            ledger,
            clock,
            written: Mutex::default(),
        }
    }

    /// Writes until it is dropped. What cannot be written is tried again.
    ///
    /// Limits of an hour and longer are spent only while this runs: it is what grants them.
    pub async fn run(&self) {
        let pacers = self.pacers();
        let pacers = join_all(pacers.values().map(|pacer| self.keep_pacer(pacer)));
        tokio::join!(self.keep_members(), pacers);
    }

    async fn keep_members(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            if let Err(error) = self.save_members().await {
                let causes = crate::causes::with_causes(&error);
                tracing::warn!("the health of providers could not be written: {causes}");
            }
        }
    }

    /// Stores what a pacer spends before it does, and its pauses.
    async fn keep_pacer(&self, pacer: &Pacer) {
        loop {
            if let Err(error) = self.save_pacer(pacer, pacer.save().await).await {
                let causes = crate::causes::with_causes(&error);
                tracing::warn!(
                    "what is spent of a provider's limits could not be written: {causes}"
                );
                tokio::time::sleep(EVERY).await;
            }
            pacer.save_wanted().await;
        }
    }

    /// Writes everything now, and exact numbers of what is spent: nobody is to work with the pool
    /// any more.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when something was not written; usage is then kept for the next time.
    pub async fn save(&self) -> Result<(), LedgerError> {
        self.save_members().await?;
        for pacer in self.pacers().values() {
            self.save_pacer(pacer, pacer.save_last().await).await?;
        }
        Ok(())
    }

    /// The pool's pacers that are stored, each once.
    fn pacers(&self) -> BTreeMap<String, Pacer> {
        let pacers = self.pool.members.iter().map(|member| member.gate.pacer());
        let kept = pacers.filter(|pacer| !pacer.key().is_empty());
        kept.map(|pacer| (pacer.key().to_owned(), pacer.clone()))
            .collect()
    }

    async fn save_pacer(&self, pacer: &Pacer, save: Option<Save>) -> Result<(), LedgerError> {
        let Some(save) = save else {
            return Ok(());
        };
        let state = serde_json::to_string(save.state()).expect("numbers serialize");
        self.ledger.save_pacer(pacer.key(), state).await?;
        save.stored();
        Ok(())
    }

    async fn save_members(&self) -> Result<(), LedgerError> {
        for member in &self.pool.members {
            self.save_member(member).await?;
        }
        save_decisions(self.pool, self.ledger).await
    }

    /// Writes what one provider's gate knows now.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when something was not written; it is then kept for the next time.
    pub async fn save_member(&self, member: &Arc<Member>) -> Result<(), LedgerError> {
        let gate = &member.gate;
        let key = provider_key(gate.key());
        let usage = gate.take_usage();
        if !usage.is_empty() {
            let row = UsageRow {
                day: rfc3339(self.clock.unix_ms())[..10].to_owned(),
                key: key.clone(),
                usage: Usage {
                    requests: usage.requests,
                    successes: usage.successes,
                    failures: usage.failures,
                    rate_limited: usage.rate_limited,
                },
            };
            if let Err(error) = self.ledger.add_usage(vec![row]).await {
                gate.return_usage(usage);
                return Err(error);
            }
        }
        let transitions = gate.take_transitions();
        let events: Vec<NewEvent> = transitions
            .iter()
            .map(|transition| NewEvent {
                kind: "provider_state",
                chain: Some(key.chain.clone()),
                scan: None,
                data: serde_json::json!({
                    "chain": key.chain,
                    "provider": key.provider,
                    "type": key.kind,
                    "from": transition.from,
                    "to": transition.to,
                    "why": transition.why,
                    "until": transition.until.map(rfc3339),
                }),
            })
            .collect();
        let health = gate.health();
        let record = ProviderRecord {
            key: key.clone(),
            status: health.status,
            consecutive_fails: health.consecutive_fails,
            last_success: health.last_success,
            last_error: health.last_error,
            last_error_msg: health.last_error_msg,
            circuit_state: health.circuit_state,
            updated_at: health.updated_at,
            persisted: serde_json::to_string(&gate.persisted()).ok(),
        };
        if !events.is_empty() || self.written().get(&member.name) != Some(&record) {
            let saved = self.ledger.save_provider(record.clone(), events).await;
            if let Err(error) = saved {
                gate.return_transitions(transitions);
                return Err(error);
            }
            self.written().insert(member.name.clone(), record);
        }
        if let Some(learned) = member.batch.unsaved() {
            self.ledger
                .learn(&key.chain, &key.provider, learned.clone())
                .await?;
            member.batch.saved(&learned);
        }
        Ok(())
    }

    fn written(&self) -> MutexGuard<'_, HashMap<ProviderName, ProviderRecord>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down the decisions of a pool that the store does not have yet.
///
/// # Errors
///
/// [`LedgerError`] when nothing was written; they are kept for the next time.
pub async fn save_decisions(pool: &Pool, ledger: &Ledger) -> Result<(), LedgerError> {
    let decisions = pool.decisions.take_new();
    let Some(first) = decisions.first().map(|decision| decision.id) else {
        return Ok(());
    };
    let saved = ledger.save_decisions(decisions).await;
    if saved.is_err() {
        pool.decisions.return_from(first);
    }
    saved
}
