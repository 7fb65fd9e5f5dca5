//! Ledgers made from a seed: valid addresses, and amounts of every size.

use alloy::primitives::{Address, U256, address};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Network, WitnessProgram, WitnessVersion};
use solana_pubkey::Pubkey;

use super::{
    BitcoinLedger, EvmLedger, Ledger, SolanaLedger, Stats, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, Tally,
};

/// A ledger with the list of its addresses and assets.
#[derive(Clone, Debug)]
pub struct Seeded {
    /// The ledger.
    pub ledger: Ledger,
    /// All different, valid, in the order of their making. About a fifth hold nothing.
    pub addresses: Vec<String>,
    /// The native coin first.
    pub assets: Vec<SeededAsset>,
}

/// An asset of a seeded ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeededAsset {
    /// Symbol.
    pub symbol: String,
    /// Contract or mint; `None` is the native coin.
    pub contract: Option<String>,
    /// Decimals.
    pub decimals: u8,
}

const BSC_USDT: Address = address!("55d398326f99059fF775485246999027B3197955");
const BSC_USDC: Address = address!("8AC76a51cc950d9822D68b83fE1Ad97B32Cd580d");
const SOL_USDC: Pubkey = Pubkey::from_str_const("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");
const SOL_USDT: Pubkey = Pubkey::from_str_const("Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB");
const SOL_PYUSD: Pubkey = Pubkey::from_str_const("2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo");

// === impl Ledger ===

impl Ledger {
    /// A Bitcoin ledger of `count` addresses of all four common types.
    ///
    /// A fifth each: never used, dust, spent from, with a mempool part of either sign, and huge.
    #[must_use]
    pub fn seeded_bitcoin(network: Network, seed: u64, count: usize) -> Seeded {
        let mut ledger = BitcoinLedger::new(network, 870_000);
        let addresses = (0..count).map(|index| {
            let address = bitcoin_address(network, seed, index);
            let stats = bitcoin_stats(&bytes("sats", seed, index), index);
            if stats != Stats::default() {
                ledger.set(&address, stats);
            }
            address
        });
        Seeded {
            addresses: addresses.collect(),
            ledger: ledger.into(),
            assets: vec![SeededAsset::new("BTC", None, 8)],
        }
    }

    /// A BNB Smart Chain ledger (chain id 56) of `count` addresses with USDT and USDC.
    ///
    /// A fifth each per asset: zero, one unit, small, middle, and above 2^64 base units.
    #[must_use]
    pub fn seeded_bsc(seed: u64, count: usize) -> Seeded {
        Self::seeded_evm(56, "BNB", seed, count)
    }

    /// As [`Ledger::seeded_bsc`], for any EVM chain; the tokens have the same contracts.
    #[must_use]
    pub fn seeded_evm(chain_id: u64, symbol: &str, seed: u64, count: usize) -> Seeded {
        let mut ledger = EvmLedger::new(chain_id, symbol, 68_000_000);
        let tokens = [("USDT", BSC_USDT), ("USDC", BSC_USDC)];
        for (symbol, contract) in tokens {
            ledger.add_token(contract, symbol, 18);
        }
        let mut addresses = Vec::with_capacity(count);
        for index in 0..count {
            let address = Address::from_slice(&bytes("evm", seed, index)[..20]);
            let amount = |what| wei(&bytes(what, seed, index));
            if let Some(wei) = amount("wei") {
                ledger.native.insert(address, wei);
            }
            for (symbol, contract) in tokens {
                let token = ledger.tokens.get_mut(&contract);
                if let (Some(token), Some(amount)) = (token, amount(symbol)) {
                    token.balances.insert(address, amount);
                }
            }
            addresses.push(address.to_checksum(None));
        }
        let mut assets = vec![SeededAsset::new(symbol, None, 18)];
        let tokens = tokens.map(|(symbol, contract)| {
            SeededAsset::new(symbol, Some(&contract.to_checksum(None)), 18)
        });
        assets.extend(tokens);
        Seeded {
            ledger: ledger.into(),
            addresses,
            assets,
        }
    }

    /// A Solana mainnet ledger of `count` wallets with USDC and USDT (legacy) and PYUSD
    /// (Token-2022).
    ///
    /// A fifth each per asset: absent, one unit, small, middle, huge; a token account of zero
    /// exists for some.
    #[must_use]
    pub fn seeded_solana(seed: u64, count: usize) -> Seeded {
        let mut ledger = SolanaLedger::new(SolanaLedger::MAINNET_GENESIS, 335_501_794);
        let mints = [
            ("USDC", SOL_USDC, TOKEN_PROGRAM),
            ("USDT", SOL_USDT, TOKEN_PROGRAM),
            ("PYUSD", SOL_PYUSD, TOKEN_2022_PROGRAM),
        ];
        for (symbol, mint, program) in mints {
            ledger.add_mint(mint, symbol, 6, program);
        }
        let mut addresses = Vec::with_capacity(count);
        for index in 0..count {
            let wallet = wallet(seed, index);
            if let Some(lamports) = units(&bytes("lamports", seed, index)) {
                ledger.lamports.insert(wallet, lamports);
            }
            for (symbol, mint, _) in mints {
                let bytes = bytes(symbol, seed, index);
                let empty_account = bytes[1].is_multiple_of(4).then_some(0);
                if let Some(amount) = units(&bytes).or(empty_account) {
                    ledger.set_token(wallet, mint, amount);
                }
            }
            addresses.push(wallet.to_string());
        }
        let mut assets = vec![SeededAsset::new("SOL", None, 9)];
        let mints =
            mints.map(|(symbol, mint, _)| SeededAsset::new(symbol, Some(&mint.to_string()), 6));
        assets.extend(mints);
        Seeded {
            ledger: ledger.into(),
            addresses,
            assets,
        }
    }
}

// === impl Seeded ===

impl Seeded {
    /// What the address at `index` holds of `asset` (a symbol or a contract).
    ///
    /// # Panics
    ///
    /// When there is no such address or asset: a test that asks for it has a mistake.
    #[must_use]
    pub fn amount(&self, index: usize, asset: &str) -> U256 {
        let amount = self.ledger.amount_of(&self.addresses[index], asset);
        amount.unwrap_or_else(|| panic!("the ledger has no asset `{asset}`"))
    }
}

impl SeededAsset {
    fn new(symbol: &str, contract: Option<&str>, decimals: u8) -> Self {
        Self {
            symbol: symbol.to_owned(),
            contract: contract.map(str::to_owned),
            decimals,
        }
    }
}

fn bytes(what: &str, seed: u64, index: usize) -> [u8; 32] {
    sha256::Hash::hash(format!("{what} {seed} {index}").as_bytes()).to_byte_array()
}

fn number(bytes: &[u8; 32]) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *bytes;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// `None` is nothing at all; the largest fifth exceeds 2^64.
fn wei(bytes: &[u8; 32]) -> Option<U256> {
    let number = number(bytes);
    match bytes[0] % 5 {
        0 => None,
        1 => Some(U256::from(1)),
        2 => Some(U256::from(number % 1_000_000)),
        3 => Some(U256::from(number)),
        _ => Some((U256::from(number) << 32) + (U256::from(1) << 64)),
    }
}

/// `None` is an account that does not exist.
fn units(bytes: &[u8; 32]) -> Option<u64> {
    let number = number(bytes);
    match bytes[0] % 5 {
        0 => None,
        1 => Some(1),
        2 => Some(1 + number % 1_000_000),
        3 => Some(1 + number % 1_000_000_000_000),
        // Above 2^53, where a float loses units.
        _ => Some((1 << 54) + number % (1 << 56)),
    }
}

fn bitcoin_stats(bytes: &[u8; 32], index: usize) -> Stats {
    let number = number(bytes);
    let funded = |count: u64, sum: u64| Tally {
        funded_txo_count: count,
        funded_txo_sum: sum,
        tx_count: count,
        ..Tally::default()
    };
    let sats = 1 + number % 5_000_000_000;
    match index % 5 {
        0 => Stats::default(),
        1 => Stats::confirmed_only(1 + number % 546),
        2 => Stats {
            chain: Tally {
                spent_txo_count: 1,
                spent_txo_sum: sats / 2,
                tx_count: 3,
                ..funded(2, sats)
            },
            mempool: Tally::default(),
        },
        3 => {
            let chain = funded(2, sats);
            let mempool = if number.is_multiple_of(2) {
                funded(1, 1 + sats / 3)
            } else {
                Tally {
                    spent_txo_count: 1,
                    spent_txo_sum: sats / 3,
                    tx_count: 1,
                    ..Tally::default()
                }
            };
            Stats { chain, mempool }
        }
        _ => Stats::confirmed_only(2_000_000_000_000_000 - number % 1_000_000_000),
    }
}

fn bitcoin_address(network: Network, seed: u64, index: usize) -> String {
    let bytes = bytes("btc", seed, index);
    let hash: [u8; 20] = std::array::from_fn(|at| bytes[at]);
    let witness = |version, program: &[u8]| {
        let program = WitnessProgram::new(version, program).expect("20 or 32 bytes");
        bitcoin::Address::from_witness_program(program, network)
    };
    let address = match bytes[31] % 4 {
        0 => bitcoin::Address::p2pkh(bitcoin::PubkeyHash::from_byte_array(hash), network),
        1 => {
            let hash = bitcoin::ScriptHash::from_byte_array(hash);
            bitcoin::Address::p2sh_from_hash(hash, network)
        }
        2 => witness(WitnessVersion::V0, &hash),
        _ => witness(WitnessVersion::V1, &bytes),
    };
    address.to_string()
}

/// The first of a row of keys that is a point on the curve, as a wallet's key is.
fn wallet(seed: u64, index: usize) -> Pubkey {
    let mut keys = (0..).map(|attempt| {
        let what = format!("sol {attempt}");
        Pubkey::new_from_array(bytes(&what, seed, index))
    });
    keys.find(Pubkey::is_on_curve)
        .expect("every second key is on the curve")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::str::FromStr;

    use super::*;

    #[track_caller]
    fn check_mix(seeded: &Seeded, huge: U256) {
        let unique: HashSet<_> = seeded.addresses.iter().collect();
        assert_eq!(unique.len(), 100);
        for asset in &seeded.assets {
            let amounts = (0..100).map(|index| seeded.amount(index, &asset.symbol));
            let amounts: Vec<_> = amounts.collect();
            assert!(amounts.contains(&U256::ZERO), "{asset:?}");
            assert!(amounts.iter().any(|amount| *amount > huge), "{asset:?}");
            let by_contract = asset.contract.as_deref();
            for (index, amount) in amounts.iter().enumerate() {
                let key = by_contract.unwrap_or(&asset.symbol);
                assert_eq!(seeded.amount(index, key), *amount);
            }
        }
    }

    #[test]
    fn a_seeded_ledger_has_zeros_and_huge_amounts_of_each_asset() {
        let beyond_float = U256::from(1_u64 << 53);
        check_mix(&Ledger::seeded_bsc(7, 100), U256::from(u64::MAX));
        check_mix(&Ledger::seeded_solana(7, 100), beyond_float);
        let bitcoin = Ledger::seeded_bitcoin(Network::Bitcoin, 7, 100);
        check_mix(&bitcoin, U256::from(1_000_000_000_000_000_u64));
        let Ledger::Bitcoin(ledger) = &bitcoin.ledger else {
            panic!("a Bitcoin ledger");
        };
        assert!(ledger.addresses().any(|(_, stats)| stats.pending() < 0));
    }

    #[test]
    fn the_same_seed_makes_the_same_ledger() {
        let [one, two, other] = [1, 1, 2].map(|seed| Ledger::seeded_bsc(seed, 20));
        assert_eq!(one.addresses, two.addresses);
        assert_ne!(one.addresses, other.addresses);
        assert_eq!(one.amount(13, "USDT"), two.amount(13, "USDT"));
    }

    #[test]
    fn seeded_bitcoin_addresses_are_of_their_network() {
        for network in [Network::Bitcoin, Network::Testnet, Network::Regtest] {
            for address in Ledger::seeded_bitcoin(network, 3, 40).addresses {
                let address = bitcoin::Address::from_str(&address).unwrap();
                assert!(address.is_valid_for_network(network));
            }
        }
    }
}
