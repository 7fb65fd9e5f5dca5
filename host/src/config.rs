//! Configuration: one TOML file over built-in defaults, under the environment's overrides.
//!
//! The way of a value: the file is parsed once into values and their places, figment lays defaults,
//! file and variables over each other and remembers which layer each value came from, a reader
//! takes the sections out key by key and records every mistake, and the whole is checked at the
//! end. So one run tells all errors, each with its place, and `config show` knows every origin.
//!
//! What needs plugins (their names, their options' schema) is checked by whoever loads them;
//! [`Config::place_of`] tells where to point.

mod alert;
mod breaker;
mod chain;
mod check;
mod duration;
mod endpoint;
mod env;
mod error;
mod fingerprint;
mod layers;
mod leaf;
pub mod lock;
mod log;
mod options;
mod plugins;
mod provider;
mod rate;
mod reader;
mod scenario;
mod secret;
mod service;
mod size;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod webhook;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::value::Dict;

pub use self::alert::{Alert, AlertSide, AlertWhose};
pub use self::breaker::{Breaker, BreakerKeys};
pub use self::chain::{AddressSet, Chain, Network, OnMismatch, Scan, ScanAt, ScanOrder, Strategy};
pub use self::duration::{format_duration, parse_duration};
pub use self::endpoint::{Endpoint, KEY_PLACEHOLDER, Proxy};
pub use self::env::{Env, PREFIX as ENV_PREFIX};
use self::error::normal;
pub use self::error::{ConfigErrors, Finding, Place, UnknownName};
pub use self::log::{Log, LogFormat};
pub use self::plugins::{Imports, Pin, Plugins};
pub use self::provider::{Isolation, OAuth2, Provider};
pub use self::rate::{ParseRateError, Quota, QuotaPeriod, Window};
pub use self::reader::Effective;
use self::reader::{Item, Reader, Table};
pub use self::scenario::{
    EndingWord, Expect, Fault, FaultWord, Latency, Scenario, ScenarioScan, Script, StateWord, What,
    load_scenario, load_scenario_text,
};
pub use self::secret::{Secret, SecretSource, TextOrSecret};
pub use self::service::{MetricsAccess, Service};
pub use self::size::ByteSize;
use self::source::Places;
pub use self::store::{Keep, PostgresUrl, Store, StoreUrl};
pub use self::webhook::{Webhook, WebhookUrl};
use crate::model::{ChainName, ProviderName};

/// The commented reference: every key with its default, and pools that need no key.
///
/// `scanhost init` writes it.
pub const REFERENCE: &str = include_str!("../../config/scanhost.toml");

/// The file that is read when nobody names one.
pub const DEFAULT_FILE: &str = "scanhost.toml";

/// The variable that names the file.
pub const FILE_VARIABLE: &str = "SCANHOST_CONFIG";

/// Everything that the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[store]`.
    pub store: Store,
    /// `[plugins]`.
    pub plugins: Plugins,
    /// `[service]`.
    pub service: Service,
    /// `[log]`.
    pub log: Log,
    /// `[chains.NAME]`.
    pub chains: BTreeMap<ChainName, Chain>,
    /// `[providers.NAME]`.
    pub providers: BTreeMap<ProviderName, Provider>,
    /// `[[webhooks]]`, each name once.
    pub webhooks: Vec<Webhook>,
    /// `[[alerts]]`, each name once.
    pub alerts: Vec<Alert>,
    places: Arc<Places>,
    origins: Arc<BTreeMap<String, Place>>,
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works but is probably not meant.
    pub warnings: Vec<Finding>,
    /// Every effective value with its origin, in the order of `config show`.
    pub effective: Vec<Effective>,
    /// The file that was read.
    pub file: PathBuf,
}

impl Loaded {
    /// The lines of `config show`: `chains.bsc.spill_after = "2s"  # scanhost.toml:31`.
    pub fn show(&self) -> impl Iterator<Item = String> {
        self.effective.iter().map(|it| {
            let (path, value, origin) = (&it.path, &it.value, it.origin.short());
            format!("{path} = {value}  # {origin}")
        })
    }
}

impl Config {
    /// The chain of that name; `-`, `_` and case make no difference.
    ///
    /// # Errors
    ///
    /// [`UnknownName`] with the nearest chain.
    pub fn chain(&self, name: &str) -> Result<&Chain, UnknownName> {
        let names = || self.chains.keys().map(ChainName::as_str);
        find(&self.chains, name).ok_or_else(|| UnknownName::new("chain", name, names()))
    }

    /// The provider of that name; `-`, `_` and case make no difference.
    ///
    /// # Errors
    ///
    /// [`UnknownName`] with the nearest provider.
    pub fn provider(&self, name: &str) -> Result<&Provider, UnknownName> {
        let names = || self.providers.keys().map(ProviderName::as_str);
        find(&self.providers, name).ok_or_else(|| UnknownName::new("provider", name, names()))
    }

    /// The providers of `chain` in the order of its pool.
    pub fn pool<'c>(&'c self, chain: &'c Chain) -> impl Iterator<Item = &'c Provider> {
        chain
            .pool
            .iter()
            .filter_map(|name| self.providers.get(name))
    }

    /// The breaker of `provider` in `chain`: the chain's with what the provider overrides.
    #[must_use]
    pub fn breaker(&self, chain: &Chain, provider: &ProviderName) -> Breaker {
        match self.providers.get(provider) {
            Some(provider) => provider.breaker.over(&chain.breaker),
            None => chain.breaker,
        }
    }

    /// Where the value at `path` was set: `providers.bsc-dataseed.options.batch`.
    ///
    /// For a key that is not there, the nearest table around it.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Place {
        match self.origins.get(path) {
            Some(origin) => origin.clone(),
            None => self.places.value(path),
        }
    }

    /// Where the part of a provider's options stands that a JSON pointer names: `/batch`, `/a/0`.
    #[must_use]
    pub fn place_of_option(&self, provider: &ProviderName, pointer: &str) -> Place {
        let mut path = source::join("providers", provider.as_str()) + ".options";
        let mut value = self.providers.get(provider).map(|it| &it.options);
        let mut known = self.place_of(&path);
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let in_list = value.is_some_and(serde_json::Value::is_array);
            path = if in_list {
                format!("{path}[{step}]")
            } else {
                source::join(&path, &step)
            };
            value = value.and_then(|value| match value {
                serde_json::Value::Array(items) => items.get(step.parse::<usize>().ok()?),
                other => other.get(&step),
            });
            // Inside a value from the environment there are no places.
            if !matches!(known, Place::Env(_)) {
                known = self.place_of(&path);
            }
        }
        known
    }
}

/// The entry whose name is `name`, exactly or but for case, `-` and `_`.
fn find<'m, K, V>(map: &'m BTreeMap<K, V>, name: &str) -> Option<&'m V>
where
    K: std::borrow::Borrow<str> + Ord,
{
    map.get(name).or_else(|| {
        map.iter()
            .find(|(key, _)| normal((*key).borrow()) == normal(name))
            .map(|(_, value)| value)
    })
}

/// Reads the configuration: `path`, else what `$SCANHOST_CONFIG` names, else `scanhost.toml`.
///
/// # Errors
///
/// Everything that is wrong with it, at once.
pub fn load(path: Option<&Path>, env: &Env) -> Result<Loaded, ConfigErrors> {
    let variable = env.get(FILE_VARIABLE).filter(|path| !path.is_empty());
    let path = match (path, variable) {
        (Some(path), _) => path,
        (None, Some(path)) => Path::new(path),
        (None, None) => Path::new(DEFAULT_FILE),
    };
    let next = "; `scanhost init` writes one, `--config FILE` names another";
    let text = read_text(path, "the configuration", next)?;
    load_text(path, &text, env)
}

/// [`load`], with the pins of the lock file beside it for plugins that have none of their own.
///
/// # Errors
///
/// As [`load`]; or the lock file is none.
pub fn load_locked(path: Option<&Path>, env: &Env) -> Result<Loaded, ConfigErrors> {
    let mut loaded = load(path, env)?;
    for (name, pin) in lock::read(&lock::path_of(&loaded.file))? {
        if loaded.config.plugins.pin(&name).is_none() {
            loaded.config.plugins.pin.insert(name, pin);
        }
    }
    Ok(loaded)
}

/// The text of the file that is `what`; `next` is what to do when there is none.
fn read_text(path: &Path, what: &str, next: &str) -> Result<String, ConfigErrors> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let next = if missing { next } else { "" };
        let message = format!("failed to read {what}: {error}{next}");
        ConfigErrors::one(Place::Whole(file.as_str().into()), message)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let place = Place::At {
            file: file.as_str().into(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: 1,
        };
        ConfigErrors::one(place, "is not UTF-8; save the file as UTF-8")
    })
}

/// Reads `text` as if it stood in `path`, whose folder is where relative paths start.
///
/// # Errors
///
/// Everything that is wrong with it, at once.
pub fn load_text(path: &Path, text: &str, env: &Env) -> Result<Loaded, ConfigErrors> {
    let source = source::parse(&path.display().to_string(), text);
    if let Some(errors) = ConfigErrors::of(source.syntax) {
        return Err(errors);
    }
    let mut errors = source.findings;
    let figment = layers::merged(source.dict, env, &mut errors);
    let merged = layers::dict_of(&figment);

    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let reader = Reader {
        figment: &figment,
        places: &source.places,
        env,
        base,
        errors: RefCell::new(errors),
        warnings: RefCell::default(),
        effective: RefCell::default(),
    };
    let sections = read(&reader, merged);
    let effective = reader.effective.take();
    let mut warnings = reader.warnings.take();
    warnings.sort();
    if let Some(errors) = ConfigErrors::of(reader.errors.take()) {
        return Err(errors);
    }
    let sections = sections.ok_or_else(|| {
        // Every section that is not read has said why; this is for the day when one does not.
        let place = Place::Whole(path.display().to_string().into());
        ConfigErrors::one(place, "failed to read the configuration")
    })?;
    let origins = effective
        .iter()
        .map(|it| (it.path.clone(), it.origin.clone()))
        .collect();
    Ok(Loaded {
        config: Config {
            store: sections.store,
            plugins: sections.plugins,
            service: sections.service,
            log: sections.log,
            chains: sections.chains,
            providers: sections.providers,
            webhooks: sections.webhooks,
            alerts: sections.alerts,
            places: Arc::new(source.places),
            origins: Arc::new(origins),
        },
        warnings,
        effective,
        file: path.to_owned(),
    })
}

struct Sections {
    store: Store,
    plugins: Plugins,
    service: Service,
    log: Log,
    chains: BTreeMap<ChainName, Chain>,
    providers: BTreeMap<ProviderName, Provider>,
    webhooks: Vec<Webhook>,
    alerts: Vec<Alert>,
}

fn read(reader: &Reader<'_>, merged: Dict) -> Option<Sections> {
    let mut root = Table::root(reader, merged);
    let store = root.table("store").and_then(store::read);
    let plugins = root.table("plugins").and_then(plugins::read);
    let service = root.table("service").and_then(service::read);
    let log = root.table("log").and_then(log::read);
    let chain_tables = named(&mut root, "chains");
    let provider_tables = named(&mut root, "providers");
    let webhook_tables = root.tables("webhooks");
    let alert_tables = root.tables("alerts");
    root.finish();

    let names: Vec<_> = provider_tables
        .iter()
        .map(|(name, _)| ProviderName::from(name.as_str()))
        .collect();
    let chain_names: Vec<_> = chain_tables
        .iter()
        .map(|(name, _)| ChainName::from(name.as_str()))
        .collect();
    let mut chains = BTreeMap::new();
    for (name, item) in chain_tables {
        let table = item.table("a table with pool and assets");
        let chain = table.and_then(|it| chain::read(ChainName::from(name), it, &names));
        chains.extend(chain.map(|chain| (chain.name.clone(), chain)));
    }
    if chains.is_empty() && reader.errors.borrow().is_empty() {
        let message = "no chain is configured; write [chains.NAME] with pool and assets";
        reader.warn(reader.places.key(""), message.to_owned());
    }
    let mut providers = BTreeMap::new();
    for (name, item) in provider_tables {
        let table = item.table("a table with plugin and endpoint");
        let provider = table.and_then(|it| provider::read(ProviderName::from(name), it));
        providers.extend(provider.map(|it| (it.name.clone(), it)));
    }
    check::check(reader, &mut chains, &providers);
    let webhooks = webhook::read(webhook_tables, &chain_names);
    let alerts = alert::read(alert_tables, &chain_names, &chains);
    Some(Sections {
        store: store?,
        plugins: plugins?,
        service: service?,
        log: log?,
        chains,
        providers,
        webhooks,
        alerts,
    })
}

/// The entries of a table whose keys are names that the operator chose.
fn named<'r>(root: &mut Table<'r>, key: &'static str) -> Vec<(String, Item<'r>)> {
    let Some(table) = root
        .item(key)
        .and_then(|item| item.table("a table of tables"))
    else {
        return Vec::new();
    };
    let mut entries: Vec<(String, Item<'r>)> = Vec::new();
    for (name, item) in table.entries() {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(letters) {
            item.wrong::<()>("a name has letters, digits, `-` and `_` only");
        } else if let Some((twin, _)) = entries.iter().find(|(it, _)| normal(it) == normal(&name)) {
            item.wrong::<()>(format_args!(
                "is the same name as `{twin}`: case, `-` and `_` make no difference"
            ));
        } else {
            entries.push((name, item));
        }
    }
    entries
}
