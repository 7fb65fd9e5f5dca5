//! Addresses, and what the host relies on.

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::Sample;
use serde_json::json;

use crate::{Litecoin, address};

const GENESIS: &str = "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2";
const TIP_HASH: &str = "f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80";
/// The program of BIP 173's examples, and a script's hash.
const SEGWIT: &str = "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9";
const SCRIPT_HASH: [u8; 20] = [7; 20];

fn base58(version: u8) -> String {
    let bytes: Vec<u8> = [version].into_iter().chain(SCRIPT_HASH).collect();
    bitcoin::base58::encode_check(&bytes)
}

fn canonical(address: &str, network: &str) -> Result<String, Error> {
    address::canonical(address, address::network(network)?)
}

#[test]
fn an_address_has_one_canonical_form() {
    for (given, expected) in [
        (SEGWIT.to_owned(), SEGWIT.to_owned()),
        (SEGWIT.to_uppercase(), SEGWIT.to_owned()),
        (base58(48), base58(48)),
        (base58(50), base58(50)),
        // As old wallets show a script's address.
        (base58(5), base58(50)),
    ] {
        assert_eq!(canonical(&given, "mainnet").ok(), Some(expected), "{given}");
    }
    assert!(base58(48).starts_with('L') && base58(50).starts_with('M'));
    assert_eq!(canonical(&base58(196), "testnet").ok(), Some(base58(58)));
    assert_eq!(canonical(&base58(111), "testnet").ok(), Some(base58(111)));
}

#[test]
fn what_is_of_another_network_or_none_is_invalid() {
    let mut mistyped = SEGWIT.to_owned();
    mistyped.replace_range(mistyped.len() - 1.., "8");
    for bad in [
        "",
        "L",
        &mistyped,
        // Bitcoin's; a test network's; a hidden one, which no balance is told of.
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        &base58(111),
        "ltcmweb1qqd8w2",
    ] {
        let kind = canonical(bad, "mainnet").map_err(|error| error.kind);
        assert_eq!(kind, Err(ErrorKind::InvalidAddress), "{bad}");
    }
    assert_eq!(
        canonical(SEGWIT, "signet").map_err(|error| error.kind),
        Err(ErrorKind::Unsupported)
    );
}

/// Paths as an Esplora host has them, over balances that are all the same.
fn sample() -> Sample {
    Sample::new("mainnet")
        .identity(GENESIS)
        .options(json!({"batch": 25}))
        .addresses([SEGWIT.to_owned(), base58(48), base58(50)])
        .more_addresses(|number| {
            let mut bytes = vec![48];
            bytes.extend(number.to_le_bytes());
            bytes.resize(21, 1);
            bitcoin::base58::encode_check(&bytes)
        })
        .invalid([
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        ])
        .upstream(|request| {
            let stats = |funded: u64| {
                json!({
                    "funded_txo_count": 1, "funded_txo_sum": funded, "spent_txo_count": 0,
                    "spent_txo_sum": 0, "tx_count": 1,
                })
            };
            let (status, body) = match request.path.as_str() {
                "/block-height/0" => (200, GENESIS.to_owned()),
                "/blocks/tip/height" => (200, "2900000".to_owned()),
                "/blocks/tip/hash" | "/block-height/2900000" => (200, TIP_HASH.to_owned()),
                path => match path.strip_prefix("/address/") {
                    Some(address) if canonical(address, "mainnet").is_ok() => {
                        let body = json!({
                            "address": address, "chain_stats": stats(150), "mempool_stats": stats(0),
                        });
                        (200, body.to_string())
                    }
                    _ => (400, "Invalid Litecoin address".to_owned()),
                },
            };
            Ok(Response {
                status,
                headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
                body: body.into_bytes(),
            })
        })
}

mod conformance {
    scanhost_plugin_api::conformance! {
        Provider = super::Litecoin,
        manifest = "plugin.json",
        sample = super::sample(),
    }
}
