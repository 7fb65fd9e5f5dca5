//! A ready world of all five kinds, and worlds read from a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use alloy::primitives::{Address, U256};
use bitcoin::Network;
use serde::Deserialize;
use solana_pubkey::Pubkey;

use super::{
    BitcoinLedger, EvmLedger, Fault, Host, HostKind, Kind, Ledger, RetryAfter, Seeded,
    SolanaLedger, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, World,
};

const API_KEY: &str = "demo-key";
const BTC_BLOCK_MS: u64 = 600_000;
const BSC_BLOCK_MS: u64 = 450;
const SOL_SLOT_MS: u64 = 400;

/// Three chains with their addresses, served by seven hosts.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The hosts `blockstream`, `mempool`, `bsc-a`, `bsc-b`, `bscscan`, `sol-a`, `sol-b`.
    pub world: World,
    chains: Vec<(&'static str, Seeded)>,
}

/// What keeps a demo from being written or a world from being read.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file could not be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a world.
    #[error("failed to parse the world in `{}`", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A value in the file is none.
    #[error("failed to read the world: `{text}` is no {what}")]
    Value {
        /// The value.
        text: String,
        /// What it should be.
        what: &'static str,
    },
    /// A host names a ledger that is not there.
    #[error("failed to set up host `{host}`: there is no ledger `{ledger}` of its kind")]
    NoLedger {
        /// The host.
        host: String,
        /// The ledger.
        ledger: String,
    },
}

// === impl Demo ===

impl Demo {
    /// Chains of `count` addresses each, which grow from `now_ms` on.
    #[must_use]
    pub fn new(count: usize, seed: u64, now_ms: i64) -> Self {
        let mut chains = vec![
            ("btc", Ledger::seeded_bitcoin(Network::Bitcoin, seed, count)),
            ("bsc", Ledger::seeded_bsc(seed, count)),
            ("sol", Ledger::seeded_solana(seed, count)),
        ];
        let mut world = World::new();
        let paces = [BTC_BLOCK_MS, BSC_BLOCK_MS, SOL_SLOT_MS];
        for ((name, seeded), block_ms) in chains.iter_mut().zip(paces) {
            let blocks = seeded.ledger.blocks_mut();
            blocks.since_ms = now_ms;
            blocks.block_ms = block_ms;
            world = world.with_ledger(name, seeded.ledger.clone());
        }
        let bscscan = Host {
            api_key: Some(API_KEY.to_owned()),
            ..Host::new(HostKind::Etherscan, "bsc")
        };
        let world = world
            .with_host("blockstream", HostKind::Esplora, "btc")
            .with_host("mempool", HostKind::Mempool, "btc")
            .with_host("bsc-a", HostKind::Evm, "bsc")
            .with_host("bsc-b", HostKind::Evm, "bsc")
            .with("bscscan", bscscan)
            .with_host("sol-a", HostKind::Solana, "sol")
            .with_host("sol-b", HostKind::Solana, "sol");
        Self { world, chains }
    }

    /// The same with failing hosts: each chain's first one fails in another way, none for ever
    /// but `bsc-a`.
    #[must_use]
    pub fn with_faults(mut self) -> Self {
        let body = super::BodyForm::Html;
        let retry_after = RetryAfter::Seconds(2);
        for fault in [
            Fault::at("bsc-a", Kind::Status { code: 503, body }),
            Fault::at("blockstream", Kind::RateLimit { retry_after }).nth(20..=22),
            Fault::at("sol-a", Kind::Short)
                .on("getMultipleAccounts")
                .nth(1..=1),
            Fault::at("sol-a", Kind::Truncated)
                .on("getMultipleAccounts")
                .nth(2..=2),
        ] {
            self.world.faults.add(fault);
        }
        self
    }

    /// Writes `btc.csv`, `bsc.csv`, `sol.csv`, `bscscan.key`, `scanhost.toml` and `expected.json`
    /// into a folder, which is made when it is not there.
    ///
    /// `expected.json` has one object per line: chain, address, asset, amount.
    ///
    /// # Errors
    ///
    /// The file that could not be written.
    pub fn write_to(&self, folder: &Path, base_url: &str) -> Result<(), DemoError> {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| DemoError::Write { path, source })
        };
        fs::create_dir_all(folder).map_err(|source| DemoError::Write {
            path: folder.to_owned(),
            source,
        })?;
        let mut expected = String::new();
        for (chain, seeded) in &self.chains {
            let mut csv = "address,index\n".to_owned();
            for (index, address) in seeded.addresses.iter().enumerate() {
                writeln!(csv, "{address},{index}").expect("a string takes all");
                for asset in &seeded.assets {
                    let (symbol, amount) = (&asset.symbol, seeded.amount(index, &asset.symbol));
                    writeln!(
                        expected,
                        r#"{{"chain":"{chain}","address":"{address}","asset":"{symbol}","amount":"{amount}"}}"#
                    )
                    .expect("a string takes all");
                }
            }
            write(&format!("{chain}.csv"), &csv)?;
        }
        write("expected.json", &expected)?;
        write("bscscan.key", API_KEY)?;
        write("scanhost.toml", &self.config(base_url))
    }

    fn config(&self, base_url: &str) -> String {
        let pools = [
            ("btc", &["blockstream", "mempool"][..]),
            ("bsc", &["bsc-a", "bsc-b", "bscscan"]),
            ("sol", &["sol-a", "sol-b"]),
        ];
        let mut text =
            "# Written by the upstream simulator.\n[store]\nurl = \"sqlite://scanhost.db\"\n"
                .to_owned();
        for ((chain, seeded), (_, pool)) in self.chains.iter().zip(pools) {
            let identity = seeded.ledger.identity();
            let commitment = match *chain {
                "btc" => "confirmed",
                "bsc" => "latest",
                _ => "finalized",
            };
            let breaker = format!("[chains.{chain}.breaker]\nfailures = 3\ncooldown = \"5s\"\n");
            write!(
                text,
                "\n[chains.{chain}]\nnetwork = \"mainnet\"\nidentity = \"{identity}\"\npool = {pool:?}\ncommitment = \"{commitment}\"\n{breaker}"
            )
            .expect("a string takes all");
            for asset in &seeded.assets {
                let contract = asset.contract.as_ref();
                let contract = contract.map(|contract| format!("contract = \"{contract}\"\n"));
                write!(
                    text,
                    "[[chains.{chain}.assets]]\nsymbol = \"{}\"\n{}decimals = {}\n",
                    asset.symbol,
                    contract.unwrap_or_default(),
                    asset.decimals
                )
                .expect("a string takes all");
            }
            write!(
                text,
                "[[chains.{chain}.addresses]]\nfile = \"{chain}.csv\"\n"
            )
            .expect("a string takes all");
        }
        for (name, host) in self.world.hosts() {
            let plugin = match host.kind {
                HostKind::Esplora => "blockstream",
                HostKind::Mempool => "mempool",
                HostKind::Etherscan => "bscscan",
                HostKind::Evm => "bsc-rpc",
                HostKind::Solana => "solana-rpc",
            };
            let endpoint = format!("{base_url}/{name}{}", host.base_path());
            let key = host
                .api_key
                .as_ref()
                .map(|_| "api_key = { file = \"bscscan.key\" }\n");
            write!(
                text,
                "\n[providers.{name}]\nplugin = \"{plugin}\"\nendpoint = \"{endpoint}\"\ntimeout = \"5s\"\n{}",
                key.unwrap_or_default()
            )
            .expect("a string takes all");
        }
        text
    }
}

// === impl World ===

impl World {
    /// Reads a world from a JSON file: `{"ledgers": {NAME: …}, "hosts": {NAME: …}, "faults": […]}`.
    ///
    /// A ledger is `{"chain": "bitcoin" | "evm" | "solana", …}` with told balances, or
    /// `{"chain": "seeded_bitcoin" | "seeded_bsc" | "seeded_solana", "seed": 7, "count": 100}`.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, DemoError> {
        let at = || path.to_owned();
        let text = fs::read(path).map_err(|source| DemoError::Read { path: at(), source })?;
        let told: ToldWorld = serde_json::from_slice(&text)
            .map_err(|source| DemoError::Parse { path: at(), source })?;
        let mut world = Self::new();
        for (name, ledger) in told.ledgers {
            world = world.with_ledger(&name, ledger.ledger()?);
        }
        for (name, host) in told.hosts {
            if !world.serves(&host) {
                let ledger = host.ledger;
                return Err(DemoError::NoLedger { host: name, ledger });
            }
            world = world.with(&name, host);
        }
        for fault in told.faults {
            world.faults.add(fault);
        }
        Ok(world)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldWorld {
    ledgers: BTreeMap<String, ToldLedger>,
    hosts: BTreeMap<String, Host>,
    #[serde(default)]
    faults: Vec<Fault>,
}

/// Address to amount as decimal text.
type Balances = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(tag = "chain", rename_all = "snake_case", deny_unknown_fields)]
enum ToldLedger {
    Bitcoin {
        /// `bitcoin`, `testnet`, `testnet4`, `signet` or `regtest`.
        network: String,
        height: u64,
        #[serde(default)]
        balances: Balances,
    },
    Evm {
        chain_id: u64,
        symbol: String,
        height: u64,
        #[serde(default = "yes")]
        multicall: bool,
        #[serde(default)]
        balances: Balances,
        #[serde(default)]
        tokens: BTreeMap<String, ToldToken>,
    },
    Solana {
        #[serde(default = "mainnet")]
        genesis: String,
        height: u64,
        #[serde(default)]
        balances: Balances,
        #[serde(default)]
        tokens: BTreeMap<String, ToldToken>,
    },
    SeededBitcoin {
        seed: u64,
        count: usize,
    },
    SeededBsc {
        seed: u64,
        count: usize,
    },
    SeededSolana {
        seed: u64,
        count: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldToken {
    symbol: String,
    decimals: u8,
    /// Solana: whether the mint is of Token-2022.
    #[serde(default)]
    token_2022: bool,
    #[serde(default)]
    balances: Balances,
}

fn yes() -> bool {
    true
}

fn mainnet() -> String {
    SolanaLedger::MAINNET_GENESIS.to_owned()
}

fn read<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, DemoError> {
    text.parse().map_err(|_| DemoError::Value {
        text: text.to_owned(),
        what,
    })
}

// === impl ToldLedger ===

impl ToldLedger {
    fn ledger(self) -> Result<Ledger, DemoError> {
        Ok(match self {
            Self::Bitcoin {
                network,
                height,
                balances,
            } => {
                let mut ledger = BitcoinLedger::new(read(&network, "Bitcoin network")?, height);
                for (address, sats) in balances {
                    ledger.set_confirmed(&address, read(&sats, "amount in satoshis")?);
                }
                ledger.into()
            }
            Self::Evm {
                chain_id,
                symbol,
                height,
                multicall,
                balances,
                tokens,
            } => {
                let mut ledger = EvmLedger::new(chain_id, &symbol, height);
                ledger.multicall = multicall;
                for (address, wei) in balances {
                    let address: Address = read(&address, "EVM address")?;
                    let wei: U256 = read(&wei, "amount in wei")?;
                    ledger.native.insert(address, wei);
                }
                for (contract, told) in tokens {
                    let contract = read(&contract, "EVM address")?;
                    let token = ledger.add_token(contract, &told.symbol, told.decimals);
                    for (address, amount) in told.balances {
                        let address: Address = read(&address, "EVM address")?;
                        token.balances.insert(address, read(&amount, "amount")?);
                    }
                }
                ledger.into()
            }
            Self::Solana {
                genesis,
                height,
                balances,
                tokens,
            } => {
                let mut ledger = SolanaLedger::new(&genesis, height);
                for (wallet, lamports) in balances {
                    let wallet: Pubkey = read(&wallet, "Solana address")?;
                    ledger
                        .lamports
                        .insert(wallet, read(&lamports, "amount in lamports")?);
                }
                for (mint, told) in tokens {
                    let mint: Pubkey = read(&mint, "Solana address")?;
                    let program = if told.token_2022 {
                        TOKEN_2022_PROGRAM
                    } else {
                        TOKEN_PROGRAM
                    };
                    ledger.add_mint(mint, &told.symbol, told.decimals, program);
                    for (wallet, amount) in told.balances {
                        let wallet = read(&wallet, "Solana address")?;
                        ledger.set_token(wallet, mint, read(&amount, "amount")?);
                    }
                }
                ledger.into()
            }
            Self::SeededBitcoin { seed, count } => {
                Ledger::seeded_bitcoin(Network::Bitcoin, seed, count).ledger
            }
            Self::SeededBsc { seed, count } => Ledger::seeded_bsc(seed, count).ledger,
            Self::SeededSolana { seed, count } => Ledger::seeded_solana(seed, count).ledger,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Request;

    #[test]
    fn a_demo_writes_what_its_hosts_answer() {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = Demo::new(10, 3, 0);
        demo.write_to(folder.path(), "http://127.0.0.1:9").unwrap();
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let config = text("scanhost.toml");
        assert!(config.contains("pool = [\"bsc-a\", \"bsc-b\", \"bscscan\"]"));
        assert!(config.contains("endpoint = \"http://127.0.0.1:9/bscscan/v2/api\""));
        let list = text("bsc.csv");
        assert_eq!(list.lines().count(), 11);

        let expected = text("expected.json");
        let cells = expected
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let cells: Vec<serde_json::Value> = cells.collect();
        assert_eq!(cells.len(), 10 * (1 + 3 + 3));
        let mut native = cells.iter().filter(|cell| cell["asset"] == "BNB");
        let all_answered = native.all(|cell| {
            let [address, amount] = ["address", "amount"].map(|key| cell[key].as_str().unwrap());
            let target = format!(
                "/bscscan/v2/api?chainid=56&apikey={API_KEY}&module=account&action=balance&address={address}"
            );
            let answer = demo.world.handle(&Request::get(target), 0).body_text();
            answer.contains(&format!(r#""result":"{amount}""#))
        });
        assert!(all_answered);
    }

    #[test]
    fn a_demo_with_faults_has_a_host_that_is_down() {
        let mut demo = Demo::new(1, 3, 0).with_faults();
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
        let mut status = |host: &str| demo.world.handle(&Request::post_json(host, body), 0).status;
        assert_eq!((status("/bsc-a"), status("/bsc-b")), (503, 200));
    }

    #[track_caller]
    fn read_world(json: &str) -> Result<World, DemoError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("world.json");
        fs::write(&path, json).unwrap();
        World::read(&path)
    }

    #[test]
    fn a_world_is_read_from_json() {
        let world = read_world(
            r#"{"ledgers": {
                "btc": {"chain": "bitcoin", "network": "testnet4", "height": 5},
                "bsc": {"chain": "evm", "chain_id": 97, "symbol": "tBNB", "height": 9,
                    "tokens": {"0x55d398326f99059fF775485246999027B3197955": {"symbol": "USDT",
                        "decimals": 6, "balances": {"0xddBd2B932c763bA5b1b7AE3B362eac3e8d40121A": "7"}}}},
                "sol": {"chain": "seeded_solana", "seed": 1, "count": 2}},
            "hosts": {"a": {"kind": "evm", "ledger": "bsc", "batch_max": 3}},
            "faults": [{"when": {"host": "a"}, "what": {"kind": "hang"}}]}"#,
        );
        let world = world.unwrap();
        let holder = "0xddBd2B932c763bA5b1b7AE3B362eac3e8d40121A";
        assert_eq!(
            world.ledger("bsc").unwrap().amount_of(holder, "USDT"),
            Some(U256::from(7))
        );
        assert_eq!(world.faults.list().len(), 1);
        assert_eq!(world.hosts().next().unwrap().1.batch_max, 3);
    }

    #[test]
    fn a_world_that_does_not_fit_together_is_refused_with_the_reason() {
        #[track_caller]
        fn check(json: &str, expected: &str) {
            let error = read_world(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        check("[", "failed to parse the world in");
        let host = r#"{"ledgers": {}, "hosts": {"a": {"kind": "evm", "ledger": "x"}}}"#;
        check(
            host,
            "failed to set up host `a`: there is no ledger `x` of its kind",
        );
        let value = r#"{"ledgers": {"s": {"chain": "solana", "height": 1,
            "balances": {"abc": "1"}}}, "hosts": {}}"#;
        check(value, "`abc` is no Solana address");
    }
}
