//! Worlds told in a JSON file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use alloy::primitives::{Address, U256};
use bitcoin::Network;
use serde::Deserialize;
use solana_pubkey::Pubkey;

use super::World;
use crate::upstream::{
    BitcoinLedger, EvmLedger, Fault, Host, Ledger, SolanaLedger, TOKEN_2022_PROGRAM, TOKEN_PROGRAM,
};

/// What keeps a world from being read.
#[derive(Debug, thiserror::Error)]
pub enum ReadWorldError {
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
    pub fn read(path: &Path) -> Result<Self, ReadWorldError> {
        let at = || path.to_owned();
        let text = fs::read(path).map_err(|source| ReadWorldError::Read { path: at(), source })?;
        let told: ToldWorld = serde_json::from_slice(&text)
            .map_err(|source| ReadWorldError::Parse { path: at(), source })?;
        let mut world = Self::new();
        for (name, ledger) in told.ledgers {
            world = world.with_ledger(&name, ledger.ledger()?);
        }
        for (name, host) in told.hosts {
            if !world.serves(&host) {
                let ledger = host.ledger;
                return Err(ReadWorldError::NoLedger { host: name, ledger });
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

fn read<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, ReadWorldError> {
    text.parse().map_err(|_| ReadWorldError::Value {
        text: text.to_owned(),
        what,
    })
}

// === impl ToldLedger ===

impl ToldLedger {
    fn ledger(self) -> Result<Ledger, ReadWorldError> {
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

    #[track_caller]
    fn read_world(json: &str) -> Result<World, ReadWorldError> {
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
