//! Alerts: sums of known amounts that are on one side of a threshold, told once each way.
//!
//! An alert is evaluated when a pass ends, when a balance has changed, and when it has held for its
//! time. What is unknown is never a zero: as long as it could decide the sum, an alert neither
//! fires nor ends. A state and the event that tells of it are written together.

mod judge;
mod sum;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::judge::Change;
use self::sum::Sum;
use super::setup::Setup;
use crate::clock::{SharedClock, rfc3339};
use crate::config::{Alert, AlertWhose};
use crate::ledger::{AlertRow, AlertState, EventFilter, Ledger, LedgerError, NewEvent};
use crate::model::ChainName;
use crate::scan::list::AddressList;

/// Events read at once.
const PAGE: u32 = 500;
/// From one evaluation of an alert to the next, and as a multiple of the time that one takes.
const GAP: Duration = Duration::from_secs(1);
const GAP_TIMES: u32 = 10;
/// After the store could not be read or written.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// The task that evaluates alerts.
#[derive(Debug)]
pub(super) struct Alerts {
    ledger: Ledger,
    clock: SharedClock,
    watched: BTreeMap<String, Watched>,
    /// Everything up to this event was looked at.
    seen: i64,
}

/// An alert, and when it is to be evaluated.
#[derive(Debug)]
struct Watched {
    alert: Alert,
    /// `None` before its first evaluation.
    row: Option<AlertRow>,
    /// Its addresses as they were read last; a pass may have read others.
    list: Option<AddressList>,
    due: Option<Instant>,
    not_before: Instant,
}

// === impl Alerts ===

impl Alerts {
    pub(super) fn new(ledger: Ledger, clock: SharedClock) -> Self {
        Self {
            seen: *ledger.newest_event().borrow(),
            ledger,
            clock,
            watched: BTreeMap::new(),
        }
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(
        mut self,
        mut setups: watch::Receiver<Arc<Setup>>,
        stop: CancellationToken,
    ) {
        let work = async {
            loop {
                let setup = setups.borrow_and_update().clone();
                match self.work(&setup, &mut setups).await {
                    Ok(()) => {}
                    Err(LedgerError::Closed) => return,
                    Err(error) => {
                        tracing::warn!(
                            "alerts wait for the store: {}",
                            crate::causes::with_causes(&error)
                        );
                        tokio::time::sleep(STORE_WAIT).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Evaluates what is due until there is another setup.
    async fn work(
        &mut self,
        setup: &Setup,
        setups: &mut watch::Receiver<Arc<Setup>>,
    ) -> Result<(), LedgerError> {
        self.adopt(&setup.loaded.config.alerts).await?;
        let mut newest = self.ledger.newest_event();
        loop {
            newest.borrow_and_update();
            self.hear().await?;
            while let Some(name) = self.due_now() {
                self.evaluate(setup, &name).await?;
            }
            let next = self.watched.values().filter_map(|it| it.due).min();
            tokio::select! {
                biased;
                changed = setups.changed() => {
                    if changed.is_err() {
                        return Err(LedgerError::Closed);
                    }
                    return Ok(());
                }
                changed = newest.changed() => if changed.is_err() {
                    return Err(LedgerError::Closed);
                },
                () = until(next) => {}
            }
        }
    }

    /// Goes on with these; those that are not configured any more are resolved and forgotten.
    async fn adopt(&mut self, alerts: &[Alert]) -> Result<(), LedgerError> {
        let rows = self.ledger.alerts().await?;
        for row in &rows {
            if alerts.iter().any(|alert| alert.name == row.name) {
                continue;
            }
            let event = (row.state == AlertState::Firing).then(|| NewEvent {
                kind: "alert_resolved",
                chain: Some(row.chain.clone()),
                scan: None,
                data: json!({ "alert": row.name, "chain": row.chain, "cause": "removed" }),
            });
            self.ledger.forget_alert(&row.name, event).await?;
        }
        let now = self.clock.now();
        let watched = alerts.iter().map(|alert| {
            let mut row = rows.iter().find(|row| row.name == alert.name).cloned();
            if let Some(row) = &mut row
                && row.fingerprint != alert.fingerprint()
            {
                // Another threshold: for how long it has held is counted anew.
                row.fingerprint = alert.fingerprint();
                row.met_since = None;
            }
            let watched = Watched {
                alert: alert.clone(),
                row,
                list: None,
                due: Some(now),
                not_before: now,
            };
            (alert.name.clone(), watched)
        });
        self.watched = watched.collect();
        Ok(())
    }

    /// Looks at what happened since the last time.
    async fn hear(&mut self) -> Result<(), LedgerError> {
        let kinds = ["scan_complete", "scan_error", "balance_changed"];
        let filter = EventFilter {
            chains: Vec::new(),
            kinds: kinds.map(str::to_owned).to_vec(),
        };
        let newest = *self.ledger.newest_event().borrow();
        loop {
            let events = self.ledger.events_after(self.seen, &filter, PAGE).await?;
            for event in &events {
                if let Some(chain) = &event.chain {
                    self.mark(chain, event.kind != "balance_changed");
                }
            }
            match events.last() {
                Some(last) => self.seen = last.id,
                None => {
                    self.seen = self.seen.max(newest);
                    return Ok(());
                }
            }
        }
    }

    /// The chain's alerts are to be evaluated, with their lists read anew where a pass has ended.
    fn mark(&mut self, chain: &ChainName, pass_ended: bool) {
        let now = self.clock.now();
        for watched in self.watched.values_mut() {
            if watched.alert.chain != *chain {
                continue;
            }
            if pass_ended {
                watched.list = None;
            }
            let soon = now.max(watched.not_before);
            watched.due = Some(watched.due.map_or(soon, |due| due.min(soon)));
        }
    }

    fn due_now(&self) -> Option<String> {
        let now = self.clock.now();
        let due = |watched: &Watched| watched.due.is_some_and(|due| due <= now);
        let found = self.watched.iter().find(|(_, watched)| due(watched));
        found.map(|(name, _)| name.clone())
    }

    async fn evaluate(&mut self, setup: &Setup, name: &str) -> Result<(), LedgerError> {
        let Some(watched) = self.watched.get_mut(name) else {
            return Ok(());
        };
        let began = self.clock.now();
        let sum = match setup.chains.get(&watched.alert.chain) {
            Some(chain) => sum::sum(&self.ledger, chain, &watched.alert, &mut watched.list).await?,
            None => Sum::unknown("the chain is not served".to_owned()),
        };
        let now = self.clock.now();
        let now_ms = self.clock.unix_ms();
        let (row, change) = judge::step(&watched.alert, watched.row.as_ref(), &sum, now_ms);
        let event = change.map(|change| event_of(&watched.alert, &row, change));
        self.ledger.save_alert(row.clone(), event).await?;
        if let Some(change) = change {
            tell(&row, change);
        }
        watched.not_before = now + GAP.max((now - began) * GAP_TIMES);
        watched.due = match (row.state, row.met_since) {
            (AlertState::Pending, Some(since)) => {
                let hold_ms = i64::try_from(watched.alert.hold.as_millis()).unwrap_or(i64::MAX);
                let left = since.saturating_add(hold_ms).saturating_sub(now_ms);
                let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
                // Holding for ever is beyond what an `Instant` can say.
                now.checked_add(left).map(|at| at.max(watched.not_before))
            }
            _ => None,
        };
        watched.row = Some(row);
        Ok(())
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn tell(row: &AlertRow, change: Change) {
    let AlertRow { name, amount, .. } = row;
    match change {
        Change::Fired => tracing::warn!(alert = %name, %amount, "alert `{name}` fires at {amount}"),
        Change::Resolved => {
            tracing::info!(alert = %name, %amount, "alert `{name}` is resolved at {amount}");
        }
    }
}

fn event_of(alert: &Alert, row: &AlertRow, change: Change) -> NewEvent {
    let mut data = json!({
        "alert": alert.name,
        "chain": alert.chain,
        "asset": alert.asset.symbol,
        "contract": alert.asset.contract,
        "set": set_of(alert),
        "side": alert.side.as_str(),
        "threshold": alert.threshold.to_string(),
        "amount": row.amount,
        "decimals": alert.asset.decimals,
        "cells": row.cells,
        "unknown": row.unknown,
        "fired_at": row.fired_at.map(rfc3339),
    });
    let kind = match change {
        Change::Fired => "alert_firing",
        Change::Resolved => {
            if let Value::Object(fields) = &mut data {
                fields.insert("cause".to_owned(), "amount".into());
            }
            "alert_resolved"
        }
    };
    NewEvent {
        kind,
        chain: Some(alert.chain.clone()),
        scan: None,
        data,
    }
}

/// The set that an alert is about, where it is about one.
pub(super) fn set_of(alert: &Alert) -> Option<&str> {
    match &alert.whose {
        AlertWhose::Set(set) => Some(set),
        AlertWhose::Chain | AlertWhose::Addresses(_) => None,
    }
}
