//! What each status with each kind of body counts as.

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::Kit;
use scanhost_plugin_api::test_kit::matrix::{Api, check};
use serde_json::{Value, json};

use super::bench::{ALICE, BOB, Ledger, NOBODY, USDC, error};
use crate::provider::SolanaRpc;

fn check_with(options: &Value) {
    let told = |code, message: &str| {
        json!({"jsonrpc": "2.0", "id": 0, "error": error(code, message)}).to_string()
    };
    let valid = |request: &Request| {
        let request: Value = serde_json::from_slice(&request.body).unwrap();
        Ledger::new().answer(&request).to_string().into_bytes()
    };
    let api = Api {
        error: told(-32603, "Internal error"),
        rate_notice: told(429, "Too many requests for a specific RPC call"),
        valid: Box::new(valid),
        error_over_status: true,
        forbidden_is_rate: false,
    };
    let assets =
        [(None, 9), (Some(USDC), 6)].map(|(contract, decimals)| Asset { contract, decimals });
    let of = |cells: &[(u32, u16)]| {
        Balances::new(&[ALICE, BOB, NOBODY], &assets, cells, Commitment::Finalized)
    };
    let requests = [
        of(&[(0, 0)]),
        of(&[(0, 1)]),
        of(&[(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]),
    ];
    let open = |kit: &Kit| -> SolanaRpc { kit.open("mainnet", None, options.clone()).unwrap() };
    check(api, open, &requests);
}

#[test]
fn only_faults_of_the_node_count_as_its_faults() {
    check_with(&json!({}));
}

#[test]
fn only_faults_of_the_node_count_as_its_faults_when_accounts_are_summed() {
    check_with(&super::all());
}
