//! What is known beforehand: limits, quotas and their use, learned sizes of calls.

use std::collections::HashMap;

use super::{CliError, Provider};
use crate::clock::rfc3339;
use crate::config::{self, Chain, Config, QuotaPeriod, Window};
use crate::gate::{Persisted, ProviderType};
use crate::ledger::{Ledger, ProviderKey, UsageRow};
use crate::model::ProviderName;
use crate::plugin::{Catalog, Manifest};
use crate::pool::{learned, pacers};
use crate::scan::forecast::{Limits, QuotaLeft};

/// The limits of the providers that are planned with; those of one origin and key share them.
pub(super) struct KnownLimits<'a> {
    config: &'a Config,
    catalog: &'a Catalog,
    ledger: Option<&'a Ledger>,
    /// Of this month.
    usage: Vec<UsageRow>,
    today: String,
    by_key: HashMap<String, usize>,
    pub(super) limits: Vec<Limits>,
}

impl<'a> KnownLimits<'a> {
    pub(super) async fn new(
        config: &'a Config,
        catalog: &'a Catalog,
        ledger: Option<&'a Ledger>,
        now_unix_ms: i64,
    ) -> Result<Self, CliError> {
        let today = rfc3339(now_unix_ms)[..10].to_owned();
        let usage = match ledger {
            Some(ledger) => ledger.usage(None, &format!("{}-01", &today[..7])).await?,
            None => Vec::new(),
        };
        Ok(Self {
            config,
            catalog,
            ledger,
            usage,
            today,
            by_key: HashMap::new(),
            limits: Vec::new(),
        })
    }

    /// What is known of a provider of the chain's pool.
    pub(super) async fn provider(
        &mut self,
        chain: &Chain,
        name: &ProviderName,
    ) -> Result<Provider, CliError> {
        let configured = self.config.provider(name.as_str());
        let configured = configured.map_err(|error| CliError::Usage(error.to_string()))?;
        let manifest = self.catalog.get(&configured.plugin);
        let (windows, limits_from) = windows(configured, manifest.map(|file| &file.manifest));
        Ok(Provider {
            name: name.clone(),
            limits_from,
            limits: self.index(configured, windows),
            learned: self.learned(chain, configured).await?,
        })
    }

    /// Where the provider's limits are; all limits of those that share one place hold.
    fn index(&mut self, provider: &config::Provider, windows: Vec<Window>) -> usize {
        let next = self.limits.len();
        let index = *self.by_key.entry(pacers::key(provider)).or_insert(next);
        if index == next {
            self.limits.push(Limits::default());
        }
        let quota = provider.quota.map(|quota| QuotaLeft {
            quota,
            used: self.used(&provider.name, quota.period),
        });
        let limits = &mut self.limits[index];
        for window in windows {
            if !limits.windows.contains(&window) {
                limits.windows.push(window);
            }
        }
        limits
            .quotas
            .extend(quota.filter(|it| !limits.quotas.contains(it)));
        index
    }

    fn used(&self, provider: &ProviderName, period: QuotaPeriod) -> u64 {
        let counts = |row: &&UsageRow| {
            row.key.provider == *provider && (period == QuotaPeriod::Month || row.day == self.today)
        };
        let rows = self.usage.iter().filter(counts);
        rows.map(|row| row.usage.requests).sum()
    }

    /// What the provider taught, if endpoint, plugin and options are still the same.
    async fn learned(
        &self,
        chain: &Chain,
        provider: &config::Provider,
    ) -> Result<Option<usize>, CliError> {
        let Some(ledger) = self.ledger else {
            return Ok(None);
        };
        let key = ProviderKey {
            chain: chain.name.clone(),
            provider: provider.name.clone(),
            kind: ProviderType::Scan,
        };
        let stored = ledger.provider(&key).await?;
        let stored = stored.and_then(|record| record.persisted);
        let stored = stored.and_then(|json| serde_json::from_str::<Persisted>(&json).ok());
        let fingerprint = [provider.fingerprint(), provider.identity_fingerprint(chain)].concat();
        if stored.is_none_or(|stored| stored.fingerprint != fingerprint) {
            return Ok(None);
        }
        let learned = ledger.learned(&chain.name, &provider.name).await?;
        let cells = learned.iter().find(|it| it.key == learned::KEY);
        let cells = cells.and_then(|it| it.value.parse().ok());
        Ok(cells.filter(|cells| *cells > 0))
    }
}

/// The windows that hold, and who says so: the operator, or the plugin that knows the host.
fn windows(
    provider: &config::Provider,
    manifest: Option<&Manifest>,
) -> (Vec<Window>, &'static str) {
    let windows = pacers::limits(provider, manifest);
    let from = match (windows.is_empty(), &provider.limits, provider.quota) {
        (false, None, _) => "plugin",
        (false, Some(_), _) | (true, _, Some(_)) => "configuration",
        (true, _, None) => "none",
    };
    (windows, from)
}
