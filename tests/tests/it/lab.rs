//! One chain behind simulated hosts, and the built binary that scans it.

use std::path::Path;
use std::time::Duration;

use scanhost_tests::product::{Chain, Config, IMPATIENT, Product, Run};
use scanhost_tests::upstream::{
    Fault, Host, HostKind, Ledger, LogEntry, Seeded, SeededAsset, Upstream, World,
    associated_account,
};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::book::Book;

/// The key that the simulated BscScan accepts.
pub(crate) const API_KEY: &str = "key-5f3c9a17d2";
/// The file beside the configuration that holds it.
const KEY_FILE: &str = "bscscan.key";
/// What does not come within this does not come.
const LONG: Duration = Duration::from_secs(60);
/// From one look to the next.
const LOOK: Duration = Duration::from_millis(1);

/// The plugins that Scanhost comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plugin {
    Blockstream,
    Mempool,
    Bscscan,
    BscRpc,
    SolanaRpc,
}

/// How a [`Lab`] is configured; the defaults are those of an impatient operator.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Providers in their order; each is a host of its name.
    pub(crate) pool: Vec<&'static str>,
    /// More lines of the chain's table.
    pub(crate) chain: String,
    /// More lines of the first provider's table.
    pub(crate) first: String,
    /// Symbols left out of the configuration.
    pub(crate) without: Vec<&'static str>,
    /// What the chain is said to be, where it is not the truth.
    pub(crate) identity: Option<String>,
    pub(crate) network: &'static str,
}

/// The hosts `first`, `second` and `third` over one ledger, and a folder to run the binary in.
///
/// `list.csv` holds the ledger's addresses and is the configured list.
pub(crate) struct Lab {
    pub(crate) plugin: Plugin,
    pub(crate) addresses: Vec<String>,
    pub(crate) assets: Vec<SeededAsset>,
    pub(crate) product: Product,
    pub(crate) upstream: Upstream,
    runtime: Runtime,
}

// === impl Plugin ===

impl Plugin {
    pub(crate) const ALL: [Self; 5] = [
        Self::Blockstream,
        Self::Mempool,
        Self::Bscscan,
        Self::BscRpc,
        Self::SolanaRpc,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Blockstream => "blockstream",
            Self::Mempool => "mempool",
            Self::Bscscan => "bscscan",
            Self::BscRpc => "bsc-rpc",
            Self::SolanaRpc => "solana-rpc",
        }
    }

    pub(crate) fn chain(self) -> &'static str {
        match self {
            Self::Blockstream | Self::Mempool => "btc",
            Self::Bscscan | Self::BscRpc => "bsc",
            Self::SolanaRpc => "sol",
        }
    }

    pub(crate) fn has_tokens(self) -> bool {
        self.chain() != "btc"
    }

    pub(crate) fn seeded(self, count: usize) -> Seeded {
        match self.chain() {
            "btc" => Ledger::seeded_bitcoin(bitcoin::Network::Bitcoin, 11, count),
            "bsc" => Ledger::seeded_bsc(11, count),
            _ => Ledger::seeded_solana(11, count),
        }
    }

    pub(crate) fn host(self) -> Host {
        let kind = match self {
            Self::Blockstream => HostKind::Esplora,
            Self::Mempool => HostKind::Mempool,
            Self::Bscscan => HostKind::Etherscan,
            Self::BscRpc => HostKind::Evm,
            Self::SolanaRpc => HostKind::Solana,
        };
        Host {
            api_key: (self == Self::Bscscan).then(|| API_KEY.to_owned()),
            ..Host::new(kind, "chain")
        }
    }
}

// === impl Setup ===

impl Setup {
    /// This pool, in this order.
    pub(crate) fn of(pool: &[&'static str]) -> Self {
        Self {
            pool: pool.to_vec(),
            chain: format!("{IMPATIENT}spill_after = \"300ms\"\n"),
            first: String::new(),
            without: Vec::new(),
            identity: None,
            network: "mainnet",
        }
    }

    /// With these lines in the first provider's table.
    pub(crate) fn first(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.first);
        self
    }

    /// With these lines in the chain's table in place of an impatient breaker.
    pub(crate) fn chain(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.chain);
        self
    }
}

// === impl Lab ===

impl Lab {
    /// A ledger of `count` addresses, scanned by the first host alone.
    pub(crate) fn new(plugin: Plugin, count: usize) -> Self {
        Self::with_seeded(plugin, plugin.seeded(count))
    }

    pub(crate) fn with_seeded(plugin: Plugin, seeded: Seeded) -> Self {
        let world = World::new()
            .with_ledger("chain", seeded.ledger)
            .with("first", plugin.host())
            .with("second", plugin.host())
            .with("third", plugin.host());
        let runtime = Runtime::new().expect("a runtime starts");
        let upstream = runtime.block_on(Upstream::start(world));
        let lab = Self {
            plugin,
            addresses: seeded.addresses,
            assets: seeded.assets,
            product: Product::new(&Config::new()),
            upstream: upstream.expect("a port is free"),
            runtime,
        };
        lab.product.write(KEY_FILE, API_KEY);
        let list = format!("address\n{}\n", lab.addresses.join("\n"));
        lab.product.write("list.csv", list);
        lab.set_up(&Setup::of(&["first"]));
        lab
    }

    /// Another configuration.
    pub(crate) fn set_up(&self, setup: &Setup) {
        self.product.configure(&self.config(setup));
    }

    pub(crate) fn config(&self, setup: &Setup) -> Config {
        let assets: Vec<(&str, Option<&str>, u8)> = self
            .assets
            .iter()
            .filter(|asset| !setup.without.contains(&asset.symbol.as_str()))
            .map(|asset| (&*asset.symbol, asset.contract.as_deref(), asset.decimals))
            .collect();
        let identity = setup.identity.clone();
        let identity = identity.unwrap_or_else(|| self.truth().identity());
        let mut config = Config::new().chain(&Chain {
            name: self.plugin.chain(),
            network: setup.network,
            identity: Some(&identity),
            pool: &setup.pool,
            assets: &assets,
            list: Some("list.csv"),
            more: &setup.chain,
        });
        let key = match self.plugin {
            Plugin::Bscscan => format!("api_key = {{ file = {KEY_FILE:?} }}\n"),
            _ => String::new(),
        };
        for name in ["first", "second", "third"] {
            let more = if name == "first" { &*setup.first } else { "" };
            let endpoint = self.upstream.endpoint(name);
            let plugin = self.plugin.name();
            config = config.provider(name, plugin, &endpoint, &format!("{key}{more}"));
        }
        config
    }

    /// What the ledger holds now.
    pub(crate) fn truth(&self) -> Ledger {
        let ledger = |world: &mut World| world.ledger("chain").cloned();
        self.upstream.with(ledger).expect("it was put there")
    }

    /// Changes every amount of the ledger.
    pub(crate) fn grow(&self) {
        self.upstream.with(|world| {
            let ledger = world.ledger_mut("chain").expect("it was put there");
            grow(ledger, &self.addresses, &self.assets);
        });
    }

    /// `scanhost scan --format json` with more arguments.
    pub(crate) fn scan(&self, more: &[&str]) -> Run {
        let arguments = [&["scan", "--format", "json"][..], more].concat();
        self.product.run(&arguments)
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.upstream.fault(fault);
    }

    /// The requests to a host that asked for balances.
    pub(crate) fn asked(&self, host: &str) -> Vec<LogEntry> {
        let mut log = self.upstream.log();
        log.retain(|entry| entry.host == host && entry.native + entry.tokens > 0);
        log
    }

    /// Waits until something is so, at most for a minute.
    #[track_caller]
    pub(crate) fn wait_until(&self, is_so: impl Fn() -> bool) {
        wait_until(is_so);
    }

    /// Looks again and again, however long it takes, until it says that this was the last time.
    pub(crate) fn watch(&self, mut look: impl FnMut() -> bool) {
        while !look() {
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for a future, as [`wait_until`](Self::wait_until) does.
    #[track_caller]
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let waited = self
            .runtime
            .block_on(async { tokio::time::timeout(LONG, future).await });
        waited.expect("it does not come to that")
    }

    /// What the store holds.
    pub(crate) fn book(&self) -> Book {
        self.runtime.block_on(Book::read(self.product.folder()))
    }

    /// All rows are there, in the order of the list, and every one is known as the ledger has it.
    #[track_caller]
    pub(crate) fn expect_all_known(&self, run: &Run) {
        let rows = self.expect_honest(run, &self.truth(), None);
        let unknown = rows.iter().find(|row| row["status"] != "known");
        assert_eq!(unknown, None, "{}", run.stderr);
    }

    /// One row per cell, in the order of the list; what is known is what the ledger holds; what
    /// is unknown has no amount but the one of `before`.
    #[track_caller]
    pub(crate) fn expect_honest(
        &self,
        run: &Run,
        truth: &Ledger,
        before: Option<&Ledger>,
    ) -> Vec<Value> {
        let rows = run.rows();
        let mut left = rows.iter();
        for (index, address) in self.addresses.iter().enumerate() {
            for asset in &self.assets {
                let row = left.next();
                let row = row.unwrap_or_else(|| panic!("too few rows:\n{}", run.stderr));
                assert_eq!(row["chain"], self.plugin.chain(), "{row}");
                assert_eq!(row["address"], **address, "{row}");
                assert_eq!(row["index"], index, "{row}");
                assert_eq!(row["asset"], *asset.symbol, "{row}");
                let held = |ledger: &Ledger| {
                    let amount = ledger.amount_of(address, &asset.symbol);
                    Value::String(amount.expect("the asset is there").to_string())
                };
                match row["status"].as_str() {
                    Some("known") => {
                        assert_eq!(row["amount"], held(truth), "{row}");
                        assert_eq!(row["decimals"], asset.decimals, "{row}");
                    }
                    Some("unknown") => {
                        assert_eq!(row.get("amount"), None, "{row}");
                        assert!(row["error"]["class"].is_string(), "{row}");
                        let last = before.map_or(Value::Null, held);
                        assert_eq!(row["last"]["amount"], last, "{row}");
                    }
                    _ => panic!("{row}"),
                }
            }
        }
        assert_eq!(left.next(), None, "too many rows");
        rows
    }
}

/// Waits until something is so, at most for a minute.
#[track_caller]
pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "it did not come to that");
        std::thread::sleep(LOOK);
    }
}

/// Waits until the log of the store in a folder grew this often, or until it is pointless.
pub(crate) async fn commits(folder: &Path, count: u64, mut pointless: impl FnMut() -> bool) {
    let log = folder.join("scanhost.db-wal");
    let changed = || std::fs::metadata(&log).and_then(|it| it.modified()).ok();
    let mut last = changed();
    let mut seen = 0;
    while seen < count && !pointless() {
        tokio::time::sleep(Duration::from_micros(100)).await;
        let now = changed();
        seen += u64::from(now != last);
        last = now;
    }
}

/// Changes every amount of a ledger.
pub(crate) fn grow(ledger: &mut Ledger, addresses: &[String], assets: &[SeededAsset]) {
    match ledger {
        Ledger::Bitcoin(ledger) => {
            for address in addresses {
                let mut stats = ledger.stats(address);
                stats.chain.funded_txo_count += 1;
                stats.chain.funded_txo_sum += 1_000;
                stats.chain.tx_count += 1;
                ledger.set(address, stats);
            }
        }
        Ledger::Evm(ledger) => {
            let one = alloy::primitives::U256::from(1);
            for address in addresses {
                let address = address.parse().expect("seeded addresses are valid");
                *ledger.native.entry(address).or_default() += one;
                for token in ledger.tokens.values_mut() {
                    *token.balances.entry(address).or_default() += one;
                }
            }
        }
        Ledger::Solana(ledger) => {
            for address in addresses {
                let wallet = address.parse().expect("seeded addresses are valid");
                *ledger.lamports.entry(wallet).or_default() += 1;
                for mint in assets.iter().filter_map(|asset| asset.contract.as_deref()) {
                    let mint = mint.parse().expect("seeded mints are valid");
                    let program = ledger.mint(&mint).expect("it is there").program;
                    let account = associated_account(&wallet, &mint, &program);
                    let amount = ledger.account(&account).map_or(0, |it| it.amount);
                    ledger.set_token(wallet, mint, amount + 1);
                }
            }
        }
    }
}
