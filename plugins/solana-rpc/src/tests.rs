mod bench;
mod conformance;
mod faults;
mod matrix;
mod owned;
mod settings;
mod tokens;

use std::time::Duration;

use scanhost_plugin_api::__private::abi;
use serde_json::{Value, json};

use bench::{
    ALICE, Ask, BOB, Bench, Ledger, NOBODY, PYUSD, Read, TOKEN, USDC, associated, holding_data,
};

const SOL: (Option<&str>, u8) = (None, 9);
const USDC_6: (Option<&str>, u8) = (Some(USDC), 6);
const PYUSD_6: (Option<&str>, u8) = (Some(PYUSD), 6);
const SLOT: u64 = 335_501_794;
const MANY: &str = "getMultipleAccounts";
const OWNED: &str = "getTokenAccountsByOwner";

fn all() -> Value {
    json!({"token_accounts": "all"})
}

#[test]
fn coins_and_tokens_of_both_programs_come_in_one_request() {
    let bench = Bench::over(Ledger::new());
    let ask = Ask::new(&[ALICE, BOB, NOBODY], &[SOL, USDC_6, PYUSD_6]);
    let known = |amount| Read::Known(amount, SLOT);
    let expected: Vec<_> = [5_000_000_000, 7, 9, 1, 0, 0, 0, 0, 0].map(known).into();
    assert_eq!(bench.ask(&ask).unwrap(), expected);
    // The mints once, then the cells; later only the cells.
    let requests = bench.requests(MANY);
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0]["params"][0].as_array().unwrap().len(), 2);
    assert_eq!(requests[1]["params"][0].as_array().unwrap().len(), 9);
    let config = json!({
        "encoding": "base64", "commitment": "finalized", "dataSlice": {"offset": 0, "length": 109},
    });
    assert_eq!(requests[1]["params"][1], config);
    assert_eq!(bench.ask(&ask).unwrap(), expected);
    assert_eq!(bench.requests(MANY).len(), 3);
}

#[test]
fn a_documented_answer_is_read() {
    // Source: the example of getMultipleAccounts in QuickNode's documentation.
    let bench = Bench::new(json!({}), |_| {
        let body = r#"{"jsonrpc":"2.0","result":{"context":{"apiVersion":"2.1.21","slot":335501794},
            "value":[null,{"data":["","base64"],"executable":false,"lamports":2000000,
            "owner":"11111111111111111111111111111111","rentEpoch":18446744073709551615,"space":80}]},
            "id":0}"#;
        (200, vec![], body.to_owned())
    });
    let reads = bench.ask(&Ask::new(&[NOBODY, ALICE], &[SOL])).unwrap();
    assert_eq!(reads, [Read::Known(0, SLOT), Read::Known(2_000_000, SLOT)]);
}

#[test]
fn amounts_of_64_bits_are_exact() {
    let mut ledger = Ledger::new();
    ledger.at(ALICE).lamports = u64::MAX;
    ledger.at(&associated(ALICE, USDC, TOKEN)).data = holding_data(ALICE, USDC, u64::MAX);
    let bench = Bench::over(ledger);
    let reads = bench.ask(&Ask::new(&[ALICE], &[SOL, USDC_6])).unwrap();
    assert_eq!(
        reads,
        [Read::Known(u64::MAX, SLOT), Read::Known(u64::MAX, SLOT)]
    );
}

#[test]
fn commitments_have_their_names() {
    let bench = Bench::over(Ledger::new());
    for (commitment, name) in [
        (abi::Commitment::LATEST, "processed"),
        (abi::Commitment::CONFIRMED, "confirmed"),
        (abi::Commitment::FINALIZED, "finalized"),
    ] {
        let mut ask = Ask::new(&[ALICE], &[SOL]);
        ask.commitment = commitment;
        bench.ask(&ask).unwrap();
        let requests = bench.requests(MANY);
        assert_eq!(requests.last().unwrap()["params"][1]["commitment"], name);
    }
}

#[test]
fn a_node_that_takes_fewer_accounts_is_believed() {
    let mut ledger = Ledger::new();
    ledger.accounts_max = 5;
    let bench = Bench::over(ledger);
    let ask = Ask::new(&[ALICE, BOB, NOBODY], &[SOL, USDC_6, PYUSD_6]);
    let known = |amount| Read::Known(amount, SLOT);
    let expected: Vec<_> = [5_000_000_000, 7, 9, 1, 0, 0, 0, 0, 0].map(known).into();
    assert_eq!(bench.ask(&ask).unwrap(), expected);
    // Mints, the refused nine, five, four; then five and four; after an hour it may be another
    // node, and it is tried again.
    assert_eq!(bench.requests(MANY).len(), 4);
    assert_eq!(bench.ask(&ask).unwrap(), expected);
    assert_eq!(bench.requests(MANY).len(), 6);
    bench.advance(Duration::from_secs(3600));
    assert_eq!(bench.ask(&ask).unwrap(), expected);
    assert_eq!(bench.requests(MANY).len(), 9);
}
