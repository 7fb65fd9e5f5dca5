//! The environment as a parameter, and the settings in it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use figment::value::{Dict, Tag, Value};

use super::error::{Finding, Place, did_you_mean, normal, ticked};
use super::source;
use crate::watch::{WARNING, is_private};

/// What a variable that overrides a setting starts with.
pub const PREFIX: &str = "SCANHOST__";

/// No setting lies deeper; what is deeper would only burden the stack.
const DEPTH_MAX: usize = 16;

/// Environment variables, handed in by whoever starts the program.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The process's own environment; variables that are not UTF-8 are left out.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let owned = variables.into_iter().map(|(n, v)| (n.into(), v.into()));
        Self(owned.collect())
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// One variable as a layer of its own, so that each value knows which variable it came from.
pub(super) struct Override {
    pub(super) name: Arc<str>,
    pub(super) dict: Dict,
}

/// The variables of `env` that override settings of `below`.
///
/// They set keys of chains and providers that the file has, they do not add any: a misspelt name
/// must not become a second provider.
pub(super) fn overrides(env: &Env, below: &Dict, findings: &mut Vec<Finding>) -> Vec<Override> {
    let mut found = Vec::new();
    for (name, value) in &env.0 {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let name: Arc<str> = name.as_str().into();
        if is_private(value) {
            let message = WARNING.to_owned();
            let place = Place::Env(name);
            findings.push(Finding { place, message });
            continue;
        }
        match resolve(path, below) {
            Ok(keys) => {
                let leaf = leaf(value, value_at(below, &keys));
                let nested = keys.iter().rev().fold(leaf, |inner, key| {
                    Value::from(Dict::from([(key.clone(), inner)]))
                });
                if let Some(dict) = nested.into_dict() {
                    found.push(Override { name, dict });
                }
            }
            Err(message) => findings.push(Finding {
                place: Place::Env(name),
                message,
            }),
        }
    }
    found
}

/// The keys that `PROVIDERS__BSC_DATASEED__TIMEOUT` names, spelt as the file spells them.
fn resolve(path: &str, below: &Dict) -> Result<Vec<String>, String> {
    let segments: Vec<_> = path.split("__").collect();
    let depth = 2..=DEPTH_MAX;
    if !depth.contains(&segments.len()) || segments.iter().any(|segment| segment.is_empty()) {
        return Err(format!(
            "names no setting; write {PREFIX}SECTION__KEY, as in {PREFIX}LOG__LEVEL"
        ));
    }
    let mut keys: Vec<String> = Vec::new();
    let mut level = Some(below);
    for (depth, segment) in segments.iter().enumerate() {
        let known = level
            .and_then(|dict| dict.keys().find(|key| normal(key) == normal(segment)))
            .cloned();
        let named = depth == 1 && ["chains", "providers"].contains(&keys[0].as_str());
        if named && known.is_none() {
            let kind = keys[0].trim_end_matches('s');
            let names = || level.into_iter().flat_map(Dict::keys).map(String::as_str);
            let hint = match did_you_mean(segment, names()) {
                hint if hint.is_empty() => format!("; the file has {}", ticked(names())),
                hint => hint,
            };
            let segment = segment.to_ascii_lowercase();
            return Err(format!("unknown {kind} `{segment}`{hint}"));
        }
        // In a header's name a variable cannot carry the `-`.
        let in_headers = keys.last().is_some_and(|key| key == "headers");
        let key = known.unwrap_or_else(|| {
            let lower = segment.to_ascii_lowercase();
            if in_headers {
                lower.replace('_', "-")
            } else {
                lower
            }
        });
        let value = level.and_then(|dict| dict.get(&key));
        if let Some(Value::Array(..)) = value
            && depth + 1 < segments.len()
        {
            let whole = segments[..=depth].join("__");
            return Err(format!(
                "`{key}` is a list; set it as a whole with {PREFIX}{whole}, or in the file"
            ));
        }
        level = value.and_then(Value::as_dict);
        keys.push(key);
    }
    Ok(keys)
}

fn value_at<'d>(dict: &'d Dict, keys: &[String]) -> Option<&'d Value> {
    let (last, path) = keys.split_last()?;
    let mut dict = dict;
    for key in path {
        dict = dict.get(key)?.as_dict()?;
    }
    dict.get(last)
}

/// The text as it is, its type is told by who reads it; but a table is laid over the one `below`.
///
/// A secret's reference is not: `{ file = … }` takes the place of `{ env = … }`.
fn leaf(text: &str, below: Option<&Value>) -> Value {
    let below = below.and_then(Value::as_dict);
    let is_table =
        below.is_some_and(|dict| !dict.contains_key("env") && !dict.contains_key("file"));
    is_table
        .then(|| source::parse_value(text.trim()))
        .flatten()
        .filter(|value| value.as_dict().is_some())
        .unwrap_or_else(|| Value::from(text))
}

/// A variable's text as the value of TOML that it spells, still known by its `tag`.
pub(super) fn typed(text: &str, tag: Tag) -> Option<Value> {
    source::parse_value(text.trim()).map(|value| tagged(value, tag))
}

fn tagged(value: Value, tag: Tag) -> Value {
    match value {
        Value::String(_, text) => Value::String(tag, text),
        Value::Char(_, letter) => Value::Char(tag, letter),
        Value::Bool(_, flag) => Value::Bool(tag, flag),
        Value::Num(_, num) => Value::Num(tag, num),
        Value::Empty(_, empty) => Value::Empty(tag, empty),
        Value::Dict(_, dict) => {
            let entries = dict.into_iter().map(|(key, it)| (key, tagged(it, tag)));
            Value::Dict(tag, entries.collect())
        }
        Value::Array(_, items) => {
            let items = items.into_iter().map(|it| tagged(it, tag));
            Value::Array(tag, items.collect())
        }
    }
}
