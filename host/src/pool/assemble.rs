//! From configuration and plugin folders to pools that can work.
//!
//! What can be judged without running a plugin is judged by [`check`], and is the operator's to
//! mend. What fails while a plugin is loaded or opened costs that provider alone.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::client::{beside_token, http_client};
use super::pacers::{Pacers, connections};
use super::{Member, POOL_MAX, Pool};
use crate::clock::SharedClock;
use crate::config::{self, Chain, Config, Finding, Isolation};
use crate::gate::{
    BreakerConfig, Gate, GateConfig, GateKey, Pacer, Persisted, ProviderType, WindowConfig,
};
use crate::http::{NewHttpClientError, Rig};

use crate::ledger::{Ledger, LedgerError, ProviderKey};
use crate::model::{Asset, Class, PluginName, ProviderError, ProviderName};
use crate::plugin::backend::PluginHost;
use crate::plugin::{
    Catalog, ErrorCode, Libraries, Manifest, OpenSettings, Opened, PluginFile, Trust, audit, child,
};

/// What the plugin folders say about a configuration.
#[derive(Debug, Default)]
pub struct Findings {
    /// Nothing is started with these.
    pub errors: Vec<Finding>,
    /// Worth knowing.
    pub warnings: Vec<Finding>,
}

/// The plugin folders of a configuration, read.
#[must_use]
pub fn catalog(config: &Config, executable_dir: &Path) -> Catalog {
    let mut folders = config.plugins.folders(executable_dir);
    if config.plugins.dirs.is_none() {
        // The default folders need not be there.
        folders.retain(|folder| folder.is_dir());
    }
    Catalog::scan(&folders, &trust(config))
}

/// What a configuration allows of plugin files.
#[must_use]
pub fn trust(config: &Config) -> Trust {
    let pins = config.plugins.pin.iter();
    Trust {
        pins: pins
            .map(|(plugin, pin)| (plugin.clone(), hex::encode(pin.0)))
            .collect(),
        allow_imports: config.plugins.imports == config::Imports::Warn,
    }
}

/// Holds the configuration against what the plugins publish; runs none of their code.
#[must_use]
pub fn check(config: &Config, catalog: &Catalog) -> Findings {
    let mut findings = Findings::default();
    let plain = |message: &String| Finding {
        place: config.place_of("plugins"),
        message: message.clone(),
    };
    findings.errors.extend(catalog.errors.iter().map(plain));
    findings.warnings.extend(catalog.warnings.iter().map(plain));
    findings.warnings.extend(
        catalog
            .refused
            .iter()
            .map(|error| plain(&error.to_string())),
    );
    for provider in config.providers.values() {
        let path = format!("providers.{}.plugin", provider.name);
        let Some(file) = catalog.get(&provider.plugin) else {
            let finding = Finding {
                place: config.place_of(&path),
                message: catalog.not_found(&provider.plugin),
            };
            // One that is there, but not for this host, costs its providers alone.
            match catalog.refused_as(&provider.plugin).map(|error| error.code) {
                None | Some(ErrorCode::NotALibrary | ErrorCode::NotAPlugin) => {
                    findings.errors.push(finding);
                }
                Some(_) => findings.warnings.push(finding),
            }
            continue;
        };
        if !file.imports.is_empty() {
            findings.warnings.push(Finding {
                place: config.place_of(&path),
                message: format!(
                    "plugin `{}` imports {}, which no plugin needs; it is loaded because of \
                     `imports = \"warn\"` in [plugins]",
                    provider.plugin,
                    audit::told(&file.imports)
                ),
            });
        }
        for error in file.manifest.check_options(&provider.options) {
            let pointer = format!("/{}", error.path.replace('.', "/"));
            let pointer = if error.path.is_empty() {
                ""
            } else {
                pointer.as_str()
            };
            let option = match error.path.as_str() {
                "" => "options".to_owned(),
                path => format!("option `{path}`"),
            };
            findings.errors.push(Finding {
                place: config.place_of_option(&provider.name, pointer),
                message: format!("provider `{}`: {option}: {}", provider.name, error.message),
            });
        }
        if let Some(other) = beside_token(provider, &file.manifest) {
            let message = NewHttpClientError::TwoAuthorizations { other };
            findings.errors.push(Finding {
                place: config.place_of(&format!("providers.{}.oauth2", provider.name)),
                message: format!("provider `{}`: {message}", provider.name),
            });
        }
        let needs_key = file.manifest.key.as_ref().is_some_and(|key| key.required);
        if needs_key && provider.api_key.is_none() && provider.oauth2.is_none() {
            findings.errors.push(Finding {
                place: config.place_of(&format!("providers.{}", provider.name)),
                message: format!(
                    "provider `{}`: plugin `{}` needs a key; write `api_key = {{ env = \"NAME\" }}`",
                    provider.name, provider.plugin
                ),
            });
        }
    }
    for chain in config.chains.values() {
        findings
            .errors
            .extend(unreadable_assets(config, chain, catalog));
    }
    findings
}

/// Assets that no plugin of the chain's pool reads.
fn unreadable_assets<'c>(
    config: &'c Config,
    chain: &'c Chain,
    catalog: &'c Catalog,
) -> impl Iterator<Item = Finding> + 'c {
    let manifests: Vec<&Manifest> = config
        .pool(chain)
        .filter_map(|provider| catalog.get(&provider.plugin))
        .map(|file| &file.manifest)
        .collect();
    let all_known = manifests.len() == chain.pool.len();
    let reads = move |asset: &Asset| {
        let word = if asset.is_native() {
            "native"
        } else {
            "tokens"
        };
        manifests
            .iter()
            .any(|manifest| manifest.capabilities.iter().any(|it| it == word))
    };
    let unreadable = move |asset: &&Asset| all_known && !reads(asset);
    chain.assets.iter().filter(unreadable).map(|asset| Finding {
        place: config.place_of(&format!("chains.{}.assets", chain.name)),
        message: format!(
            "chain `{}`: no provider of its pool can read {}; remove the asset or add a provider \
             that can",
            chain.name, asset.symbol
        ),
    })
}

/// What a configuration was assembled with.
#[derive(Debug)]
pub struct Assembled {
    /// One pacer per origin and credential.
    pub pacers: Pacers,
    /// What is loaded.
    pub libraries: Libraries,
    /// The file that each provider was opened from.
    pub used: HashMap<ProviderName, PluginFile>,
}

/// Loads and opens what a configuration names.
#[derive(Debug)]
pub struct Assembler<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Its plugin folders.
    pub catalog: &'a Catalog,
    /// Where private copies of plugins are kept.
    pub copies: PathBuf,
    /// Where gates find what they remember; `None` starts them clean.
    pub ledger: Option<&'a Ledger>,
    /// Time.
    pub clock: SharedClock,
    /// The host's runtime.
    pub io: Handle,
    libraries: Libraries,
    /// What loading each file came to, by its hash: one that fails is tried once.
    hosts: HashMap<String, Result<PluginHost, String>>,
    /// The file that each provider is opened from, now and by the configuration before.
    used: HashMap<ProviderName, PluginFile>,
    used_before: HashMap<ProviderName, PluginFile>,
    /// Plugins whose file was refused, which is told once.
    refused: HashSet<PluginName>,
    /// Who goes on with what its plugin was before, and why.
    kept: Vec<Finding>,
    rig: Option<Arc<Rig>>,
    pacers: Pacers,
    /// Keys of pacers that know what the ledger remembers.
    attached: HashSet<String>,
}

impl<'a> Assembler<'a> {
    /// An assembler that has loaded nothing yet.
    #[must_use]
    pub fn new(
        config: &'a Config,
        catalog: &'a Catalog,
        copies: PathBuf,
        ledger: Option<&'a Ledger>,
        clock: SharedClock,
        io: Handle,
    ) -> Self {
        Self {
            pacers: Pacers::new(
                config,
                |plugin| catalog.get(plugin).map(|file| &file.manifest),
                clock.clone(),
            ),
            attached: HashSet::new(),
            config,
            catalog,
            copies,
            ledger,
            clock,
            io,
            libraries: Libraries::default(),
            hosts: HashMap::new(),
            used: HashMap::new(),
            used_before: HashMap::new(),
            refused: HashSet::new(),
            kept: Vec::new(),
            rig: None,
        }
    }

    /// The same, for a drill: all clients get it.
    #[must_use]
    pub fn rigged(mut self, rig: Arc<Rig>) -> Self {
        self.rig = Some(rig);
        self
    }

    /// Goes on with what an earlier configuration was assembled with: its pacers, see
    /// [`Pacers::go_on_with`], and the libraries that are loaded. A plugin whose file is not usable any
    /// more stays what it was.
    pub fn go_on_with(&mut self, before: &Assembled) {
        // They know what the ledger remembers, and more.
        self.attached.extend(self.pacers.go_on_with(&before.pacers));
        self.libraries = before.libraries.clone();
        self.used_before.clone_from(&before.used);
    }

    /// What the configuration after this one goes on with, and which providers went on with what was
    /// before this one, for the operator.
    #[must_use]
    pub fn finish(self) -> (Assembled, Vec<Finding>) {
        let assembled = Assembled {
            pacers: self.pacers,
            libraries: self.libraries,
            used: self.used,
        };
        (assembled, self.kept)
    }

    /// The pool of a chain, of one provider only if `only` names it.
    ///
    /// # Errors
    ///
    /// What gates remember cannot be read. A provider that cannot be opened is no error: it is
    /// told in [`Pool::unusable`].
    pub async fn pool(
        &mut self,
        chain: &Chain,
        only: Option<&ProviderName>,
    ) -> Result<Pool, LedgerError> {
        let mut pool = Pool {
            spill_after: chain.spill_after,
            identity: chain.identity.clone(),
            strategy: chain.strategy,
            ..Pool::empty(chain.name.clone())
        };
        let providers = self
            .config
            .pool(chain)
            .filter(|it| only.is_none_or(|only| *only == it.name));
        for provider in providers.take(POOL_MAX) {
            match self.member(chain, provider).await? {
                Ok(member) => {
                    let breaker = self.config.breaker(chain, &provider.name);
                    pool.cooldown_longest = pool.cooldown_longest.max(breaker.longest_cooldown());
                    pool.members.push(Arc::new(member));
                }
                Err(message) => {
                    let name = &provider.name;
                    tracing::error!(provider = %name, "provider `{name}` is left out: {message}");
                    pool.unusable.push(ProviderError {
                        provider: name.clone(),
                        class: Class::PluginFault,
                        message,
                        http_status: None,
                    });
                }
            }
        }
        Ok(pool)
    }

    async fn member(
        &mut self,
        chain: &Chain,
        provider: &config::Provider,
    ) -> Result<Result<Member, String>, LedgerError> {
        let opened = self.open(chain, provider).await;
        let backend = match opened {
            Ok(backend) => backend,
            Err(message) => return Ok(Err(message)),
        };
        let key = GateKey {
            chain: chain.name.clone(),
            provider: provider.name.clone(),
            kind: ProviderType::Scan,
        };
        let pacer = self.pacer(provider).await?;
        let (gate, is_same) = self.gate(chain, provider, key).await?;
        let file = self.used.get(&provider.name);
        let connections = self.connections(provider, file.map(|file| &file.manifest));
        let member = Member::new(
            provider.name.clone(),
            Arc::new(backend),
            gate.paced_by(pacer),
            provider.timeout,
            connections as usize,
        );
        self.recall(&member, is_same).await?;
        Ok(Ok(member))
    }

    /// What the provider taught earlier, if it is still the same one.
    async fn recall(&self, member: &Member, is_same: bool) -> Result<(), LedgerError> {
        let Some(ledger) = self.ledger else {
            return Ok(());
        };
        let key = member.gate.key();
        for learned in ledger.learned(&key.chain, &key.provider).await? {
            if is_same {
                member.batch.restore(&learned);
            } else {
                ledger
                    .forget(&key.chain, &key.provider, &learned.key)
                    .await?;
            }
        }
        Ok(())
    }

    /// The provider's pacer, going on where it was.
    async fn pacer(&mut self, provider: &config::Provider) -> Result<Pacer, LedgerError> {
        let pacer = self.pacers.of(&provider.name);
        let Some(ledger) = self.ledger.filter(|_| !pacer.key().is_empty()) else {
            return Ok(pacer);
        };
        if !self.attached.contains(pacer.key()) {
            let stored = ledger.pacer(pacer.key()).await?;
            let stored = stored.and_then(|json| serde_json::from_str(&json).ok());
            pacer.attach(stored.as_ref());
            self.attached.insert(pacer.key().to_owned());
        }
        Ok(pacer)
    }

    /// In a drill that must come out alike each time, one request after the other: what a provider
    /// is asked may depend on what it has answered.
    fn connections(&self, provider: &config::Provider, manifest: Option<&Manifest>) -> u32 {
        match &self.rig {
            Some(rig) if rig.keeps_order() => 1,
            _ => connections(self.config, provider, manifest),
        }
    }

    async fn open(&mut self, chain: &Chain, provider: &config::Provider) -> Result<Opened, String> {
        let catalog = self.catalog;
        let opened = match catalog.get(&provider.plugin) {
            Some(file) => self.open_from(file, chain, provider).await,
            None => {
                if let Some(error) = catalog.refused_as(&provider.plugin)
                    && self.refused.insert(provider.plugin.clone())
                {
                    crate::plugin::log::refused(provider.plugin.as_str(), error);
                }
                Err(catalog.not_found(&provider.plugin))
            }
        };
        let Err(why) = opened else { return opened };
        let Some(before) = self.usable_before(provider) else {
            return Err(why);
        };
        let Ok(opened) = self.open_from(&before, chain, provider).await else {
            return Err(why);
        };
        let (name, version) = (&provider.name, &before.manifest.version);
        let message = format!("provider `{name}` goes on with version {version} of it: {why}");
        tracing::error!(provider = %name, "{message}");
        self.kept.push(Finding {
            place: self.config.place_of(&format!("providers.{name}.plugin")),
            message,
        });
        Ok(opened)
    }

    /// What the provider was opened from before, if it is another file now and was not forbidden since.
    fn usable_before(&self, provider: &config::Provider) -> Option<PluginFile> {
        let before = self.used_before.get(&provider.name)?;
        let now = self.catalog.get(&provider.plugin);
        let changed = now.is_none_or(|now| now.sha256 != before.sha256);
        let manifest = &before.manifest;
        let usable = manifest.name == provider.plugin
            && changed
            && trust(self.config).check(before).is_ok()
            && manifest.check_options(&provider.options).is_empty();
        usable.then(|| before.clone())
    }

    async fn open_from(
        &mut self,
        file: &PluginFile,
        chain: &Chain,
        provider: &config::Provider,
    ) -> Result<Opened, String> {
        let connections = self.connections(provider, Some(&file.manifest));
        let mut client = http_client(provider, &file.manifest, connections, self.clock.clone())?
            .paced_by(self.pacers.of(&provider.name));
        if let Some(rig) = &self.rig {
            client = client.rigged(rig.clone());
        }
        let settings = OpenSettings {
            chain: chain.name.clone(),
            provider: provider.name.clone(),
            network: chain.network.as_str().to_owned(),
            identity: chain.identity.clone(),
            options: provider.options.clone(),
        };
        let (client, clock) = (Arc::new(client), self.clock.clone());
        let (opened, used) = match provider.isolation {
            Isolation::None => {
                let host = self.host(file).await?;
                let opened = host.open(&settings, client, clock).await;
                (opened, host.library().file().clone())
            }
            Isolation::Process => {
                let memory_max = provider.memory_max.0;
                let (copies, io) = (&self.copies, &self.io);
                let opened =
                    child::open(file, copies, &settings, memory_max, client, clock, io).await;
                (opened, file.clone())
            }
        };
        let opened = opened.map_err(|error| error.to_string())?;
        self.used.insert(provider.name.clone(), used);
        Ok(opened)
    }

    /// The code of a file in this process; one that fails is tried once.
    async fn host(&mut self, file: &PluginFile) -> Result<PluginHost, String> {
        if let Some(host) = self.hosts.get(&file.sha256) {
            return host.clone();
        }
        let host = self.libraries.host(file, &self.copies, &self.io).await;
        let host = host.map_err(|error| error.to_string());
        self.hosts.insert(file.sha256.clone(), host.clone());
        host
    }

    /// The gate, and whether endpoint, plugin and options are those that it remembers.
    async fn gate(
        &self,
        chain: &Chain,
        provider: &config::Provider,
        key: GateKey,
    ) -> Result<(Gate, bool), LedgerError> {
        let breaker = self.config.breaker(chain, &provider.name);
        let gate_config = GateConfig {
            breaker: breaker_config(&breaker),
            spill_after: chain.spill_after,
            identity: chain.identity.is_some(),
            credential: super::pacers::credential_mark(provider),
            ..GateConfig::default()
        };
        // What is remembered belongs to this endpoint, plugin, options and expected chain.
        let fingerprint = [provider.fingerprint(), provider.identity_fingerprint(chain)].concat();
        let stored = match self.ledger {
            Some(ledger) => ledger.provider(&provider_key(&key)).await?,
            None => None,
        };
        let stored = stored.and_then(|record| record.persisted);
        let stored = stored.and_then(|json| serde_json::from_str::<Persisted>(&json).ok());
        // Jitter of different providers need not be secret, only different.
        let seed = fingerprint.bytes().fold(0_u64, |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let clock = self.clock.clone();
        Ok(match stored {
            Some(stored) => {
                let is_same = stored.fingerprint == fingerprint;
                let gate = Gate::restore(&stored, key, gate_config, fingerprint, clock, seed);
                (gate, is_same)
            }
            None => (Gate::new(key, gate_config, fingerprint, clock, seed), false),
        })
    }
}

/// A breaker's settings as its gate takes them.
#[must_use]
pub fn breaker_config(breaker: &config::Breaker) -> BreakerConfig {
    // The configuration refuses zeros.
    let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    BreakerConfig {
        failures: at_least_one(breaker.failures),
        cooldown: breaker.cooldown,
        half_open: at_least_one(breaker.half_open),
        window: breaker.window.map(|length| WindowConfig {
            length,
            min_calls: at_least_one(breaker.min_calls),
            failure_ratio: breaker.failure_ratio,
            slow_ratio: breaker.slow_ratio,
        }),
        slow_call: breaker.slow_call,
        cooldown_max: breaker.cooldown_max,
        jitter: breaker.jitter,
    }
}

/// How the ledger names a gate's row.
#[must_use]
pub fn provider_key(key: &GateKey) -> ProviderKey {
    ProviderKey {
        chain: key.chain.clone(),
        provider: key.provider.clone(),
        kind: key.kind,
    }
}
