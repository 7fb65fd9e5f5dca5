//! What each status with each kind of body counts as, on every way that calls travel.

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::Kit;
use scanhost_plugin_api::test_kit::matrix::{Api, check};
use serde_json::{Value, json};

use super::node::{ALICE, BOB, NOBODY, Node, USDT, error};
use crate::provider::BscRpc;

fn check_with(options: &Value) {
    let api = Api {
        error: error(&json!(0), -32603, "internal error").to_string(),
        rate_notice: error(&json!(0), -32005, "limit exceeded").to_string(),
        valid: Box::new(|request: &Request| Node::default().answer(&request.body).1.into_bytes()),
        error_over_status: true,
        forbidden_is_rate: false,
    };
    let assets = [None, Some(USDT)].map(|contract| Asset {
        contract,
        decimals: 18,
    });
    let of = |addresses: &[&str], cells: &[(u32, u16)]| {
        Balances::new(addresses, &assets, cells, Commitment::Latest)
    };
    let everyone = [ALICE, BOB, NOBODY];
    let requests = [
        of(&everyone, &[(0, 0)]),
        of(&everyone, &[(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]),
    ];
    let open = |kit: &Kit| -> BscRpc { kit.open("mainnet", Some("56"), options.clone()).unwrap() };
    check(api, open, &requests);
}

#[test]
fn only_faults_of_the_node_count_as_its_faults_in_one_call() {
    check_with(&json!({}));
}

#[test]
fn only_faults_of_the_node_count_as_its_faults_in_batches() {
    check_with(&json!({"multicall": "off"}));
}

#[test]
fn only_faults_of_the_node_count_as_its_faults_one_by_one() {
    check_with(&json!({"multicall": "off", "rpc_batch": 1}));
}
