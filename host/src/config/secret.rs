//! Keys and tokens: named in the file, kept elsewhere, never printed.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use figment::value::Value;
use secrecy::{ExposeSecret, SecretString};

use super::leaf::{Leaf, quoted};
use super::reader::Item;

/// How a secret is written, for messages.
const HOW: &str = "{ env = \"NAME\" } or { file = \"/run/secrets/NAME\" }";

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// In an environment variable.
    Env(Arc<str>),
    /// In a file, without the line break at its end.
    File(PathBuf),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "{{ env = {} }}", quoted(name)),
            Self::File(path) => write!(f, "{{ file = {} }}", quoted(&path.to_string_lossy())),
        }
    }
}

/// A secret and where it came from; prints only the latter.
#[derive(Clone)]
pub struct Secret {
    source: SecretSource,
    // Without a value only while `missing` says why; a configuration that uses it is refused.
    value: SecretString,
    missing: Option<String>,
}

impl Secret {
    /// Where it is kept.
    #[must_use]
    pub fn source(&self) -> &SecretSource {
        &self.source
    }

    /// Why there is no value: the variable is not set, the file cannot be read, it is empty.
    ///
    /// Only providers that no pool names may lack a secret.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// The secret itself, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    fn of(source: SecretSource, value: Result<String, String>) -> Self {
        let value = value.and_then(|value| match value.trim_end_matches(['\r', '\n']) {
            "" => Err("is empty".to_owned()),
            value => Ok(value.to_owned()),
        });
        let (value, missing) = match value {
            Ok(value) => (value, None),
            Err(why) => (String::new(), Some(why)),
        };
        let what = match &source {
            SecretSource::Env(name) => format!("the environment variable `{name}`"),
            SecretSource::File(path) => format!("the file `{}`", path.display()),
        };
        Self {
            source,
            value: value.into(),
            missing: missing.map(|why| format!("{what} {why}")),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.source)
    }
}

impl Leaf for Secret {
    fn read(item: &Item<'_>) -> Option<Self> {
        if let Some(text) = item.text() {
            // A variable that is the key's own override may hold the secret itself.
            if let super::Place::Env(name) = item.place()
                && !text.trim_start().starts_with('{')
            {
                return Some(Self::of(SecretSource::Env(name), Ok(text.to_owned())));
            }
        }
        if !matches!(item.typed().as_ref(), Value::Dict(..)) {
            return item.wrong(format_args!(
                "a secret must not stand in the file; write {HOW}"
            ));
        }
        let mut table = item.table("a secret")?;
        let env = table.optional_quietly::<String>("env");
        let file = table.optional_quietly::<PathBuf>("file");
        let known = table.has("env") || table.has("file");
        let both = table.has("env") && table.has("file");
        table.finish();
        match (env, file) {
            _ if both || !known => item.wrong(format_args!("a secret is {HOW}")),
            // Not repeated: it may be the secret itself.
            (Some(name), _) if !is_variable(&name) => {
                item.wrong("`env` is not the name of an environment variable")
            }
            (Some(name), _) => {
                let value = match item.reader.env.get(&name) {
                    Some(value) => Ok(value.to_owned()),
                    None => Err("is not set".to_owned()),
                };
                Some(Self::of(SecretSource::Env(name.into()), value))
            }
            (_, Some(path)) => {
                let value = std::fs::read_to_string(&path);
                let value = value.map_err(|error| format!("cannot be read: {error}"));
                Some(Self::of(SecretSource::File(path), value))
            }
            (None, None) => None,
        }
    }

    fn shown(&self) -> String {
        self.source.to_string()
    }
}

fn is_variable(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(letters) && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// Text that may also be a secret: a header's value, a client's id.
#[derive(Clone, Debug)]
pub enum TextOrSecret {
    /// Written in the file; may hold `{key}`.
    Text(String),
    /// Kept elsewhere.
    Secret(Secret),
}

impl TextOrSecret {
    /// The secret, where it is one.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Text(_) => None,
            Self::Secret(secret) => Some(secret),
        }
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}

impl Leaf for TextOrSecret {
    fn read(item: &Item<'_>) -> Option<Self> {
        let is_table = matches!(item.typed().as_ref(), Value::Dict(..));
        if is_table {
            return Secret::read(item).map(Self::Secret);
        }
        match item.text() {
            Some(text) if !text.is_empty() => Some(Self::Text(text.to_owned())),
            _ => item.wrong(format_args!("expected a string, or a secret as {HOW}")),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Secret(secret) => secret.shown(),
        }
    }
}

/// Whether a name tells that what it names is secret: `Authorization`, `X-Api-Key`, `token`.
pub(super) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "password", "cookie"]
        .iter()
        .any(|word| name.contains(word))
}
