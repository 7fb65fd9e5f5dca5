//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// Where a value, a key or a problem stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Nobody wrote it: the built-in default.
    Default,
    /// A file as a whole.
    Whole(Arc<str>),
    /// A position in a file.
    At {
        /// The file as it was named.
        file: Arc<str>,
        /// Counted from 1.
        line: u32,
        /// In characters, counted from 1.
        column: u32,
    },
    /// An environment variable.
    Env(Arc<str>),
}

impl Place {
    /// Without the column: what `config show` prints behind a value.
    #[must_use]
    pub fn short(&self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::Whole(file) => file.to_string(),
            Self::At { file, line, .. } => format!("{file}:{line}"),
            Self::Env(name) => format!("env {name}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { file, line, column } => write!(f, "{file}:{line}:{column}"),
            other => f.write_str(&other.short()),
        }
    }
}

/// One thing that a person should know about the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where it stands.
    pub place: Place,
    /// What is the matter and what to do next, in one line.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything that keeps a configuration from being used; never empty, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    // Invariant: not empty.
    findings: Vec<Finding>,
    /// What they are in: `the configuration`.
    within: &'static str,
}

impl ConfigErrors {
    /// Findings that are printed; a file that is no TOML at all has hundreds.
    const TOLD_MAX: usize = 40;
    const CONFIGURATION: &'static str = "the configuration";

    /// A single error.
    #[must_use]
    pub fn one(place: Place, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            findings: vec![Finding { place, message }],
            within: Self::CONFIGURATION,
        }
    }

    /// The errors in `findings`, sorted and each once; `None` when there are none.
    #[must_use]
    pub fn of(mut findings: Vec<Finding>) -> Option<Self> {
        findings.sort();
        findings.dedup();
        (!findings.is_empty()).then_some(Self {
            findings,
            within: Self::CONFIGURATION,
        })
    }

    /// The same errors, in another file than the configuration.
    #[must_use]
    pub(super) fn within(self, within: &'static str) -> Self {
        Self { within, ..self }
    }

    /// The errors, at least one.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.findings.iter().take(Self::TOLD_MAX) {
            writeln!(f, "{finding}")?;
        }
        if let more @ 1.. = self.findings.len().saturating_sub(Self::TOLD_MAX) {
            writeln!(f, "… and {more} more")?;
        }
        match self.findings.len() {
            1 => write!(f, "1 error in {}", self.within),
            n => write!(f, "{n} errors in {}", self.within),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// A name that nothing bears, with what may have been meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} `{name}`{}", hint(suggestion.as_deref(), known))]
pub struct UnknownName {
    /// What kind of thing was looked for: `chain`, `provider`.
    pub kind: &'static str,
    /// The name as given.
    pub name: String,
    /// The nearest name that exists.
    pub suggestion: Option<String>,
    /// Every name that exists.
    pub known: Vec<String>,
}

impl UnknownName {
    /// Looks for the nearest of `known`.
    pub fn new<'a>(
        kind: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<_> = known.into_iter().map(str::to_owned).collect();
        Self {
            kind,
            name: name.to_owned(),
            suggestion: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
            known,
        }
    }
}

fn hint(suggestion: Option<&str>, known: &[String]) -> String {
    match suggestion {
        Some(suggestion) => format!("; did you mean `{suggestion}`?"),
        None if known.is_empty() => "; there are none".to_owned(),
        None => format!("; there are {}", ticked(known.iter().map(String::as_str))),
    }
}

/// `a`, `b`, `c`, each in back-ticks.
pub(super) fn ticked<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// The word that `typed` was most likely meant to be.
///
/// Far-off words are not offered: a wrong guess costs more time than none.
pub(super) fn nearest<'a>(
    typed: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = normal(typed);
    let length = typed.chars().count();
    let far = (length / 3).max(1).min(length.saturating_sub(1));
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&typed, &normal(word)), word))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `; did you mean …?` when one of `words` is near, else nothing.
pub(super) fn did_you_mean<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, words)
        .map(|word| format!("; did you mean `{word}`?"))
        .unwrap_or_default()
}

/// Names are the same whatever their case and whether they are written with `-` or `_`.
pub(super) fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}
