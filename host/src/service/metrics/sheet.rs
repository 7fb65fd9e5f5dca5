//! Series in the exposition of Prometheus.
//!
//! What grows is kept for as long as the process lives ([`Growing`]); what is true at a moment is
//! written on a fresh [`Sheet`] for each scrape, so that nothing of a provider that is configured no
//! more is left behind.

use std::collections::HashMap;

use metrics::{Counter, Histogram, Key, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

use super::family::{Family, Kind, Scope};
use super::registry;

const METADATA: Metadata<'static> = Metadata::new("scanhost", Level::INFO, None);

/// The gauges of one moment.
pub(super) struct Sheet(PrometheusRecorder);

/// The counters and histograms of the process.
pub(super) struct Growing {
    recorder: PrometheusRecorder,
    /// What sources with counts of their own told last.
    seen: HashMap<Key, u64>,
}

// === impl Sheet ===

impl Sheet {
    /// A sheet on which nothing is known yet.
    pub(super) fn new(scope: &Scope) -> Self {
        let sheet = Self(recorder());
        for family in registry::ALL {
            if is_growing(family) {
                continue;
            }
            sheet
                .0
                .describe_gauge(family.name.into(), None, family.help.into());
            for values in family.series(scope) {
                sheet.put(family, values, f64::NAN);
            }
        }
        sheet
    }

    /// Writes the value of one series.
    pub(super) fn set(&self, family: &Family, values: &[&str], value: f64) {
        self.put(family, owned(values), value);
    }

    /// Writes the value of one series, if it is known.
    pub(super) fn set_known(&self, family: &Family, values: &[&str], value: Option<f64>) {
        if let Some(value) = value {
            self.set(family, values, value);
        }
    }

    /// Writes 1 for the word that is so and 0 for the others, the last label's.
    pub(super) fn one_of(&self, family: &Family, values: &[&str], word: Option<&str>) {
        let words = family.labels.last().and_then(|label| label.words());
        for each in words.into_iter().flatten() {
            let values = [values, &[each]].concat();
            self.set(family, &values, flag(Some(each) == word));
        }
    }

    fn put(&self, family: &Family, values: Vec<String>, value: f64) {
        self.0
            .register_gauge(&key(family, values), &METADATA)
            .set(value);
    }

    pub(super) fn text(&self) -> String {
        self.0.handle().render()
    }
}

// === impl Growing ===

impl Growing {
    pub(super) fn new() -> Self {
        let recorder = recorder();
        for family in registry::ALL {
            let (name, help) = (family.name.into(), family.help.into());
            match family.kind {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Histogram(_) => recorder.describe_histogram(name, None, help),
                Kind::Gauge | Kind::OneOf | Kind::Info => {}
            }
        }
        Self {
            recorder,
            seen: HashMap::new(),
        }
    }

    /// Makes the series of these chains and providers, at 0 where they are new.
    pub(super) fn begin(&self, scope: &Scope) {
        for family in registry::ALL.iter().filter(|family| is_growing(family)) {
            for values in family.series(scope) {
                let key = key(family, values);
                match family.kind {
                    Kind::Counter => drop(self.recorder.register_counter(&key, &METADATA)),
                    _ => drop(self.recorder.register_histogram(&key, &METADATA)),
                }
            }
        }
    }

    pub(super) fn counter(&self, family: &Family, values: &[&str]) -> Counter {
        let key = key(family, owned(values));
        self.recorder.register_counter(&key, &METADATA)
    }

    pub(super) fn histogram(&self, family: &Family, values: &[&str]) -> Histogram {
        let key = key(family, owned(values));
        self.recorder.register_histogram(&key, &METADATA)
    }

    /// Adds what a source that counts by itself has counted since it was last asked.
    pub(super) fn follow(&mut self, family: &Family, values: &[&str], count: u64) {
        let key = key(family, owned(values));
        let counter = self.recorder.register_counter(&key, &METADATA);
        let before = self.seen.insert(key, count).unwrap_or(0);
        counter.increment(count.saturating_sub(before));
    }

    /// The sources are about to be replaced by others, which begin at 0.
    pub(super) fn forget_sources(&mut self) {
        self.seen.clear();
    }

    /// Folds observations into their buckets; they wait in memory until then.
    pub(super) fn fold(&self) {
        self.recorder.handle().run_upkeep();
    }

    pub(super) fn text(&self) -> String {
        self.recorder.handle().render()
    }
}

/// What a yes or no is written as.
pub(super) fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn is_growing(family: &Family) -> bool {
    matches!(family.kind, Kind::Counter | Kind::Histogram(_))
}

fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for family in registry::ALL {
        if let Kind::Histogram(bounds) = family.kind {
            let name = Matcher::Full(family.name.to_owned());
            let with = builder.set_buckets_for_metric(name, bounds);
            builder = with.expect("a table of bounds is not empty");
        }
    }
    builder.build_recorder()
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn key(family: &Family, values: Vec<String>) -> Key {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
    let labels = family.labels.iter().zip(values);
    let labels = labels.map(|(label, value)| metrics::Label::new(label.name(), value));
    Key::from_parts(family.name, labels.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope(vec![("btc".into(), vec!["a".into()])])
    }

    #[track_caller]
    fn told(text: &str, series: &str) -> String {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("{series} is not in\n{text}"))
            .to_owned()
    }

    #[test]
    fn a_counter_goes_on_where_a_replaced_source_ended() {
        let mut growing = Growing::new();
        growing.begin(&scope());
        let series = "scanhost_breaker_slow_calls_total{chain=\"btc\",provider=\"a\"}";
        let at = ["btc", "a"];
        let mut follow = |count, expected| {
            growing.follow(&registry::SLOW, &at, count);
            assert_eq!(told(&growing.text(), series), expected);
            growing.forget_sources();
        };
        follow(7, "7");
        follow(0, "7");
        follow(2, "9");
    }

    #[test]
    fn what_nobody_wrote_on_a_sheet_is_not_known() {
        let sheet = Sheet::new(&scope());
        sheet.one_of(&registry::HEALTH, &["btc", "a"], Some("down"));
        let text = sheet.text();
        let health = |status| {
            let labels = format!("{{chain=\"btc\",provider=\"a\",status=\"{status}\"}}");
            told(&text, &format!("scanhost_provider_health{labels}"))
        };
        assert_eq!(
            (health("down"), health("healthy")),
            ("1".into(), "0".into())
        );
        let loaded = "scanhost_provider_loaded{chain=\"btc\",provider=\"a\"}";
        assert_eq!(told(&text, loaded), "NaN");
    }
}
