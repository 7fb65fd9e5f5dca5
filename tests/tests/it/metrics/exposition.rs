//! The text format of Prometheus, read strictly.

use std::collections::{BTreeMap, BTreeSet};

use crate::served::Served;

/// Labels that a series may have.
const LABELS: [&str; 19] = [
    "alert", "chain", "kind", "le", "limit", "op", "outcome", "plugin", "provider", "purpose",
    "reason", "result", "state", "status", "to", "verdict", "version", "webhook", "why",
];
/// No name of a configuration or a closed list is longer.
const VALUE_MAX: usize = 40;

pub(crate) type Labels = BTreeMap<String, String>;

/// What one scrape told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrape {
    /// Samples by name and labels.
    pub(crate) samples: BTreeMap<(String, Labels), f64>,
    /// Families: counter, gauge, histogram.
    pub(crate) families: BTreeMap<String, String>,
    pub(crate) text: String,
}

// === impl Scrape ===

impl Scrape {
    /// What the service tells now.
    #[track_caller]
    pub(crate) fn of(served: &Served) -> Self {
        let answer = served.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text);
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(answer.headers["content-type"], kind);
        Self::parse(answer.text)
    }

    /// Fails the test at whatever is not as it must be.
    #[track_caller]
    fn parse(text: String) -> Self {
        let mut scrape = Self::default();
        let mut described = BTreeSet::new();
        let mut current = String::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("it says something");
                assert!(!help.trim().is_empty(), "{line}");
                assert!(described.insert(name.to_owned()), "{name} comes twice");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("it has a type");
                assert!(
                    described.contains(name),
                    "{name} has no HELP before its TYPE"
                );
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let before = scrape.families.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} comes twice");
                name.clone_into(&mut current);
            } else {
                scrape.sample(line, &current);
            }
        }
        scrape.text = text;
        scrape.check_histograms();
        scrape
    }

    #[track_caller]
    fn sample(&mut self, line: &str, family: &str) {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').expect("the labels end")),
            None => (series, ""),
        };
        let kind = self.families.get(family).map(String::as_str);
        let end = name
            .strip_prefix(family)
            .unwrap_or_else(|| panic!("{line} is in {family}"));
        let is_part = match kind {
            Some("histogram") => ["_bucket", "_sum", "_count"].contains(&end),
            Some(_) => end.is_empty(),
            None => false,
        };
        assert!(is_part, "{line} is in {family}");
        let labels = labels_of(labels);
        for (label, told) in &labels {
            let is_known = LABELS.contains(&label.as_str());
            assert!(is_known, "{line}: `{label}` is no label of ours");
            assert!((1..=VALUE_MAX).contains(&told.len()), "{line}");
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./+".contains(c);
            assert!(told.chars().all(is_plain), "{line}");
        }
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let before = self.samples.insert((name.to_owned(), labels), value);
        assert_eq!(before, None, "{line} comes twice");
    }

    #[track_caller]
    fn check_histograms(&self) {
        let histograms = self
            .families
            .iter()
            .filter(|(_, kind)| *kind == "histogram");
        for (family, _) in histograms {
            let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for ((name, labels), count) in &self.samples {
                if *name == format!("{family}_bucket") {
                    let mut labels = labels.clone();
                    let bound = labels.remove("le").expect("a bucket has a bound");
                    let bound = bound.replace("+Inf", "inf").parse().expect("a number");
                    buckets.entry(labels).or_default().push((bound, *count));
                }
            }
            assert!(!buckets.is_empty(), "{family}");
            for (labels, mut buckets) in buckets {
                buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
                assert!(
                    buckets.is_sorted_by_key(|(_, count)| *count),
                    "{family} {labels:?}"
                );
                let last = buckets.last().expect("there is one");
                assert!(last.0.is_infinite(), "{family} {labels:?}");
                let count = self.samples[&(format!("{family}_count"), labels.clone())];
                assert!((last.1 - count).abs() < f64::EPSILON, "{family} {labels:?}");
            }
        }
    }

    /// The samples of a name with these labels, whatever others they have.
    pub(crate) fn some<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = (&'a Labels, f64)> {
        let named = self.samples.iter().filter(move |((it, _), _)| it == name);
        let is_wanted = move |told: &Labels| {
            let has =
                |(label, value): &(&str, &str)| told.get(*label).is_some_and(|it| it == value);
            labels.iter().all(has)
        };
        let wanted = named.filter(move |((_, told), _)| is_wanted(told));
        wanted.map(|((_, told), value)| (told, *value))
    }

    /// The sum of them; there must be one at least.
    #[track_caller]
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let values: Vec<f64> = self.some(name, labels).map(|(_, value)| value).collect();
        assert!(!values.is_empty(), "there is no {name} {labels:?}");
        values.iter().sum()
    }

    /// Names and labels of all series.
    pub(crate) fn series(&self) -> BTreeSet<&(String, Labels)> {
        self.samples.keys().collect()
    }

    /// What must never fall: counters, and the parts of histograms.
    pub(crate) fn growing(&self) -> impl Iterator<Item = (&(String, Labels), f64)> {
        let is_growing = |name: &str| {
            let ends = ["_bucket", "_sum", "_count"];
            let family = ends.iter().find_map(|end| name.strip_suffix(end));
            let kind = |name: &str| self.families.get(name).map(String::as_str);
            kind(name) == Some("counter") || family.and_then(kind) == Some("histogram")
        };
        let samples = self.samples.iter();
        let samples = samples.filter(move |((name, _), _)| is_growing(name));
        samples.map(|(series, value)| (series, *value))
    }
}

fn labels_of(text: &str) -> Labels {
    let mut labels = Labels::new();
    // No value of ours needs an escape, and none has a comma.
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (label, value) = pair.split_once('=').expect("a label has a value");
        let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        let value = value.expect("it is quoted").to_owned();
        let before = labels.insert(label.to_owned(), value);
        assert_eq!(before, None, "{text}");
    }
    labels
}
