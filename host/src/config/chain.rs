//! `[chains.NAME]`: one network, its pool and what is read on it.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Asset, ChainName, Commitment, ProviderName, Symbol};
use crate::watch::{KeySet, WatchKey};

use super::breaker::{Breaker, BreakerKeys};
use super::error::{did_you_mean, normal, ticked};
use super::leaf::{Leaf, quoted, word, words};
use super::rate::Percent;
use super::reader::{Item, Table};

/// `[chains.NAME]`.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The table's name.
    pub name: ChainName,
    /// Which addresses are valid. Default mainnet.
    pub network: Network,
    /// What the chain says of itself: chain id, hash of block 0, genesis hash; `None`: not checked.
    pub identity: Option<String>,
    /// The providers in their order; never empty, no provider twice.
    pub pool: Vec<ProviderName>,
    /// How the pool shares the work. Default failover.
    pub strategy: Strategy,
    /// `None`: what the plugin takes by default.
    pub commitment: Option<Commitment>,
    /// A provider that must wait longer is passed over. Default 2 s.
    pub spill_after: Duration,
    /// What is read of each address; never empty, symbols and contracts each once.
    pub assets: Vec<Asset>,
    /// For the chain's providers; each may override it, see [`Config::breaker`](super::Config::breaker).
    pub breaker: Breaker,
    /// How a pass goes.
    pub scan: Scan,
    /// The address sets that are scanned when none is named.
    pub addresses: Vec<AddressSet>,
}

impl Chain {
    /// The asset of that symbol, whatever its case.
    #[must_use]
    pub fn asset(&self, symbol: &str) -> Option<&Asset> {
        let same = |asset: &&Asset| asset.symbol.as_str().eq_ignore_ascii_case(symbol);
        self.assets.iter().find(same)
    }
}

words! {
    /// Which of a blockchain's networks, as far as addresses show it.
    Network {
        /// The one with value.
        Mainnet = "mainnet",
        /// The public test network (Bitcoin: testnet3).
        Testnet = "testnet",
        /// Bitcoin's fourth.
        Testnet4 = "testnet4",
        /// Bitcoin's signed one.
        Signet = "signet",
        /// A node of one's own.
        Regtest = "regtest",
        /// Solana's.
        Devnet = "devnet",
    }
}

words! {
    /// How a pool shares the work.
    Strategy {
        /// The first provider whose gate is open takes it.
        Failover = "failover",
        /// All pull from one queue.
        Spread = "spread",
    }
}

words! {
    /// Which height a pass reads at.
    ScanAt {
        /// Each call at the newest one that its provider has.
        Newest = "newest",
        /// One for the whole pass, where the chain allows it.
        Pinned = "pinned",
    }
}

words! {
    /// What comes of two providers that insist on different amounts of a sampled cell.
    OnMismatch {
        /// An event.
        Event = "event",
        /// The one that a third provider contradicts is held as well.
        Hold = "hold",
    }
}

words! {
    /// Which addresses of a set are asked for first.
    ScanOrder {
        /// Those that stand first in the list.
        List = "list",
        /// Those with a cell that was never known, then those that the last pass missed.
        Stale = "stale",
        /// Those with a balance above zero.
        Funded = "funded",
    }
}

impl Leaf for WatchKey {
    fn read(item: &Item<'_>) -> Option<Self> {
        match Self::new(item.text()?) {
            Ok(key) if !key.expose().is_empty() => Some(key),
            Ok(_) => item.wrong("is empty; write an extended public key or a descriptor"),
            Err(warning) => item.wrong(warning),
        }
    }

    fn shown(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Leaf for Commitment {
    fn read(item: &Item<'_>) -> Option<Self> {
        let words = [Self::Latest, Self::Confirmed, Self::Finalized];
        word(
            item,
            &words.map(|commitment| (commitment.as_str(), commitment)),
        )
    }

    fn shown(&self) -> String {
        quoted(self.as_str())
    }
}

/// `[chains.NAME.scan]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scan {
    /// Time from the start of one pass to the next; `None`: only when asked.
    pub every: Option<Duration>,
    /// How long a pass goes on without an answer; at least twice the longest cooldown. Default 10 min.
    pub budget: Duration,
    /// Failed rounds in a row after which a pass may end early; at least 1. Default 5.
    pub max_pool_failures: u32,
    /// Default newest.
    pub at: ScanAt,
    /// Share of cells, in percent, that is read again from a second provider; off by default.
    pub sample: Option<f64>,
    /// Default event.
    pub on_mismatch: OnMismatch,
    /// Default list.
    pub order: ScanOrder,
}

/// Unused addresses of a key in a row after which no further one is looked for, as wallets have it
/// (BIP 44).
const GAP_DEFAULT: u32 = 20;
/// One more call of a plugin than a wallet ever needs.
const GAP_MAX: u32 = 1_000;

/// One of `[[chains.NAME.addresses]]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddressSet {
    /// The set's name: `set`, else the file's name without its ending.
    pub name: String,
    /// Where the list is; `None`: the store has it, imported before, or it is a key's.
    pub file: Option<PathBuf>,
    /// Whose addresses it has.
    pub key: Option<KeySet>,
}

pub(super) fn read(
    name: ChainName,
    mut table: Table<'_>,
    providers: &[ProviderName],
) -> Option<Chain> {
    let network = table.required("network");
    let identity = table.optional::<String>("identity");
    let pool = pool(&mut table, providers);
    let strategy = table.required("strategy");
    let commitment = table.optional("commitment");
    let spill_after = table.required("spill_after");
    let assets = assets(&mut table);
    let breaker = table.table("breaker").map(|breaker| {
        let places = breaker.clone();
        let breaker = BreakerKeys::read(breaker).over(&Breaker::DEFAULT);
        for (key, message) in breaker.contradictions() {
            places.wrong(key, message);
        }
        breaker
    });
    let scan = table.table("scan").and_then(scan);
    let sets = address_sets(&mut table);

    if !table.has("identity") {
        let message = format!(
            "`{}`: without `identity` a provider of another network would not be noticed",
            table.path
        );
        table.reader.warn(table.place(), message);
    }
    table.finish();
    Some(Chain {
        name,
        network: network?,
        identity,
        pool: pool?,
        strategy: strategy?,
        commitment,
        spill_after: spill_after?,
        assets: assets?,
        breaker: breaker?,
        scan: scan?,
        addresses: sets,
    })
}

pub(super) fn pool(table: &mut Table<'_>, providers: &[ProviderName]) -> Option<Vec<ProviderName>> {
    let Some(item) = table.item("pool") else {
        table.wrong("pool", "is missing; name at least one provider");
        return None;
    };
    let entries = item.items("provider names")?;
    if entries.is_empty() {
        return item.wrong("is empty; name at least one provider");
    }
    let mut pool: Vec<ProviderName> = Vec::new();
    let mut complete = true;
    for entry in &entries {
        let Some(name) = String::read(entry) else {
            complete = false;
            continue;
        };
        let provider = providers
            .iter()
            .find(|provider| normal(provider.as_str()) == normal(&name));
        match provider {
            Some(provider) if pool.contains(provider) => {
                entry.wrong::<()>(format_args!("`{provider}` stands in the pool twice"));
            }
            Some(provider) => pool.push(provider.clone()),
            None => {
                complete = false;
                let names = || providers.iter().map(ProviderName::as_str);
                let hint = match did_you_mean(&name, names()) {
                    hint if !hint.is_empty() => hint,
                    _ if providers.is_empty() => {
                        format!("; write [providers.{name}] with plugin and endpoint")
                    }
                    _ => format!("; there are {}", ticked(names())),
                };
                entry.wrong::<()>(format_args!("unknown provider `{name}`{hint}"));
            }
        }
    }
    let names: Vec<_> = pool.iter().map(|name| quoted(name.as_str())).collect();
    item.show(format!("[{}]", names.join(", ")));
    complete.then_some(pool)
}

fn assets(table: &mut Table<'_>) -> Option<Vec<Asset>> {
    if !table.has("assets") {
        table.wrong(
            "assets",
            format_args!(
                "is missing; write [[{}.assets]] with symbol and decimals",
                table.path
            ),
        );
        return None;
    }
    let mut assets: Vec<Asset> = Vec::new();
    let tables = table.tables("assets");
    if tables.is_empty() {
        table.wrong("assets", "is empty; a scan would read nothing");
    }
    let mut complete = true;
    for mut table in tables {
        let symbol = table.required::<String>("symbol");
        let contract = table.optional::<String>("contract");
        let decimals = table.required::<u8>("decimals");
        if let Some(symbol) = &symbol
            && assets
                .iter()
                .any(|asset| asset.symbol.as_str().eq_ignore_ascii_case(symbol))
        {
            table.wrong(
                "symbol",
                format_args!("{symbol:?} names two assets of this chain"),
            );
        }
        // 10^77 is the last power of ten below 2^256.
        if decimals.is_some_and(|decimals| decimals > 77) {
            table.wrong("decimals", "must be at most 77");
        }
        let twin = assets
            .iter()
            .find(|asset| match (&asset.contract, &contract) {
                (Some(a), Some(b)) => same_contract(a, b),
                (None, None) => !table.has("contract"),
                _ => false,
            });
        match (twin, &contract) {
            (Some(twin), Some(_)) => {
                table.wrong("contract", format_args!("is also that of {}", twin.symbol));
            }
            (Some(twin), None) => table.wrong(
                "contract",
                format_args!("is missing, and {} is the native coin already", twin.symbol),
            ),
            (None, _) => {}
        }
        table.finish();
        match (symbol, decimals) {
            (Some(symbol), Some(decimals)) => assets.push(Asset {
                symbol: Symbol::from(symbol),
                contract: contract.map(Into::into),
                decimals,
            }),
            _ => complete = false,
        }
    }
    (complete && !assets.is_empty()).then_some(assets)
}

/// Hex is the same in either case, base58 is not.
fn same_contract(a: &str, b: &str) -> bool {
    if a.starts_with("0x") || a.starts_with("0X") {
        a.eq_ignore_ascii_case(b)
    } else {
        a == b
    }
}

fn scan(mut table: Table<'_>) -> Option<Scan> {
    let every = table.optional("every");
    let budget = table.required("budget");
    let max_pool_failures = table.required("max_pool_failures");
    let at = table.required("at");
    let sample = table.optional::<Percent>("sample").map(|share| share.0);
    let on_mismatch = table.required("on_mismatch");
    let order = table.required("order");
    if every == Some(Duration::ZERO) {
        table.wrong(
            "every",
            "must be longer than zero; leave it out to scan only when asked",
        );
    }
    if max_pool_failures == Some(0) {
        table.wrong("max_pool_failures", "must be at least 1");
    }
    table.finish();
    Some(Scan {
        every,
        budget: budget?,
        max_pool_failures: max_pool_failures?,
        at: at?,
        sample: sample.filter(|share| *share > 0.0),
        on_mismatch: on_mismatch?,
        order: order?,
    })
}

fn address_sets(table: &mut Table<'_>) -> Vec<AddressSet> {
    let mut sets: Vec<AddressSet> = Vec::new();
    for mut table in table.tables("addresses") {
        let file = table.optional::<PathBuf>("file");
        let set = table.optional::<String>("set");
        let descriptor = table.optional::<WatchKey>("descriptor");
        let xpub = table.optional::<WatchKey>("xpub");
        let gap_limit = table.optional::<u32>("gap_limit");
        let named = ["file", "descriptor", "xpub"].map(|key| table.has(key));
        let sources = named.iter().filter(|it| **it).count();
        if sources > 1 || sources == 0 && !table.has("set") {
            let message = format!(
                "`{}`: write one of file = \"list.csv\", descriptor = \"wpkh(xpub…/0/*)\" and xpub = \
                 \"xpub…\", or set = \"NAME\" for an imported list",
                table.path
            );
            table.reader.error(table.place(), message);
        }
        let gap_range = 1..=GAP_MAX;
        match gap_limit {
            Some(limit) if !gap_range.contains(&limit) => {
                table.wrong("gap_limit", format_args!("is not from 1 to {GAP_MAX}"));
            }
            Some(_) if named[0] || sources == 0 => {
                table.wrong("gap_limit", "goes with `descriptor` or `xpub`");
            }
            _ => {}
        }
        let key = descriptor.or(xpub).map(|key| KeySet {
            key,
            gap_limit: gap_limit.unwrap_or(GAP_DEFAULT),
        });
        if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
            let message = format!(
                "`{}.file`: there is no file `{}`",
                table.path,
                file.display()
            );
            table.reader.warn(table.place_of("file"), message);
        }
        let stem = file.as_ref().and_then(|file| file.file_stem());
        let name = set
            .or_else(|| stem.map(|stem| stem.to_string_lossy().into_owned()))
            .or_else(|| key.as_ref().map(|it| format!("key-{}", it.key.id())));
        if let Some(name) = name {
            if sets.iter().any(|set| set.name == name) {
                let key = if table.has("set") { "set" } else { "file" };
                table.wrong(
                    key,
                    format_args!(
                        "two lists of this chain are named `{name}`; tell them apart by `set`"
                    ),
                );
            }
            sets.push(AddressSet { name, file, key });
        }
        table.finish();
    }
    sets
}
