//! `[store]`: where balances, holes and events are kept, and for how long.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::Value;
use url::Url;

use super::endpoint::{holds_secret, without_secrets};
use super::leaf::{Leaf, quoted};
use super::reader::{Item, Table};
use super::secret::Secret;

/// `[store]`.
#[derive(Clone, Debug)]
pub struct Store {
    /// Which database. Default `sqlite://scanhost.db` beside the configuration.
    pub url: StoreUrl,
    /// How long rows that only grow are kept.
    pub keep: Keep,
}

/// `store.keep`; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Events, and so how far back an event stream can start again. Default 7 days.
    pub events: Option<Duration>,
    /// Earlier balances; the newest of each cell always stays. Default 400 days.
    pub history: Option<Duration>,
}

/// The database's address.
#[derive(Clone)]
pub enum StoreUrl {
    /// A file, made when it does not exist.
    Sqlite(PathBuf),
    /// A server that speaks PostgreSQL's protocol.
    Postgres(PostgresUrl),
}

/// A PostgreSQL URL that does not print its password.
#[derive(Clone)]
pub enum PostgresUrl {
    /// Written in the file or in the variable that overrides it.
    Url(Url),
    /// Kept elsewhere.
    Secret(Secret),
}

impl PostgresUrl {
    /// The whole URL, for the one place that connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Url(url) => url.as_str(),
            Self::Secret(secret) => secret.expose(),
        }
    }
}

impl StoreUrl {
    /// Whether both name the same database.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(one), Self::Sqlite(two)) => one == two,
            (Self::Postgres(one), Self::Postgres(two)) => one.expose() == two.expose(),
            _ => false,
        }
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(&without_secrets(url)),
            Self::Secret(secret) => secret.fmt(f),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// The engine that a URL's scheme names.
enum Engine<'t> {
    Sqlite(&'t str),
    Postgres,
    Unknown,
}

fn engine(url: &str) -> Engine<'_> {
    if let Some(rest) = url.strip_prefix("sqlite:") {
        return Engine::Sqlite(rest.strip_prefix("//").unwrap_or(rest));
    }
    match url.split_once("://") {
        Some(("postgres" | "postgresql", _)) => Engine::Postgres,
        _ => Engine::Unknown,
    }
}

const URL_FORM: &str = "sqlite://FILE or postgres://USER@HOST/DATABASE";

impl Leaf for StoreUrl {
    fn read(item: &Item<'_>) -> Option<Self> {
        if matches!(item.typed().as_ref(), Value::Dict(..)) {
            let secret = Secret::read(item)?;
            if let Some(why) = secret.missing() {
                return item.wrong(why);
            }
            return match (engine(secret.expose()), Url::parse(secret.expose())) {
                (Engine::Sqlite(path), _) => sqlite(item, path),
                (Engine::Postgres, Ok(_)) => Some(Self::Postgres(PostgresUrl::Secret(secret))),
                _ => item.wrong(format_args!(
                    "expected {URL_FORM} in {}, found something else",
                    secret.source()
                )),
            };
        }
        let Some(text) = item.text() else {
            return item.expected(URL_FORM);
        };
        match engine(text) {
            Engine::Sqlite(path) => sqlite(item, path),
            Engine::Postgres => match Url::parse(text) {
                Ok(url) => {
                    if holds_secret(&url) && !item.is_override() {
                        let message = format!(
                            "`{}`: holds a password in plain text; write {} with the whole URL in it",
                            item.path, "url = { env = \"NAME\" }"
                        );
                        item.reader.warn(item.place(), message);
                    }
                    Some(Self::Postgres(PostgresUrl::Url(url)))
                }
                Err(error) => item.wrong(format_args!("is not a URL: {error}")),
            },
            Engine::Unknown => item.wrong(format_args!("expected {URL_FORM}")),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => quoted(&format!("sqlite://{}", path.display())),
            Self::Postgres(PostgresUrl::Url(url)) => quoted(&without_secrets(url)),
            Self::Postgres(PostgresUrl::Secret(secret)) => secret.shown(),
        }
    }
}

fn sqlite(item: &Item<'_>, path: &str) -> Option<StoreUrl> {
    if path.is_empty() || path.ends_with('/') {
        return item.wrong("names no file; write sqlite://scanhost.db");
    }
    if path.starts_with(":memory:") {
        return item.wrong("a store in memory keeps nothing; name a file");
    }
    if path.contains('?') {
        return item.wrong("takes no parameters after the file's name");
    }
    Some(StoreUrl::Sqlite(item.reader.base.join(path)))
}

/// A duration, or the word `forever`.
struct Keeping(Option<Duration>);

impl Leaf for Keeping {
    fn read(item: &Item<'_>) -> Option<Self> {
        if item.text() == Some("forever") {
            return Some(Self(None));
        }
        match Duration::read(item)? {
            Duration::ZERO => item.wrong("keeps nothing; write at least \"1s\", or \"forever\""),
            duration => Some(Self(Some(duration))),
        }
    }

    fn shown(&self) -> String {
        self.0
            .map_or_else(|| quoted("forever"), |duration| duration.shown())
    }
}

pub(super) fn read(mut table: Table<'_>) -> Option<Store> {
    let url = table.required("url");
    let keep = table.table("keep").and_then(|mut keep| {
        let events = keep.required::<Keeping>("events");
        let history = keep.required::<Keeping>("history");
        keep.finish();
        Some(Keep {
            events: events?.0,
            history: history?.0,
        })
    });
    table.finish();
    Some(Store {
        url: url?,
        keep: keep?,
    })
}
