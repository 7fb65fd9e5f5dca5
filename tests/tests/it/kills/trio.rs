//! Three chains behind one simulator, scanned by one run.

use std::collections::HashMap;
use std::time::Duration;

use scanhost_tests::product::{Chain, Config, Product, Run};
use scanhost_tests::upstream::{
    CellClass, Fault, Kind, Ledger, SeededAsset, Upstream, World, associated_account, server,
};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::moments::Moment;
use crate::book::{Balance, Book};
use crate::lab::{self, Plugin};
use crate::running::Running;

/// Address in lower case where case means nothing, and symbol.
pub(super) type Cell = (String, String);
/// Chunks of one provider at a time.
const CONNECTIONS: u64 = 2;
/// How long each answer takes.
const DELAY_MS: u64 = 15;

/// One of the chains, behind the host of its name.
pub(super) struct Side {
    pub(super) chain: &'static str,
    pub(super) addresses: Vec<String>,
    pub(super) assets: Vec<SeededAsset>,
    /// Cells of one call.
    chunk: u64,
    /// What the simulator calls a cell: address as asked, and contract if it was named.
    asked_as: HashMap<(String, Option<String>), Cell>,
}

/// Three chains and a folder to scan them in.
pub(super) struct Trio {
    pub(super) sides: Vec<Side>,
    pub(super) product: Product,
    upstream: Upstream,
    runtime: Runtime,
}

impl Side {
    fn new(plugin: Plugin, count: usize, chunk: u64) -> (Self, Ledger) {
        let seeded = plugin.seeded(count);
        let mut side = Self {
            chain: plugin.chain(),
            addresses: seeded.addresses,
            assets: seeded.assets,
            chunk,
            asked_as: HashMap::new(),
        };
        for address in &side.addresses {
            for asset in &side.assets {
                let key = side.key(address, asset, &seeded.ledger);
                let cell = side.cell(address, &asset.symbol);
                side.asked_as.insert(key, cell);
            }
        }
        (side, seeded.ledger)
    }

    fn key(&self, address: &str, asset: &SeededAsset, ledger: &Ledger) -> (String, Option<String>) {
        let contract = asset.contract.as_deref();
        match (ledger, contract) {
            (Ledger::Solana(ledger), Some(mint)) => {
                let mint = mint.parse().expect("seeded mints are valid");
                let wallet = address.parse().expect("seeded addresses are valid");
                let program = ledger.mint(&mint).expect("it is there").program;
                let account = associated_account(&wallet, &mint, &program);
                (account.to_string(), None)
            }
            (Ledger::Evm(_), contract) => {
                let contract = contract.map(str::to_ascii_lowercase);
                (address.to_ascii_lowercase(), contract)
            }
            _ => (address.to_owned(), None),
        }
    }

    fn cell(&self, address: &str, symbol: &str) -> Cell {
        let address = match self.chain {
            "bsc" => address.to_ascii_lowercase(),
            _ => address.to_owned(),
        };
        (address, symbol.to_owned())
    }

    pub(super) fn cell_of(&self, row: &Balance) -> Cell {
        self.cell(&row.address, &row.symbol)
    }

    pub(super) fn cells(&self) -> usize {
        self.addresses.len() * self.assets.len()
    }

    /// Most cells that are under way at once.
    pub(super) fn in_flight(&self) -> u64 {
        self.chunk * CONNECTIONS
    }

    fn list(&self) -> String {
        format!("{}.csv", self.chain)
    }
}

impl Trio {
    pub(super) fn new(seed: u64) -> Self {
        // In the order in which the product tells chains.
        let made = [
            (Plugin::BscRpc, 200, 30),
            (Plugin::Blockstream, 60, 1),
            (Plugin::SolanaRpc, 150, 25),
        ];
        let mut world = World::new().counting_cells();
        let mut sides = Vec::new();
        for (plugin, count, chunk) in made {
            let (side, ledger) = Side::new(plugin, count, chunk);
            let mut host = plugin.host();
            side.chain.clone_into(&mut host.ledger);
            world = world
                .with_ledger(side.chain, ledger)
                .with(side.chain, host)
                .with_fault(Fault::at(side.chain, Kind::Delay { ms: DELAY_MS }));
            sides.push((plugin, side));
        }
        let runtime = Runtime::new().expect("a runtime starts");
        let upstream = runtime.block_on(Upstream::start(world));
        let upstream = upstream.expect("a port is free");
        let mut config = Config::new();
        for (plugin, side) in &sides {
            let ledger = |world: &mut World| world.ledger(side.chain).map(Ledger::identity);
            let identity = upstream.with(ledger);
            let assets = side.assets.iter();
            let assets: Vec<_> = assets
                .map(|it| (&*it.symbol, it.contract.as_deref(), it.decimals))
                .collect();
            config = config.chain(&Chain {
                name: side.chain,
                network: "mainnet",
                identity: identity.as_deref(),
                pool: &[side.chain],
                assets: &assets,
                list: Some(&side.list()),
                more: "",
            });
            let more = format!(
                "connections = {CONNECTIONS}\n[providers.{}.options]\nbatch = {}\n",
                side.chain, side.chunk
            );
            let endpoint = upstream.endpoint(side.chain);
            config = config.provider(side.chain, plugin.name(), &endpoint, &more);
        }
        let product = Product::new(&config);
        let mut random = fastrand::Rng::with_seed(seed);
        let sides = sides.into_iter().map(|(_, mut side)| {
            random.shuffle(&mut side.addresses);
            product.write(
                &side.list(),
                format!("address\n{}\n", side.addresses.join("\n")),
            );
            side
        });
        Self {
            sides: sides.collect(),
            product,
            upstream,
            runtime,
        }
    }

    pub(super) fn book(&self) -> Book {
        self.runtime.block_on(Book::read(self.product.folder()))
    }

    pub(super) fn ledger(&self, side: &Side) -> Ledger {
        let ledger = |world: &mut World| world.ledger(side.chain).cloned();
        self.upstream.with(ledger).expect("it was put there")
    }

    pub(super) fn grow(&self, side: &Side) {
        self.upstream.with(|world| {
            let ledger = world.ledger_mut(side.chain).expect("it was put there");
            lab::grow(ledger, &side.addresses, &side.assets);
        });
    }

    /// The balances asked for since the last time, by chain.
    pub(super) fn take_cells(&self) -> HashMap<&'static str, HashMap<Cell, u64>> {
        let mut taken: HashMap<_, HashMap<Cell, u64>> = HashMap::new();
        for ((ledger, asked), count) in self.upstream.with(World::take_cells) {
            let mut sides = self.sides.iter();
            let side = sides.find(|side| side.chain == ledger);
            let side = side.expect("ledgers have the chains' names");
            assert_ne!(asked.class, CellClass::Other, "{asked:?}");
            let key = (asked.address, asked.contract);
            let cell = side.asked_as.get(&key);
            let cell = cell.unwrap_or_else(|| panic!("nobody listed {key:?}"));
            *taken
                .entry(side.chain)
                .or_default()
                .entry(cell.clone())
                .or_default() += count;
        }
        taken
    }

    fn requests(&self) -> u64 {
        self.upstream.with(|world| world.log().len() as u64)
    }

    /// How long a run takes to its first request.
    pub(super) fn startup(&self) -> Duration {
        let start = Instant::now();
        let scan = Running::scan(&self.product);
        lab::wait_until(|| self.requests() > 0);
        let startup = start.elapsed();
        scan.kill();
        let _ = scan.end();
        // What it began is no part of the test.
        for name in ["scanhost.db", "scanhost.db-wal", "scanhost.db-shm"] {
            let _ = std::fs::remove_file(self.product.folder().join(name));
        }
        let _ = self.take_cells();
        startup
    }

    /// Waits for the moment; false when the run ended before it.
    pub(super) fn wait_for(&self, moment: &Moment, scan: &mut Running) -> bool {
        self.upstream.with(World::clear_log);
        let wait = async {
            match *moment {
                Moment::Start(after) => tokio::time::sleep(after).await,
                Moment::Request { count, then } => {
                    while self.requests() < count && !scan.has_ended() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    tokio::time::sleep(then).await;
                }
                Moment::Commit(count) => {
                    lab::commits(self.product.folder(), count, || scan.has_ended()).await;
                }
                Moment::End(after) => {
                    while self.is_busy() && !scan.has_ended() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    tokio::time::sleep(after).await;
                }
            }
        };
        self.runtime.block_on(wait);
        !scan.has_ended()
    }

    /// Whether there was no request for less than three times as long as each takes.
    fn is_busy(&self) -> bool {
        let last = self
            .upstream
            .with(|world| world.log().last().map(|it| it.at_ms));
        let quiet = last.map(|at| server::now_ms() - at);
        quiet.is_none_or(|quiet| quiet < 3 * DELAY_MS.cast_signed())
    }

    /// Every cell of every list has its row, known, as the ledger has it.
    pub(super) fn check_rows(&self, run: &Run) {
        let rows = run.rows();
        let mut left = rows.iter();
        for side in &self.sides {
            let truth = self.ledger(side);
            for address in &side.addresses {
                for asset in &side.assets {
                    let row = left.next().expect("every cell has a row");
                    assert_eq!(row["chain"], side.chain, "{row}");
                    assert_eq!(row["address"], **address, "{row}");
                    assert_eq!(row["asset"], *asset.symbol, "{row}");
                    let amount = truth.amount_of(address, &asset.symbol);
                    let amount = amount.expect("the asset is there").to_string();
                    assert_eq!(row["amount"], amount, "{row}");
                }
            }
        }
        assert_eq!(left.next(), None);
    }
}
