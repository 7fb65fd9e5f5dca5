//! Reads the merged layers key by key and keeps going after a mistake.
//!
//! serde would stop at the first error and knows no places. Here each section asks for its keys by
//! name; what it asked for is what it knows, so unknown keys, their nearest known neighbour and
//! the lines of `config show` all come from the one list that the section's code is.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;

use figment::Figment;
use figment::value::{Dict, Tag, Value};

use super::env::{self, Env};
use super::error::{Finding, Place, did_you_mean, nearest, ticked};
use super::layers;
use super::leaf::Leaf;
use super::source::{Places, join};

/// An effective value, as `config show` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// `chains.bsc.spill_after`.
    pub path: String,
    /// The value in TOML; secrets as the reference that they are.
    pub value: String,
    /// Who set it.
    pub origin: Place,
}

/// What a list of tables holds; a single string is never one of them.
const TABLES: &str = "tables";

/// What all tables of one load share.
pub(super) struct Reader<'r> {
    pub(super) figment: &'r Figment,
    pub(super) places: &'r Places,
    pub(super) env: &'r Env,
    /// Relative paths start here.
    pub(super) base: &'r Path,
    pub(super) errors: RefCell<Vec<Finding>>,
    pub(super) warnings: RefCell<Vec<Finding>>,
    pub(super) effective: RefCell<Vec<Effective>>,
}

impl Reader<'_> {
    pub(super) fn error(&self, place: Place, message: String) {
        self.errors.borrow_mut().push(Finding { place, message });
    }

    pub(super) fn warn(&self, place: Place, message: String) {
        self.warnings.borrow_mut().push(Finding { place, message });
    }

    fn origin(&self, tag: Tag, in_file: impl FnOnce(&Places) -> Place) -> Place {
        let layer = self
            .figment
            .get_metadata(tag)
            .map(|metadata| &*metadata.name);
        match layer {
            Some(layers::LAYER_DEFAULT) => Place::Default,
            Some(layers::LAYER_FILE) | None => in_file(self.places),
            Some(variable) => Place::Env(variable.into()),
        }
    }
}

/// A value on its way into the configuration.
pub(super) struct Item<'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) path: String,
    value: Cow<'r, Value>,
}

impl<'r> Item<'r> {
    pub(super) fn place(&self) -> Place {
        self.reader
            .origin(self.value.tag(), |places| places.value(&self.path))
    }

    pub(super) fn is_override(&self) -> bool {
        matches!(self.place(), Place::Env(_))
    }

    /// The value; text from the environment as what it spells, if that is a value of TOML.
    pub(super) fn typed(&self) -> Cow<'_, Value> {
        match (self.value.as_ref(), self.is_override()) {
            (Value::String(tag, text), true) => match env::typed(text, *tag) {
                Some(value) => Cow::Owned(value),
                None => Cow::Borrowed(&self.value),
            },
            _ => Cow::Borrowed(&self.value),
        }
    }

    pub(super) fn raw(&self) -> &Value {
        &self.value
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.value.as_str()
    }

    /// Records that the value is wrong; `message` follows the key's path.
    pub(super) fn wrong<T>(&self, message: impl std::fmt::Display) -> Option<T> {
        // A value that could not even be parsed has been recorded by then.
        if !matches!(self.value.as_ref(), Value::Empty(..)) {
            let message = format!("`{}`: {message}", self.path);
            self.reader.error(self.place(), message);
        }
        None
    }

    /// Records that something else belongs here.
    pub(super) fn expected<T>(&self, what: &str) -> Option<T> {
        self.wrong(format_args!("expected {what}, found {}", self.found()))
    }

    /// Adds the line of `config show`.
    pub(super) fn show(&self, value: String) {
        self.reader.effective.borrow_mut().push(Effective {
            path: self.path.clone(),
            value,
            origin: self.place(),
        });
    }

    /// The value as an error may repeat it.
    pub(super) fn found(&self) -> String {
        match self.value.as_ref() {
            Value::String(_, text) => format!("{text:?}"),
            Value::Bool(_, flag) => flag.to_string(),
            Value::Num(_, num) => match num.to_f64() {
                Some(float) if num.to_i128().is_none() => format!("the number {float}"),
                _ => format!("the number {}", num.to_i128().unwrap_or_default()),
            },
            Value::Dict(..) => "a table".to_owned(),
            Value::Array(..) => "a list".to_owned(),
            Value::Char(..) | Value::Empty(..) => "nothing".to_owned(),
        }
    }

    /// The items of a list; a variable may also separate them with commas.
    pub(super) fn items(&self, what: &str) -> Option<Vec<Item<'r>>> {
        let values = match self.typed().into_owned() {
            Value::Array(_, values) => values,
            Value::String(tag, text) if self.is_override() => {
                let words = text.split(',').map(str::trim).filter(|w| !w.is_empty());
                words
                    .map(|word| Value::String(tag, word.to_owned()))
                    .collect()
            }
            Value::String(_, text) if what != TABLES => {
                let hint =
                    format_args!("expected a list of {what}, found {text:?}; write [{text:?}]");
                return self.wrong(hint);
            }
            _ => return self.expected(&format!("a list of {what}")),
        };
        let items = values.into_iter().enumerate().map(|(index, value)| Item {
            reader: self.reader,
            path: format!("{}[{index}]", self.path),
            value: Cow::Owned(value),
        });
        Some(items.collect())
    }

    /// The value as a table.
    pub(super) fn table(&self, what: &str) -> Option<Table<'r>> {
        let typed = self.typed().into_owned();
        let tag = typed.tag();
        match typed {
            Value::Dict(_, dict) => Some(Table {
                reader: self.reader,
                path: self.path.clone(),
                place: self.reader.origin(tag, |places| places.key(&self.path)),
                dict,
                known: Vec::new(),
            }),
            // Not repeated: where a secret's table belongs, the secret itself may stand.
            Value::String(..) => self.wrong(format_args!("expected {what}, found a string")),
            _ => self.expected(what),
        }
    }
}

/// A table on its way into the configuration.
#[derive(Clone)]
pub(super) struct Table<'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) path: String,
    place: Place,
    dict: Dict,
    known: Vec<&'static str>,
}

impl<'r> Table<'r> {
    /// The whole configuration.
    pub(super) fn root(reader: &'r Reader<'r>, dict: Dict) -> Self {
        Self {
            reader,
            path: String::new(),
            place: reader.places.key(""),
            dict,
            known: Vec::new(),
        }
    }

    /// The item under `key`, if there is one.
    pub(super) fn item(&mut self, key: &'static str) -> Option<Item<'r>> {
        self.known.push(key);
        self.dict.get(key).map(|value| Item {
            reader: self.reader,
            path: join(&self.path, key),
            value: Cow::Owned(value.clone()),
        })
    }

    /// `None` when the key is absent or wrong; a wrong one has been recorded.
    pub(super) fn optional<T: Leaf>(&mut self, key: &'static str) -> Option<T> {
        let item = self.item(key)?;
        let value = T::read(&item)?;
        item.show(value.shown());
        Some(value)
    }

    /// Like [`optional`](Self::optional), but no line of its own in `config show`.
    pub(super) fn optional_quietly<T: Leaf>(&mut self, key: &'static str) -> Option<T> {
        T::read(&self.item(key)?)
    }

    /// Like [`optional`](Self::optional), but an absent key is an error.
    pub(super) fn required<T: Leaf>(&mut self, key: &'static str) -> Option<T> {
        if !self.dict.contains_key(key) {
            self.known.push(key);
            self.missing(key);
            return None;
        }
        self.optional(key)
    }

    fn missing(&self, key: &str) {
        let message = match self.path.as_str() {
            "" => format!("missing key `{key}`"),
            path => format!("`{path}`: missing key `{key}`"),
        };
        self.reader.error(self.place.clone(), message);
    }

    /// The table under `key`.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'r>> {
        self.item(key)?.table("a table")
    }

    /// The tables of the list of tables under `key`; none when it is absent.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'r>> {
        let Some(item) = self.item(key) else {
            return Vec::new();
        };
        let items = item.items(TABLES).unwrap_or_default();
        items
            .iter()
            .filter_map(|item| item.table("a table"))
            .collect()
    }

    /// Every entry, for tables whose keys are names that the operator chose.
    pub(super) fn entries(&self) -> Vec<(String, Item<'r>)> {
        let entry = |(name, value): (&String, &Value)| {
            let item = Item {
                reader: self.reader,
                path: join(&self.path, name),
                value: Cow::Owned(value.clone()),
            };
            (name.clone(), item)
        };
        self.dict.iter().map(entry).collect()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.dict.contains_key(key)
    }

    /// Where the table itself stands.
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Where the value of `key` stands, else the table.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let path = join(&self.path, key);
        match self.dict.get(key) {
            Some(value) => self
                .reader
                .origin(value.tag(), |places| places.value(&path)),
            None => self.place(),
        }
    }

    /// Records an error about `key`, at its value or else at the table.
    pub(super) fn wrong(&self, key: &str, message: impl std::fmt::Display) {
        let path = join(&self.path, key);
        self.reader
            .error(self.place_of(key), format!("`{path}`: {message}"));
    }

    /// Records the keys that nobody asked for.
    pub(super) fn finish(self) {
        for (key, value) in &self.dict {
            if self.known.contains(&key.as_str()) {
                continue;
            }
            let path = join(&self.path, key);
            let place = self.reader.origin(value.tag(), |places| places.key(&path));
            let hint = match nearest(key, self.known.iter().copied()) {
                Some(_) => did_you_mean(key, self.known.iter().copied()),
                None if self.path.is_empty() => {
                    format!("; there are {}", ticked(self.known.iter().copied()))
                }
                None => format!("; known here: {}", ticked(self.known.iter().copied())),
            };
            self.reader
                .error(place, format!("unknown key `{path}`{hint}"));
        }
    }
}
