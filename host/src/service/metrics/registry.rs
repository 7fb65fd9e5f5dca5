//! The table of all metrics.
//!
//! Everything else is made from it: the series with their descriptions, the dashboard, what the
//! alert rules may name. A timestamp is in seconds since 1970.

use super::family::{Family, Group, Kind, Label};

/// For calls over the network, in seconds.
const CALL: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// For cells of one call.
const CELLS: &[f64] = &[
    1.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 5_000.0, 20_000.0,
];
/// For whole scans, in seconds.
const SCAN: &[f64] = &[
    0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0,
];

macro_rules! families {
    ($($ident:ident: $group:ident $kind:expr, $name:literal, [$($label:ident),*], $help:literal;)+) => {
        $(pub(super) static $ident: Family = Family {
            name: concat!("scanhost_", $name),
            kind: $kind,
            group: Group::$group,
            labels: &[$(Label::$label),*],
            help: $help,
        };)+

        /// Every family.
        pub static ALL: &[&Family] = &[$(&$ident),+];
    };
}

families! {
    // === the service ===
    BUILD_INFO: Service Kind::Info, "build_info", [Version],
        "The version that runs; always 1";
    START_TIME: Service Kind::Gauge, "process_start_timestamp_seconds", [],
        "When the process started";
    STORE_WRITABLE: Service Kind::Gauge, "store_writable", [],
        "Whether the store takes what is written: 1 or 0";
    STORE_SIZE: Service Kind::Gauge, "store_size_bytes", [],
        "Size of the store; of SQLite without its log";
    EVENTS: Service Kind::Gauge, "events_stored", [],
        "Events that the store keeps for replay";
    STREAMS: Service Kind::Gauge, "event_streams", [],
        "Open streams of events";
    RELOADS: Service Kind::Counter, "config_reloads_total", [Reload],
        "Reloads of the configuration; rejected ones changed nothing";
    RELOAD_OK: Service Kind::Gauge, "config_last_reload_ok", [],
        "Whether the last configuration that was read is in use: 1 or 0";
    ALERT: Service Kind::Gauge, "alert_firing", [Alert],
        "Whether a configured alert fires: 1 or 0; NaN where what is unknown could change that";
    WEBHOOK_FAILURES: Service Kind::Gauge, "webhook_failed_attempts", [Webhook],
        "Attempts of a configured webhook that failed since its last delivery";
    WEBHOOK_BEHIND: Service Kind::Gauge, "webhook_behind_events", [Webhook],
        "Stored events that a configured webhook has not dealt with yet";

    // === chains ===
    SCAN_STATE: Chains Kind::OneOf, "scan_state", [Chain, ScanState],
        "How the newest scan of the chain's set stands";
    SCAN_LAST: Chains Kind::OneOf, "scan_last_result", [Chain, ScanEnd],
        "How the last scan of the chain's set that ended did so; all 0 before the first";
    SCAN_HOLES: Chains Kind::Gauge, "scan_last_unknown_cells", [Chain],
        "Cells that the last scan of the chain's set that ended does not know; NaN before the first";
    SCAN_TROUBLE: Chains Kind::Gauge, "scan_trouble", [Chain],
        "Whether the last scan of the chain's set could not begin, or broke: 1 or 0";
    SCAN_INTERVAL: Chains Kind::Gauge, "scan_interval_seconds", [Chain],
        "Configured time from the start of a scan to the next; NaN without a schedule";
    SCAN_NEXT: Chains Kind::Gauge, "scan_next_timestamp_seconds", [Chain],
        "When the next scan begins by itself; NaN where none does";
    SCAN_EVER: Chains Kind::Gauge, "scan_ever_complete", [Chain],
        "Whether a scan of the chain's set was ever complete: 1 or 0";
    SCAN_COMPLETE: Chains Kind::Gauge, "scan_last_complete_timestamp_seconds", [Chain],
        "When a scan of the chain's set was last complete; NaN before the first";
    SCAN_WANTED: Chains Kind::Gauge, "scan_wanted_cells", [Chain],
        "Cells that the newest scan of the chain's set is to know";
    SCAN_CELLS: Chains Kind::Gauge, "scan_cells", [Chain, ScanResult],
        "Cells of the newest scan of the chain's set, by what is known of them so far";
    SCAN_FUNDED: Chains Kind::Gauge, "scan_funded_cells", [Chain],
        "Cells of the newest scan of the chain's set that are known and above zero";
    SCAN_DURATION: Chains Kind::Histogram(SCAN), "scan_duration_seconds", [Chain, ScanKind, ScanEnd],
        "How long scans took that ended in this process";
    BALANCES: Chains Kind::Gauge, "balances", [Chain],
        "Cells with a known balance in the store";
    BALANCES_OLDEST: Chains Kind::Gauge, "balances_oldest_timestamp_seconds", [Chain],
        "When the oldest stored balance was read; NaN where there is none";
    BALANCES_NEWEST: Chains Kind::Gauge, "balances_newest_timestamp_seconds", [Chain],
        "When the newest stored balance was read; NaN where there is none";
    RECONCILED: Chains Kind::Counter, "reconcile_cells_total", [Chain, Compared],
        "Cells that a second provider read as well, by what the comparison came to";
    NOBODY: Chains Kind::Counter, "pool_exhausted_total", [Chain],
        "Rounds of a scan after which no provider could take the cells that were left";

    // === providers ===
    LOADED: Providers Kind::Gauge, "provider_loaded", [Chain, Provider],
        "Whether the provider's plugin could be loaded and opened: 1 or 0";
    PLUGIN_INFO: Providers Kind::Info, "plugin_info", [Chain, Provider, Plugin, Version],
        "The plugin that serves a provider; always 1";
    HEALTH: Providers Kind::OneOf, "provider_health", [Chain, Provider, Health],
        "How the provider fares; all 0 where it could not be loaded";
    STATE: Providers Kind::OneOf, "provider_state", [Chain, Provider, State],
        "The strongest of what acts on the provider: breaker, hold, operator, quarantine";
    BREAKER: Providers Kind::OneOf, "breaker_state", [Chain, Provider, Circuit],
        "The breaker's own state, whatever an operator forced";
    REFUSAL: Providers Kind::OneOf, "provider_refusal", [Chain, Provider, Why],
        "Why no work passes at this moment; all 0 where it does";
    CHANGES: Providers Kind::Counter, "provider_changes_total", [Chain, Provider, To],
        "Changes of the provider's state, by the state that was entered";
    CAUSES: Providers Kind::Counter, "provider_change_causes_total", [Chain, Provider, Cause],
        "Changes of the provider's state, by what made them";
    UNTIL: Providers Kind::Gauge, "provider_shut_until_timestamp_seconds", [Chain, Provider],
        "When work passes again, as far as is known; NaN where it passes, or nobody knows";
    FAILS: Providers Kind::Gauge, "provider_consecutive_failures", [Chain, Provider],
        "Failures since the provider's last success";
    LAST_OK: Providers Kind::Gauge, "provider_last_success_timestamp_seconds", [Chain, Provider],
        "When the provider last answered; NaN before the first time";
    LAST_ERROR: Providers Kind::Gauge, "provider_last_error_timestamp_seconds", [Chain, Provider],
        "When the provider last failed; NaN before the first time";

    // === calls ===
    CALLS: Calls Kind::Counter, "provider_calls_total", [Chain, Provider, Op, Outcome],
        "Calls by how they ended";
    DURATION: Calls Kind::Histogram(CALL), "provider_call_duration_seconds", [Chain, Provider, Op, Answered],
        "How long the provider took for a call, without what the host let it wait";
    REQUESTS: Calls Kind::Counter, "provider_requests_total", [Chain, Provider],
        "HTTP requests that were sent";
    CELL_RESULTS: Calls Kind::Counter, "provider_cells_total", [Chain, Provider, CellResult],
        "Cells by what a call made of them; one that is asked again counts again";
    CALL_SIZE: Calls Kind::Histogram(CELLS), "provider_call_cells", [Chain, Provider],
        "Cells of one call for balances";
    CALL_LIMIT: Calls Kind::Gauge, "provider_call_cells_limit", [Chain, Provider],
        "Most cells of the next call: what the plugin allows, or less where the provider taught it";
    IN_FLIGHT: Calls Kind::Gauge, "provider_calls_in_flight", [Chain, Provider],
        "Calls under way";
    VERDICTS: Calls Kind::Counter, "breaker_verdicts_total", [Chain, Provider, Verdict],
        "Calls that passed the gate, by what they said of the provider";
    SLOW: Calls Kind::Counter, "breaker_slow_calls_total", [Chain, Provider],
        "Answers that took longer than the breaker's `slow_call`";
    LATE: Calls Kind::Counter, "breaker_late_results_total", [Chain, Provider],
        "Results that came too late to decide anything";
    WAITS: Calls Kind::Histogram(CALL), "ratelimit_wait_seconds", [Chain, Provider],
        "What the host let a call wait to keep to the provider's limits";
    LIMIT_USED: Calls Kind::Gauge, "ratelimit_used", [Chain, Provider, Limit],
        "Requests that are spent or reserved of a limit";
    SHARE: Calls Kind::Gauge, "ratelimit_share", [Chain, Provider],
        "Share of the configured rate that is left after the provider asked to slow down; 1 is all";
    WAITING: Calls Kind::Gauge, "ratelimit_waiting_requests", [Chain, Provider],
        "Requests of calls under way that wait for the provider's limits";

    // === who gets the work ===
    GIVEN: Work Kind::Counter, "pool_given_total", [Chain, Provider, Purpose],
        "Calls that the provider got";
    SKIPPED: Work Kind::Counter, "pool_skipped_total", [Chain, Provider, Skip],
        "Calls that the provider did not get, by what kept it from them";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::family::Scope;
    use super::*;

    fn scope(chains: usize, providers: usize) -> Scope {
        let pool = |_| (0..providers).map(|it| format!("p{it}").into()).collect();
        Scope(
            (0..chains)
                .map(|it| (format!("c{it}").into(), pool(it)))
                .collect(),
        )
    }

    #[test]
    fn names_follow_the_conventions() {
        let mut seen = BTreeSet::new();
        for family in ALL {
            let name = family.name;
            assert!(seen.insert(name), "{name} is there twice");
            let is_counter = family.kind == Kind::Counter;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            assert!(
                !family.help.is_empty() && !family.help.ends_with('.'),
                "{name}"
            );
            let mut labels = BTreeSet::new();
            assert!(
                family.labels.iter().all(|it| labels.insert(it.name())),
                "{name}"
            );
            let first = family.labels.iter().position(|it| *it == Label::Chain);
            assert!(matches!(first, None | Some(0)), "{name}");
            let second = family.labels.iter().position(|it| *it == Label::Provider);
            assert!(matches!(second, None | Some(1)), "{name}");
        }
    }

    /// Lines of the exposition, which is what a Prometheus stores.
    fn lines(scope: &Scope) -> usize {
        let lines = |family: &&Family| {
            let each = match family.kind {
                Kind::Histogram(bounds) => bounds.len() + 3,
                _ => 1,
            };
            family.series(scope).len() * each
        };
        ALL.iter().map(lines).sum()
    }

    #[test]
    fn the_number_of_series_is_bounded_by_chains_and_providers() {
        let (none, chain, pair) = (
            lines(&scope(0, 0)),
            lines(&scope(1, 0)),
            lines(&scope(1, 1)),
        );
        let (per_chain, per_pair) = (chain - none, pair - chain);
        assert_eq!(lines(&scope(3, 10)), none + 3 * per_chain + 30 * per_pair);
        assert!(none <= 10, "{none}");
        assert!(per_chain <= 140, "{per_chain}");
        assert!(per_pair <= 250, "{per_pair}");
    }
}
