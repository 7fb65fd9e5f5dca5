//! What each status with each kind of body counts as.

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::Kit;
use scanhost_plugin_api::test_kit::matrix::{Api, check};
use serde_json::json;

use super::{ALICE, BOB, NOBODY, USDT, explorer, notok};
use crate::provider::BscScan;

#[test]
fn only_faults_of_the_explorer_count_as_its_faults() {
    let api = Api {
        error: notok("Error! Something is broken"),
        rate_notice: notok("Max calls per sec rate limit reached (3/sec)"),
        valid: Box::new(|request: &Request| explorer(&request.path).1.into_bytes()),
        error_over_status: false,
        forbidden_is_rate: true,
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
        of(&everyone, &[(0, 1)]),
        of(&everyone, &[(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]),
    ];
    let open = |kit: &Kit| -> BscScan { kit.open("mainnet", Some("56"), json!({})).unwrap() };
    check(api, open, &requests);
}
