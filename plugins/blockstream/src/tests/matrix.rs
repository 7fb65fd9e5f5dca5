//! What each status with each kind of body counts as.

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::matrix::{Api, check};
use serde_json::json;

use crate::Blockstream;

const ADDRESSES: [&str; 3] = [
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "3P14159f73E4gFr7JterCCQh9QjiTjiZrG",
];

fn valid(request: &Request) -> Vec<u8> {
    let stats = json!({
        "funded_txo_count": 1, "funded_txo_sum": 7, "spent_txo_count": 0, "spent_txo_sum": 0,
        "tx_count": 1,
    });
    match request.path.strip_prefix("/address/") {
        Some(address) => {
            let answer = json!({"address": address, "chain_stats": stats, "mempool_stats": stats});
            answer.to_string().into_bytes()
        }
        // The tip, which no amount hangs on.
        None => b"923456".to_vec(),
    }
}

#[test]
fn only_faults_of_the_service_count_as_its_faults() {
    let api = Api {
        error: "Internal Server Error".to_owned(),
        rate_notice: r#"{"error":"Too Many Requests","message":"Blockstream Explorer API NOTICE"}"#
            .to_owned(),
        valid: Box::new(valid),
        error_over_status: false,
        forbidden_is_rate: false,
    };
    let native = Asset {
        contract: None,
        decimals: 8,
    };
    let of = |addresses: &[&str], cells: &[(u32, u16)]| {
        Balances::new(addresses, &[native], cells, Commitment::Confirmed)
    };
    let requests = [
        of(&ADDRESSES[..1], &[(0, 0)]),
        of(&ADDRESSES, &[(0, 0), (1, 0), (2, 0)]),
    ];
    let open = |kit: &scanhost_plugin_api::test_kit::Kit| -> Blockstream {
        kit.open("mainnet", None, json!({})).unwrap()
    };
    check(api, open, &requests);
}
