//! A service in good order, for the conformance checks of the plugins.

use std::str::FromStr as _;

use bitcoin::address::NetworkUnchecked;
use bitcoin::hashes::Hash as _;
use bitcoin::{Address, Network, PubkeyHash};
use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::Sample;
use serde_json::json;

const GENESIS: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
const TIP: u64 = 923_456;
const TIP_HASH: &str = "00000000000000000001a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7";

/// Mainnet, with calls of several addresses.
#[must_use]
pub fn sample() -> Sample {
    Sample::new("mainnet")
        .identity(GENESIS)
        .options(json!({"batch": 25}))
        .addresses([
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "3P14159f73E4gFr7JterCCQh9QjiTjiZrG",
        ])
        .more_addresses(|number| {
            let bytes = number.to_le_bytes();
            let hash = std::array::from_fn(|index| bytes.get(index).copied().unwrap_or(0));
            Address::p2pkh(PubkeyHash::from_byte_array(hash), Network::Bitcoin).to_string()
        })
        .invalid([
            // The last letter is another one; a test network's; another chain's.
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        ])
        .upstream(|request| Ok(answer(&request.path)))
}

fn answer(path: &str) -> Response {
    let say = |status: u16, body: String| Response {
        status,
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: body.into_bytes(),
    };
    match path {
        "/block-height/0" => say(200, GENESIS.to_owned()),
        "/blocks/tip/height" => say(200, TIP.to_string()),
        "/blocks/tip/hash" | "/block-height/923456" => say(200, TIP_HASH.to_owned()),
        _ => match path.strip_prefix("/address/") {
            Some(address) if is_address(address) => say(200, stats(address)),
            Some(_) => say(400, "Invalid Bitcoin address".to_owned()),
            None => say(404, "endpoint does not exist".to_owned()),
        },
    }
}

fn is_address(text: &str) -> bool {
    let parsed = Address::<NetworkUnchecked>::from_str(text);
    parsed.is_ok_and(|address| address.is_valid_for_network(Network::Bitcoin))
}

/// Different balances at different addresses, so that none can stand for another.
fn stats(address: &str) -> String {
    let sum = address.bytes().fold(100_000_u64, |sum, byte| {
        (sum * 31 + u64::from(byte)) % 1_000_000_000
    });
    let stats = json!({
        "address": address,
        "chain_stats": {
            "funded_txo_count": 2, "funded_txo_sum": sum + 50_000,
            "spent_txo_count": 1, "spent_txo_sum": 50_000, "tx_count": 3,
        },
        "mempool_stats": {
            "funded_txo_count": 1, "funded_txo_sum": 5_000,
            "spent_txo_count": 1, "spent_txo_sum": 20_000, "tx_count": 1,
        },
    });
    stats.to_string()
}
