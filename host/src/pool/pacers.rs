//! One pacer per origin and credential, whoever in this process asks it.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;

use sha2::{Digest as _, Sha256};
use url::Url;

use crate::clock::SharedClock;
use crate::config::{self, Config, Place, Window};
use crate::gate::{Pacer, PacerConfig};
use crate::model::{PluginName, ProviderName};
use crate::plugin::Manifest;
use crate::plugin::manifest::KnownHost;

/// The pacers of a configuration's providers.
#[derive(Debug)]
pub struct Pacers {
    by_provider: HashMap<ProviderName, Pacer>,
    /// What each pacer keeps to, by its key.
    configs: BTreeMap<String, PacerConfig>,
    clock: SharedClock,
}

impl Pacers {
    /// The pacers of all providers of all pools.
    ///
    /// Those that have the same origin and key, or the same `limit_group`, share one: all their
    /// windows and quotas hold, and the smallest of their `connections`.
    #[must_use]
    pub fn new<'m>(
        config: &Config,
        manifest_of: impl Fn(&PluginName) -> Option<&'m Manifest>,
        clock: SharedClock,
    ) -> Self {
        let mut shared: BTreeMap<String, (PacerConfig, Vec<ProviderName>)> = BTreeMap::new();
        let in_pools = config.chains.values().flat_map(|chain| config.pool(chain));
        for provider in in_pools {
            let key = key(provider);
            let (pacer, names) = shared.entry(key.clone()).or_default();
            if names.contains(&provider.name) {
                continue;
            }
            names.push(provider.name.clone());
            let manifest = manifest_of(&provider.plugin);
            pacer.key = key;
            pacer.windows.extend(limits(provider, manifest));
            pacer.quotas.extend(provider.quota);
            let connections = NonZeroU32::new(connections(config, provider, manifest));
            pacer.connections = match (pacer.connections, connections) {
                (Some(known), Some(own)) => Some(known.min(own)),
                (known, own) => known.or(own),
            };
        }
        let mut by_provider = HashMap::new();
        let mut configs = BTreeMap::new();
        for (key, (mut config, names)) in shared {
            without_looser(&mut config);
            let pacer = Pacer::new(&config, clock.clone());
            by_provider.extend(names.into_iter().map(|name| (name, pacer.clone())));
            configs.insert(key, config);
        }
        Self {
            by_provider,
            configs,
            clock,
        }
    }

    /// Takes over the pacers of an earlier configuration that keep to the same limits, with what is
    /// spent of them: a reload is no new allowance. Their keys are returned.
    pub fn go_on_with(&mut self, before: &Self) -> Vec<String> {
        let mut kept = BTreeMap::new();
        for pacer in before.by_provider.values() {
            let key = pacer.key();
            if self.configs.get(key) == before.configs.get(key) {
                kept.insert(key, pacer);
            }
        }
        for pacer in self.by_provider.values_mut() {
            if let Some(earlier) = kept.get(pacer.key()) {
                *pacer = (*earlier).clone();
            }
        }
        kept.into_keys().map(str::to_owned).collect()
    }

    /// The pacer of a provider; of one that is in no pool, one without limits.
    #[must_use]
    pub fn of(&self, provider: &ProviderName) -> Pacer {
        let pacer = self.by_provider.get(provider).cloned();
        pacer.unwrap_or_else(|| Pacer::unlimited(self.clock.clone()))
    }
}

/// The windows of a provider: its own, else those that its plugin knows for the host.
#[must_use]
pub fn limits(provider: &config::Provider, manifest: Option<&Manifest>) -> Vec<Window> {
    if let Some(limits) = &provider.limits {
        return limits.clone();
    }
    let known = manifest.and_then(|manifest| known_host(provider, manifest));
    let limits = known.into_iter().flat_map(|host| &host.limits);
    // A manifest is a plugin's word: what is no limit is none.
    limits.filter_map(|limit| limit.parse().ok()).collect()
}

/// Connections at once, at least 1: what is configured, else what the plugin knows for the host,
/// else the default.
#[must_use]
pub fn connections(
    config: &Config,
    provider: &config::Provider,
    manifest: Option<&Manifest>,
) -> u32 {
    let path = format!("providers.{}.connections", provider.name);
    let known = manifest
        .filter(|_| config.place_of(&path) == Place::Default)
        .and_then(|manifest| known_host(provider, manifest))
        .and_then(|host| host.connections);
    known.unwrap_or(provider.connections).max(1)
}

fn known_host<'m>(provider: &config::Provider, manifest: &'m Manifest) -> Option<&'m KnownHost> {
    let url = Url::parse(&provider.endpoint.origin()).ok()?;
    let host = url.host_str()?;
    let mut known = manifest.hosts.iter();
    known.find(|known| known.host.eq_ignore_ascii_case(host))
}

/// What names a pacer in the store: a hash, in which no secret can be read.
///
/// It is the same for providers that share one.
#[must_use]
pub fn key(provider: &config::Provider) -> String {
    let mut hash = Fields::default();
    if let Some(group) = &provider.limit_group {
        hash.add("limit_group");
        hash.add(group);
    } else {
        hash.add_credential(provider);
    }
    hex::encode(hash.0.finalize())
}

/// Tells a provider's key from another one that may stand there later.
///
/// Sixteen bits of a hash: enough to see nearly every change, and too few to find a key by trying.
#[must_use]
pub fn credential_mark(provider: &config::Provider) -> String {
    let mut hash = Fields::default();
    hash.add("credential");
    hash.add_credential(provider);
    if let Some(oauth2) = &provider.oauth2 {
        hash.add(oauth2.client_secret.expose());
    }
    hex::encode(&hash.0.finalize()[..2])
}

/// A hash over fields whose borders count.
#[derive(Default)]
struct Fields(Sha256);

impl Fields {
    fn add(&mut self, field: &str) {
        self.0.update(field.len().to_le_bytes());
        self.0.update(field);
    }

    /// Whoever is let in by a secret is counted by it.
    fn add_credential(&mut self, provider: &config::Provider) {
        self.add("origin");
        self.add(&provider.endpoint.origin());
        if let Some(key) = &provider.api_key {
            self.add("api_key");
            self.add(key.expose());
        }
        if let Some(oauth2) = &provider.oauth2 {
            self.add("oauth2");
            self.add(oauth2.client_id.expose());
        }
        for (name, value) in &provider.headers {
            if value.secret().is_some() {
                self.add(name);
                self.add(value.expose());
            }
        }
    }
}

/// Of windows of the same length, and of quotas of the same period, the smallest count holds.
fn without_looser(config: &mut PacerConfig) {
    config
        .windows
        .sort_by_key(|window| (window.per, window.count));
    config.windows.dedup_by_key(|window| window.per);
    config.quotas.sort_by_key(|quota| quota.count);
    let mut periods = Vec::new();
    config.quotas.retain(|quota| {
        let is_new = !periods.contains(&quota.period);
        periods.push(quota.period);
        is_new
    });
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::config::Env;

    const KEY: &str = "a-key-that-nobody-may-see";

    /// The configuration of a pool with these providers, each told by its lines.
    fn config(providers: &[(&str, &str)]) -> Config {
        let names: Vec<_> = providers.iter().map(|(name, _)| *name).collect();
        let mut text = format!(
            "[chains.btc]\npool = {names:?}\nassets = [{{ symbol = \"BTC\", decimals = 8 }}]\n"
        );
        for (name, lines) in providers {
            text += &format!("[providers.{name}]\nplugin = \"esplora\"\n{lines}\n");
        }
        let env: Env = [("KEY", KEY), ("OTHER", "another")].into_iter().collect();
        let loaded = config::load_text(Path::new("scanhost.toml"), &text, &env);
        loaded.unwrap_or_else(|errors| panic!("{errors}")).config
    }

    fn manifest() -> Manifest {
        let json = r#"{
            "manifest_version": 1, "name": "esplora", "version": "1", "options": {},
            "hosts": [{"host": "known.example", "limits": ["5/s", "700/h"], "connections": 2}]
        }"#;
        Manifest::parse(json).unwrap()
    }

    fn pacers(config: &Config) -> Pacers {
        let manifest = manifest();
        Pacers::new(config, |_| Some(&manifest), Arc::new(SystemClock))
    }

    fn limits_of(pacers: &Pacers, provider: &str) -> Vec<String> {
        let limits = pacers.of(&provider.into()).snapshot().limits;
        limits.into_iter().map(|limit| limit.limit).collect()
    }

    #[test]
    fn who_shares_an_origin_and_a_key_shares_a_pacer_with_all_limits() {
        let config = config(&[
            (
                "a",
                "endpoint = \"https://h.example/x\"\nlimits = [\"5/s\", \"100/h\"]",
            ),
            (
                "b",
                "endpoint = \"https://h.example/y\"\nlimits = [\"9/s\", \"7/m\"]\nquota = \"9/day\"",
            ),
            (
                "port",
                "endpoint = \"https://h.example:444/x\"\nlimits = [\"1/s\"]",
            ),
            (
                "key",
                "endpoint = \"https://h.example/x\"\napi_key = { env = \"KEY\" }",
            ),
            (
                "again",
                "endpoint = \"https://h.example/z\"\napi_key = { env = \"KEY\" }",
            ),
            (
                "other",
                "endpoint = \"https://h.example/x\"\napi_key = { env = \"OTHER\" }",
            ),
            (
                "client",
                "endpoint = \"https://h.example/x\"\noauth2 = { token_url = \"https://h.example/t\", \
                 client_id = { env = \"KEY\" }, client_secret = { env = \"KEY\" } }",
            ),
            (
                "client-mended",
                "endpoint = \"https://h.example/x\"\noauth2 = { token_url = \"https://h.example/t\", \
                 client_id = { env = \"KEY\" }, client_secret = { env = \"OTHER\" } }",
            ),
            (
                "g1",
                "endpoint = \"https://one.example\"\nlimit_group = \"g\"\nlimits = [\"2/s\"]",
            ),
            (
                "g2",
                "endpoint = \"https://two.example\"\nlimit_group = \"g\"\nlimits = [\"2/s\"]",
            ),
        ]);
        let pacers = pacers(&config);
        let key = |name: &str| pacers.of(&name.into()).key().to_owned();
        for (one, two) in [("a", "b"), ("key", "again"), ("g1", "g2")] {
            assert_eq!(key(one), key(two), "{one} and {two}");
        }
        let mut keys: Vec<_> = ["a", "port", "key", "other", "g1"].map(key).into();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 5);
        assert_eq!(limits_of(&pacers, "a"), ["5/s", "7/m", "100/h", "9/day"]);
        assert_eq!(limits_of(&pacers, "port"), ["1/s"]);
        assert!(!format!("{pacers:?}").contains(KEY));
        let [client, mended] = ["client", "client-mended"].map(key);
        assert_eq!(client, mended, "one client has one pacer");
        let mark = |name: &str| credential_mark(&config.providers[&ProviderName::from(name)]);
        assert_ne!(mark("client"), mark("client-mended"));
        assert_eq!(mark("key"), mark("again"));
        assert_ne!(mark("key"), mark("other"));
        assert_eq!(mark("key").len(), 4, "it tells too little to guess by");
    }

    #[test]
    fn what_the_plugin_knows_of_a_host_holds_where_nothing_is_configured() {
        let config = config(&[
            ("known", "endpoint = \"https://KNOWN.example/api\""),
            (
                "none",
                "endpoint = \"https://known.example:444/api\"\nlimits = []\nconnections = 8",
            ),
            ("unknown", "endpoint = \"https://unknown.example/api\""),
            ("here", "endpoint = \"http://127.0.0.1:1/api\""),
        ]);
        let pacers = pacers(&config);
        let manifest = manifest();
        let check = |name: &str, limits: &[&str], expected: u32| {
            assert_eq!(limits_of(&pacers, name), limits, "{name}");
            let provider = &config.providers[&ProviderName::from(name)];
            let connections = connections(&config, provider, Some(&manifest));
            assert_eq!(connections, expected, "{name}");
        };
        check("known", &["5/s", "700/h"], 2);
        check("none", &[], 8);
        check("unknown", &[], 8);
        check("here", &[], 8);
    }
}
