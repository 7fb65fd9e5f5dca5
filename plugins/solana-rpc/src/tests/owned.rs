//! The option `token_accounts = "all"`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use scanhost_plugin_api::__private::abi::ErrorKind;
use serde_json::{Value, json};

use super::bench::{
    ALICE, Ask, BOB, Bench, GENESIS, Ledger, NOBODY, Read, TOKEN, USDC, error, holding_data, ok,
};
use super::{MANY, OWNED, PYUSD_6, SLOT, SOL, USDC_6, all};

#[test]
fn all_accounts_of_an_owner_are_summed() {
    let mut ledger = Ledger::new();
    ledger.put(GENESIS, TOKEN, 1, holding_data(ALICE, USDC, 30));
    let bench = Bench::with(all(), ledger);
    let ask = Ask::new(&[ALICE, NOBODY], &[SOL, USDC_6, PYUSD_6]);
    let known = |amount| Read::Known(amount, SLOT);
    let expected: Vec<_> = [5_000_000_000, 37, 9, 0, 0, 0].map(known).into();
    assert_eq!(bench.ask(&ask).unwrap(), expected);
    assert_eq!(
        (bench.requests(MANY).len(), bench.requests(OWNED).len()),
        (2, 4)
    );
}

#[test]
fn a_sum_with_one_odd_account_is_no_sum() {
    let check = |what: &str, spoil: fn(&mut Vec<Value>)| {
        let bench = Bench::spoilt(all(), OWNED, move |_, mut answer| {
            spoil(answer["result"]["value"].as_array_mut().unwrap());
            ok(&answer)
        });
        let reads = bench.ask(&Ask::new(&[ALICE], &[SOL, USDC_6])).unwrap();
        let odd = Read::Unknown(ErrorKind::MALFORMED);
        assert_eq!(reads, [Read::Known(5_000_000_000, SLOT), odd], "{what}");
    };
    check("twice the same", |value| value.push(value[0].clone()));
    check("no address", |value| value[0]["pubkey"] = Value::Null);
    check("no account", |value| value[0]["account"] = Value::Null);
    check("null", |value| value.push(Value::Null));
    check("another wallet's", |value| {
        let data = BASE64_STANDARD.encode(holding_data(BOB, USDC, 1));
        value[0]["account"]["data"][0] = data.into();
    });
    check("more than there can be", |value| {
        let data = BASE64_STANDARD.encode(holding_data(ALICE, USDC, u64::MAX));
        let mut second = value[0].clone();
        second["pubkey"] = GENESIS.into();
        second["account"]["data"][0] = data.into();
        value.push(second);
    });
}

#[test]
fn an_owner_that_fails_alone_leaves_the_others_known() {
    let refuse = |request: &Value, answer: Value| match request["params"][0] == ALICE {
        true => {
            let told = error(-32602, "Invalid param: could not find mint");
            ok(&json!({"jsonrpc": "2.0", "id": 0, "error": told}))
        }
        false => ok(&answer),
    };
    let bench = Bench::spoilt(all(), OWNED, refuse);
    let reads = bench.ask(&Ask::new(&[ALICE, BOB], &[USDC_6])).unwrap();
    assert_eq!(
        reads,
        [Read::Unknown(ErrorKind::REFUSED), Read::Known(0, SLOT)]
    );
}

#[test]
fn a_node_that_is_busy_is_not_asked_on() {
    let bench = Bench::spoilt(all(), OWNED, |_, _| (429, vec![], String::new()));
    let error = bench.ask(&Ask::new(&[ALICE, BOB], &[USDC_6])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RATE_LIMITED);
    assert_eq!(bench.requests(OWNED).len(), 1);
}
