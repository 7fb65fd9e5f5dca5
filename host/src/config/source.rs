//! One TOML file as values for figment and, beside them, where each of them stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use figment::value::{Dict, Empty, Tag, Value};
use toml::de::{DeTable, DeValue};

use super::error::{Finding, Place};
use crate::watch::{WARNING, is_private};

/// Where the keys and values of one file stand, by path: `chains.bsc.assets[0].symbol`.
#[derive(Debug, Default)]
pub(super) struct Places {
    file: Arc<str>,
    keys: BTreeMap<String, Place>,
    values: BTreeMap<String, Place>,
}

impl Places {
    /// The value at `path`, else the nearest table around it, else the file.
    pub(super) fn value(&self, path: &str) -> Place {
        match self.values.get(path) {
            Some(place) => place.clone(),
            None => self.key(path),
        }
    }

    /// The key at `path`, else the nearest table around it, else the file.
    pub(super) fn key(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            // An item of a list has no key.
            if let Some(place) = self.keys.get(path).or_else(|| self.values.get(path)) {
                return place.clone();
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = &path[..cut],
                None => return Place::Whole(Arc::clone(&self.file)),
            }
        }
    }
}

/// A parsed file.
pub(super) struct Source {
    pub(super) dict: Dict,
    pub(super) places: Places,
    /// What is not TOML: the rest of the file means nothing before this is mended.
    pub(super) syntax: Vec<Finding>,
    /// Values that no key takes.
    pub(super) findings: Vec<Finding>,
}

/// Parses `text`; everything that is not TOML becomes a finding, the rest is still read.
pub(super) fn parse(file: &str, text: &str) -> Source {
    let file: Arc<str> = file.into();
    let mut walk = Walk {
        lines: Lines::of(Arc::clone(&file), text),
        places: Places {
            file: Arc::clone(&file),
            ..Places::default()
        },
        findings: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut syntax = Vec::new();
    for error in errors {
        let place = match error.span() {
            Some(span) => walk.lines.place(&span),
            None => Place::Whole(Arc::clone(&file)),
        };
        let message = format!("not valid TOML: {}", error.message().replace('\n', ", "));
        syntax.push(Finding { place, message });
    }
    let dict = walk.table("", table.get_ref());
    Source {
        dict,
        places: walk.places,
        syntax,
        findings: walk.findings,
    }
}

/// One value as TOML has it, without its place: `[1, 2]`, `{ env = "X" }`, `true`, `5`.
pub(super) fn parse_value(text: &str) -> Option<Value> {
    // A line break would end the value and let a second key in.
    if text.contains(['\n', '\r']) {
        return None;
    }
    let source = parse("", &format!("value = {text}"));
    if !source.syntax.is_empty() || !source.findings.is_empty() {
        return None;
    }
    let mut dict = source.dict;
    dict.remove("value")
}

/// `path` with one more key; keys that are not bare words are quoted.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let key = if bare {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

struct Walk {
    lines: Lines,
    places: Places,
    findings: Vec<Finding>,
}

impl Walk {
    fn table(&mut self, path: &str, table: &DeTable<'_>) -> Dict {
        let mut dict = Dict::new();
        for (key, value) in table {
            let path = join(path, key.get_ref());
            let place = self.lines.place(&key.span());
            self.places.keys.insert(path.clone(), place);
            let value = self.value(&path, value.get_ref(), &value.span());
            dict.insert(key.get_ref().to_string(), value);
        }
        dict
    }

    /// A value that cannot be used is a finding and stays as nothing, so that it is not missed too.
    fn value(&mut self, path: &str, value: &DeValue<'_>, span: &Range<usize>) -> Value {
        let place = self.lines.place(span);
        self.places.values.insert(path.to_owned(), place.clone());
        let wrong = match value {
            DeValue::String(text) if is_private(text) => WARNING.to_owned(),
            DeValue::String(text) => return Value::from(text.as_ref()),
            DeValue::Boolean(flag) => return Value::from(*flag),
            DeValue::Integer(int) => match i64::from_str_radix(int.as_str(), int.radix()) {
                Ok(int) => return Value::from(int),
                Err(_) => "is a number that needs more than 64 bits".to_owned(),
            },
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(float) => return Value::from(float),
                Err(_) => "is not a number".to_owned(),
            },
            DeValue::Datetime(date) => {
                format!("is a date; no key takes one, a text needs quotes: \"{date}\"")
            }
            DeValue::Array(array) => {
                let items = array.iter().enumerate().map(|(index, item)| {
                    self.value(&format!("{path}[{index}]"), item.get_ref(), &item.span())
                });
                return Value::from(items.collect::<Vec<_>>());
            }
            DeValue::Table(table) => return Value::from(self.table(path, table)),
        };
        let message = format!("`{path}`: {wrong}");
        self.findings.push(Finding { place, message });
        Value::Empty(Tag::Default, Empty::Unit)
    }
}

/// Byte offsets to lines and columns.
struct Lines {
    file: Arc<str>,
    text: String,
    starts: Vec<usize>,
}

impl Lines {
    fn of(file: Arc<str>, text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file,
            text: text.to_owned(),
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let line = self.starts.partition_point(|start| *start <= span.start);
        let start = self.starts[line.saturating_sub(1)];
        let before = self.text.get(start..span.start).unwrap_or_default();
        Place::At {
            file: Arc::clone(&self.file),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX),
        }
    }
}
