//! One scrape: everything looked at, and written down.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Metrics;
use super::family::Scope;
use super::registry as table;
use super::sheet::{Growing, Sheet, flag};
use super::stored::{FRESH, Stored, StoredChain};
use crate::gate::{Gate, Totals};
use crate::ledger::AlertState;
use crate::model::ProviderName;
use crate::pool::Member;
use crate::pool::decision::{ProviderCounts, Purpose, Skip};
use crate::service::app::App;
use crate::service::setup::{ChainSetup, Setup};

impl Metrics {
    /// Everything, as it stands.
    pub(in crate::service) async fn render(&self, app: &App) -> String {
        let is_writable = app.check_store().await.is_ok();
        let stored = self.stored(app).await;
        let (setup, mut text) = {
            let mut growing = self.growing();
            // Under the lock, so that a reload comes before both or after both.
            let setup = app.setup();
            follow(&mut growing, &setup);
            (setup, growing.text())
        };
        let sheet = Sheet::new(&scope(&setup));
        self.service(&sheet, app, is_writable, &stored);
        Self::told(&sheet, &setup, &stored);
        for chain in setup.chains.values() {
            let told = stored.chains.get(&chain.chain.name);
            self.chain(&sheet, app, chain, told);
            for name in &chain.chain.pool {
                let mut members = chain.pool.members.iter();
                let member = members.find(|member| member.name == *name);
                provider(&sheet, &setup, chain, name, member);
            }
        }
        text.push_str(&sheet.text());
        text
    }

    async fn stored(&self, app: &App) -> Stored {
        // Several that scrape at once share one look.
        let mut last = self.shared.stored.lock().await;
        let now = app.clock().now();
        if let Some((at, stored)) = &*last
            && now.saturating_duration_since(*at) < FRESH
        {
            return stored.clone();
        }
        let setup = app.setup();
        let stored = Stored::read(app.ledger(), setup.chains.keys()).await;
        *last = Some((app.clock().now(), stored.clone()));
        stored
    }

    fn service(&self, sheet: &Sheet, app: &App, is_writable: bool, stored: &Stored) {
        sheet.set(&table::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        sheet.set(&table::START_TIME, &[], seconds(self.shared.started_ms));
        sheet.set(&table::STORE_WRITABLE, &[], flag(is_writable));
        sheet.set_known(&table::STORE_SIZE, &[], stored.size_bytes.map(number));
        sheet.set_known(&table::EVENTS, &[], stored.events.map(number));
        let streams = u64::try_from(app.feed().listeners()).ok();
        sheet.set_known(&table::STREAMS, &[], streams.map(number));
        let reload_ok = self.shared.reload_ok.load(Ordering::Relaxed);
        sheet.set(&table::RELOAD_OK, &[], flag(reload_ok));
    }

    /// What the configuration names, as the store knows it.
    fn told(sheet: &Sheet, setup: &Setup, stored: &Stored) {
        let config = &setup.loaded.config;
        for alert in &config.alerts {
            let mut rows = stored.alerts.iter();
            let row = rows.find(|row| row.name == alert.name);
            let fires = match row.map(|row| row.state) {
                Some(AlertState::Firing) => 1.0,
                Some(AlertState::Ok | AlertState::Pending) => 0.0,
                Some(AlertState::Unknown) | None => f64::NAN,
            };
            sheet.set(&table::ALERT, &[&alert.name], fires);
        }
        for webhook in &config.webhooks {
            let mut rows = stored.webhooks.iter();
            let row = rows.find(|row| row.name == webhook.name);
            let at: &[&str] = &[&webhook.name];
            let failures = row.map_or(0, |row| row.failures);
            sheet.set(&table::WEBHOOK_FAILURES, at, number(failures));
            // One that has not begun begins with the newest event.
            let behind = row.map_or(0, |row| stored.newest_event.saturating_sub(row.cursor));
            let behind = u64::try_from(behind).ok();
            sheet.set_known(&table::WEBHOOK_BEHIND, at, behind.map(number));
        }
    }

    fn chain(&self, sheet: &Sheet, app: &App, setup: &ChainSetup, stored: Option<&StoredChain>) {
        let name = &setup.chain.name;
        let at = &[name.as_str()];
        let every = setup.chain.scan.every;
        sheet.set_known(&table::SCAN_INTERVAL, at, every.map(|it| it.as_secs_f64()));
        if let Some(handle) = app.chain(name) {
            let status = handle.status();
            sheet.set_known(&table::SCAN_NEXT, at, status.next_at.map(seconds));
            sheet.set(&table::SCAN_TROUBLE, at, flag(status.trouble.is_some()));
        }
        let Some(stored) = stored else {
            return;
        };
        let newest = stored.newest.as_ref();
        let state = newest.map_or("idle", |pass| pass.status.as_str());
        sheet.one_of(&table::SCAN_STATE, at, Some(state));
        let ended = stored.ended.as_ref();
        let result = ended.map(|pass| pass.status.as_str());
        sheet.one_of(&table::SCAN_LAST, at, result);
        let holes = ended.map(|pass| number(pass.counters.unknown));
        sheet.set_known(&table::SCAN_HOLES, at, holes);
        let complete = stored.complete.as_ref();
        sheet.set(&table::SCAN_EVER, at, flag(complete.is_some()));
        let ended = complete.and_then(|pass| pass.ended_at);
        sheet.set_known(&table::SCAN_COMPLETE, at, ended.map(seconds));
        if let Some(pass) = newest {
            let counters = &pass.counters;
            sheet.set(&table::SCAN_WANTED, at, number(pass.cells));
            sheet.set(&table::SCAN_FUNDED, at, number(counters.funded));
            for (word, count) in [
                ("known", counters.known),
                ("unknown", counters.unknown),
                ("invalid", counters.invalid),
            ] {
                sheet.set(&table::SCAN_CELLS, &[name.as_str(), word], number(count));
            }
        }
        let balances = &stored.balances;
        sheet.set(&table::BALANCES, at, number(balances.count));
        sheet.set_known(&table::BALANCES_OLDEST, at, balances.oldest.map(seconds));
        sheet.set_known(&table::BALANCES_NEWEST, at, balances.newest.map(seconds));
    }
}

/// The chains and providers that have series.
pub(super) fn scope(setup: &Setup) -> Scope {
    let chains = setup.chains.iter();
    Scope(
        chains
            .map(|(name, chain)| (name.clone(), chain.chain.pool.clone()))
            .collect(),
    )
}

/// Adds what gates and pools have counted since the last time.
pub(super) fn follow(growing: &mut Growing, setup: &Setup) {
    for (name, chain) in &setup.chains {
        let counts = chain.pool.decisions.counts();
        let at = name.as_str();
        growing.follow(&table::NOBODY, &[at], counts.nobody);
        let none = ProviderCounts::default();
        for member in &chain.pool.members {
            let at = [at, member.name.as_str()];
            follow_gate(growing, at, &member.gate);
            let counts = counts.providers.get(&member.name).unwrap_or(&none);
            follow_decisions(growing, at, counts);
        }
    }
}

fn follow_gate(growing: &mut Growing, [chain, provider]: [&str; 2], gate: &Gate) {
    let totals = gate.snapshot().totals;
    let Totals {
        passed: _,
        successes,
        slow,
        failures,
        neutral,
        rate_limited,
        holds,
        plugin_faults,
        given_back,
        late,
    } = totals;
    for (word, count) in [
        ("success", successes),
        ("failure", failures),
        ("neutral", neutral),
        ("rate_limited", rate_limited),
        ("hold", holds),
        ("plugin_fault", plugin_faults),
        ("given_back", given_back),
    ] {
        growing.follow(&table::VERDICTS, &[chain, provider, word], count);
    }
    growing.follow(&table::SLOW, &[chain, provider], slow);
    growing.follow(&table::LATE, &[chain, provider], late);
    let moves = gate.moves();
    for (state, count) in moves.to() {
        growing.follow(&table::CHANGES, &[chain, provider, state.as_str()], count);
    }
    for (cause, count) in moves.why() {
        growing.follow(&table::CAUSES, &[chain, provider, cause.as_str()], count);
    }
}

fn follow_decisions(growing: &mut Growing, [chain, provider]: [&str; 2], counts: &ProviderCounts) {
    for purpose in Purpose::ALL {
        let count = counts.given.get(&purpose).copied().unwrap_or(0);
        growing.follow(&table::GIVEN, &[chain, provider, purpose.as_str()], count);
    }
    for skip in Skip::all() {
        let count = counts.skipped.get(&skip).copied().unwrap_or(0);
        growing.follow(&table::SKIPPED, &[chain, provider, skip.as_str()], count);
    }
}

fn provider(
    sheet: &Sheet,
    setup: &Setup,
    chain: &ChainSetup,
    name: &ProviderName,
    member: Option<&Arc<Member>>,
) {
    let at = &[chain.chain.name.as_str(), name.as_str()];
    sheet.set(&table::LOADED, at, flag(member.is_some()));
    let Some(member) = member else {
        // It has no gate, so none of these states is its own.
        for family in [
            &table::HEALTH,
            &table::STATE,
            &table::BREAKER,
            &table::REFUSAL,
        ] {
            sheet.one_of(family, at, None);
        }
        return;
    };
    let configured = setup.loaded.config.providers.get(name);
    let file = configured.and_then(|provider| setup.catalog.get(&provider.plugin));
    if let Some(file) = file {
        let manifest = &file.manifest;
        let values = [
            at[0],
            at[1],
            manifest.name.as_str(),
            manifest.version.as_str(),
        ];
        sheet.set(&table::PLUGIN_INFO, &values, 1.0);
    }
    let gate = member.gate.snapshot();
    sheet.one_of(&table::HEALTH, at, Some(gate.status.as_str()));
    sheet.one_of(&table::STATE, at, Some(gate.state.as_str()));
    sheet.one_of(&table::BREAKER, at, Some(gate.breaker.as_str()));
    sheet.one_of(&table::REFUSAL, at, gate.why.map(|why| why.as_str()));
    sheet.set_known(&table::UNTIL, at, gate.until.map(seconds));
    let history = &gate.history;
    sheet.set(&table::FAILS, at, f64::from(history.consecutive_fails));
    sheet.set_known(&table::LAST_OK, at, history.last_success.map(seconds));
    sheet.set_known(&table::LAST_ERROR, at, history.last_error.map(seconds));
    sheet.set(&table::IN_FLIGHT, at, f64::from(gate.in_flight));
    let cells = u64::try_from(member.cells_max()).ok();
    sheet.set_known(&table::CALL_LIMIT, at, cells.map(number));
    let pacer = member.gate.pacer().snapshot();
    sheet.set(&table::SHARE, at, pacer.share);
    sheet.set(&table::WAITING, at, number(pacer.waiting));
    for limit in &pacer.limits {
        let values = [at[0], at[1], limit.limit.as_str()];
        sheet.set(&table::LIMIT_USED, &values, number(limit.used));
    }
}

/// Counts are far below what a float holds exactly.
fn number(count: u64) -> f64 {
    count as f64
}

/// Milliseconds since 1970 as seconds.
fn seconds(unix_ms: i64) -> f64 {
    jiff::Timestamp::from_millisecond(unix_ms).map_or(f64::NAN, |at| at.as_duration().as_secs_f64())
}
