//! The alert rules for Prometheus.

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The alert's name.
    pub alert: &'static str,
    /// What is so while it fires.
    pub expression: &'static str,
    /// For how long, before it fires; as Prometheus writes durations.
    pub lasting: &'static str,
    /// `critical`: balances are not read, or not kept. `warning`: something is to be looked at.
    pub severity: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What it means.
    pub description: &'static str,
    /// What to do.
    pub runbook: &'static str,
}

/// Every rule.
pub const ALL: &[Rule] = &[
    Rule {
        alert: "ScanhostAbsent",
        expression: "absent(scanhost_build_info)",
        lasting: "5m",
        severity: "critical",
        summary: "Scanhost tells no metrics",
        description: "No Scanhost was scraped: it does not run, or cannot be reached.",
        runbook: "Look at the service's log; start it again: it goes on where it stopped.",
    },
    Rule {
        alert: "ScanhostStoreUnwritable",
        expression: "scanhost_store_writable == 0",
        lasting: "1m",
        severity: "critical",
        summary: "Scanhost cannot write its store",
        description: "Nothing that is read can be kept, and no scan goes on.",
        runbook: "Look at `/readyz` for the reason: a full disk, a lock of another process, a database \
                  that is away.",
    },
    Rule {
        alert: "ScanhostConfigReloadFailed",
        expression: "scanhost_config_last_reload_ok == 0",
        lasting: "1m",
        severity: "warning",
        summary: "The configuration of Scanhost was not taken",
        description: "The file has mistakes, or could not be made ready; the configuration before it is \
                      in use.",
        runbook: "Run `scanhost config check`, mend what it names, and reload again.",
    },
    Rule {
        alert: "ScanhostChainWithoutProvider",
        expression: "max by (chain) (scanhost_provider_health{status=\"healthy\"}) == 0",
        lasting: "2m",
        severity: "critical",
        summary: "No provider of {{ $labels.chain }} is healthy",
        description: "Every provider of the chain is down or fails; its balances are not read.",
        runbook: "Run `scanhost doctor`, which asks each of them; add another provider to the pool if the \
                  outage is theirs.",
    },
    Rule {
        alert: "ScanhostProviderDown",
        // A circuit that is open for hours is half-open now and then, which must not end the alert.
        expression: "sum by (chain, provider) (scanhost_provider_state{state=~\"open|half_open\"}) == 1",
        lasting: "5m",
        severity: "warning",
        summary: "{{ $labels.provider }} of {{ $labels.chain }} is down",
        description: "Its circuit is open after repeated failures, or nothing has shown yet that it is back; \
                      others of the pool take its work, where there are any.",
        runbook: "`scanhost health` tells its last error, `scanhost explain` why it was passed over.",
    },
    Rule {
        alert: "ScanhostProviderNotLoaded",
        expression: "scanhost_provider_loaded == 0",
        lasting: "1m",
        severity: "warning",
        summary: "{{ $labels.provider }} of {{ $labels.chain }} could not be loaded",
        description: "Its plugin is missing, cannot be loaded, or refused its options; it gets no work.",
        runbook: "The log of the start and `scanhost plugins check` name the reason; mend it and reload.",
    },
    Rule {
        alert: "ScanhostProviderUnauthorized",
        expression: "scanhost_provider_refusal{why=\"held_unauthorized\"} == 1",
        lasting: "1m",
        severity: "warning",
        summary: "{{ $labels.provider }} of {{ $labels.chain }} refuses its key",
        description: "The provider refused the key or the plan; it is held for an hour at a time.",
        runbook: "Renew the key, reload, and release the provider.",
    },
    Rule {
        alert: "ScanhostProviderHeld",
        expression: "scanhost_provider_state{state=\"held\"} == 1",
        lasting: "5m",
        severity: "warning",
        summary: "{{ $labels.provider }} of {{ $labels.chain }} is held",
        description: "It serves another network, refused its key, has spent its allowance, or tells other \
                      amounts than two others.",
        runbook: "`scanhost health` tells which; release it once that is mended.",
    },
    Rule {
        alert: "ScanhostPluginQuarantined",
        expression: "scanhost_provider_state{state=\"quarantined\"} == 1",
        lasting: "1m",
        severity: "warning",
        summary: "The plugin of {{ $labels.provider }} of {{ $labels.chain }} is in quarantine",
        description: "The plugin panics, hangs, or answers what no plugin may; it gets no work.",
        runbook: "Look at the log for its fault, replace the plugin's file, and reload.",
    },
    Rule {
        alert: "ScanhostScanTrouble",
        expression: "scanhost_scan_trouble == 1",
        lasting: "1m",
        severity: "critical",
        summary: "Scans of {{ $labels.chain }} cannot begin or break",
        description: "The list of addresses cannot be read, the plugin is missing, or the store failed.",
        runbook: "`/readyz` tells the reason, chain by chain.",
    },
    Rule {
        alert: "ScanhostScanOverdue",
        expression: "time() - scanhost_scan_last_complete_timestamp_seconds > 2 * scanhost_scan_interval_seconds",
        lasting: "5m",
        severity: "warning",
        summary: "No scan of {{ $labels.chain }} was complete for two of its intervals",
        description: "Scans take longer than the schedule allows, or end before they are complete.",
        runbook: "`scanhost plan` tells what a scan needs and its bottleneck; the log tells how the last \
                  ones ended.",
    },
    Rule {
        alert: "ScanhostScanNeverComplete",
        expression: "scanhost_scan_ever_complete == 0 and scanhost_scan_interval_seconds > 0",
        lasting: "1h",
        severity: "warning",
        summary: "No scan of {{ $labels.chain }} was ever complete",
        description: "The chain has a schedule, and none of its scans came to its end.",
        runbook: "`scanhost doctor` asks each provider; `scanhost plan` tells how long a scan takes.",
    },
    Rule {
        alert: "ScanhostScanGaveUp",
        expression: "scanhost_scan_last_result{result=~\"gave_up|broken\"} == 1",
        lasting: "1m",
        severity: "warning",
        summary: "The last scan of {{ $labels.chain }} ended as {{ $labels.result }}",
        description: "No provider answered for longer than the scan's budget, or Scanhost itself failed.",
        runbook: "`scanhost explain` tells why nobody could take the rest.",
    },
    Rule {
        alert: "ScanhostBalancesStale",
        expression: "time() - scanhost_balances_newest_timestamp_seconds > 3 * scanhost_scan_interval_seconds",
        lasting: "5m",
        severity: "critical",
        summary: "No balance of {{ $labels.chain }} was read for three intervals",
        description: "What the store tells is true of the past, and nothing new is read.",
        runbook: "`scanhost health` and `scanhost doctor` tell which providers answer.",
    },
    Rule {
        alert: "ScanhostHoles",
        expression: "scanhost_scan_last_unknown_cells > 0",
        lasting: "30m",
        severity: "warning",
        summary: "{{ $value }} cells of {{ $labels.chain }} are unknown",
        description: "The last scan that ended does not know these balances; the last good values are kept.",
        runbook: "The scan's holes, in the API and in `scanhost scan`, name each provider's reason.",
    },
    Rule {
        alert: "ScanhostReconcileMismatch",
        expression: "increase(scanhost_reconcile_cells_total{result=\"mismatch\"}[1h]) > 0",
        lasting: "0m",
        severity: "warning",
        summary: "Two providers of {{ $labels.chain }} insist on different amounts",
        description: "A second reading of some cells differs from the first, and both insist.",
        runbook: "The `reconcile_mismatch` events name cells and providers; compare with an explorer.",
    },
];

/// The rules as the YAML that Prometheus reads.
#[must_use]
pub fn rules() -> String {
    let mut text = String::from(
        "# Made by `scanhost metrics rules`.\ngroups:\n  - name: scanhost\n    rules:\n",
    );
    for rule in ALL {
        let lines = [
            ("      - alert", rule.alert.to_owned()),
            ("        expr", quoted(rule.expression)),
            ("        for", rule.lasting.to_owned()),
            ("        labels", String::new()),
            ("          severity", rule.severity.to_owned()),
            ("        annotations", String::new()),
            ("          summary", quoted(rule.summary)),
            ("          description", quoted(rule.description)),
            ("          runbook", quoted(rule.runbook)),
        ];
        for (key, value) in lines {
            let space = if value.is_empty() { "" } else { " " };
            text.push_str(&format!("{key}:{space}{value}\n"));
        }
    }
    text
}

/// A string of JSON is one of YAML too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::family::Kind;
    use super::super::registry;
    use super::*;

    /// The metrics that an expression names, each with its `{…}`.
    fn named(expression: &str) -> Vec<(&str, &str)> {
        let starts = expression.match_indices("scanhost_");
        let each = starts.map(|(at, _)| {
            let rest = &expression[at..];
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let labels = after.strip_prefix('{').and_then(|it| it.split_once('}'));
            (name, labels.map_or("", |(labels, _)| labels))
        });
        each.collect()
    }

    #[test]
    fn rules_name_what_the_registry_has() {
        for rule in ALL {
            let named = named(rule.expression);
            assert!(!named.is_empty(), "{}", rule.alert);
            for (name, labels) in named {
                let family = registry::ALL.iter().find(|it| it.name == name);
                let family = family.unwrap_or_else(|| panic!("{name} is no metric"));
                if rule.expression.contains("increase(") {
                    assert_eq!(family.kind, Kind::Counter, "{name}");
                }
                for matcher in labels.split(',').filter(|it| !it.is_empty()) {
                    let (label, values) = matcher.split_once('=').unwrap();
                    let label = family.labels.iter().find(|it| it.name() == label);
                    let words = label.unwrap_or_else(|| panic!("{matcher}")).words();
                    let words = words.unwrap_or_else(|| panic!("{matcher}"));
                    let values = values.trim_matches(['~', '"']);
                    for value in values.split('|') {
                        assert!(words.contains(&value), "{name}: {value} is never told");
                    }
                }
            }
        }
    }

    #[test]
    fn the_file_in_the_repository_is_the_one_that_is_made() {
        let kept = include_str!("../../../../config/monitoring/alerts.yml");
        assert!(
            kept == rules(),
            "write it anew: `scanhost metrics rules > config/monitoring/alerts.yml`"
        );
    }
}
