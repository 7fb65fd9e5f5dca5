//! Every format against its documented body, and every fault.

use std::time::Duration;

use alloy::primitives::{Address, Bytes, U256, address};
use alloy::sol_types::{SolCall, SolValue};
use base64::Engine as _;
use serde_json::{Value, json};
use solana_pubkey::Pubkey;

use super::*;

mod bitcoin_hosts;
mod broadcasts;
mod evm_hosts;
mod heights;
mod over_http;
mod solana_host;

/// 2026-11-21T00:00:00Z.
const NOW_MS: i64 = 1_795_219_200_000;

const ALICE: &str = "0xddBd2B932c763bA5b1b7AE3B362eac3e8d40121A";
const BOB: &str = "0x63a9975ba31b0b9626b34300f7f627147df1f526";
const USDT: &str = "0x55d398326f99059fF775485246999027B3197955";
const BECH32: &str = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu";
const UNUSED: &str = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
const WALLET: &str = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk";
const SOL_USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
const SOL_USDC_OF_WALLET: &str = "5N3f1tj9v1vc5TUZ8S7mCAnVmjVKrfnzXWhxLaxyZAgt";

/// One host of each kind over small told ledgers.
fn world() -> World {
    let mut btc = BitcoinLedger::new(bitcoin::Network::Bitcoin, 870_000);
    let chain = Tally {
        funded_txo_count: 2,
        funded_txo_sum: 150_000,
        spent_txo_count: 1,
        spent_txo_sum: 50_000,
        tx_count: 3,
    };
    let mempool = Tally::default();
    btc.set(BECH32, Stats { chain, mempool });

    let mut bsc = EvmLedger::new(56, "BNB", 1000);
    let wei = "40891626854930000000000".parse().unwrap();
    bsc.native.insert(ALICE.parse().unwrap(), wei);
    let token = bsc.add_token(USDT.parse().unwrap(), "USDT", 18);
    token
        .balances
        .insert(ALICE.parse().unwrap(), U256::from(135_499));

    let mut sol = SolanaLedger::new(SolanaLedger::MAINNET_GENESIS, 335_501_826);
    let (wallet, mint): (Pubkey, Pubkey) = (WALLET.parse().unwrap(), SOL_USDC.parse().unwrap());
    sol.lamports.insert(wallet, 2_000_000);
    sol.add_mint(mint, "USDC", 6, TOKEN_PROGRAM);
    sol.set_token(wallet, mint, 1_234_567);

    World::new()
        .with_ledger("btc", btc)
        .with_ledger("bsc", bsc)
        .with_ledger("sol", sol)
        .with_host("blockstream", HostKind::Esplora, "btc")
        .with_host("mempool", HostKind::Mempool, "btc")
        .with_host("bscscan", HostKind::Etherscan, "bsc")
        .with_host("bsc-a", HostKind::Evm, "bsc")
        .with_host("sol-a", HostKind::Solana, "sol")
}

fn faulty(fault: Fault) -> World {
    world().with_fault(fault)
}

fn get(world: &mut World, target: &str) -> Response {
    world.handle(&Request::get(target), NOW_MS)
}

fn post(world: &mut World, target: &str, body: &Value) -> Response {
    world.handle(&Request::post_json(target, body.to_string()), NOW_MS)
}

fn rpc(world: &mut World, host: &str, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let response = post(world, &format!("/{host}"), &body);
    assert_eq!(response.status, 200);
    serde_json::from_slice(&response.body).unwrap()
}

/// The same question to each kind of host, as a target and a body (empty for `GET`).
fn questions() -> Vec<Request> {
    let balance =
        json!({"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[ALICE,"latest"]});
    let lamports = json!({"jsonrpc":"2.0","id":1,"method":"getBalance","params":[WALLET]});
    vec![
        Request::get(format!("/blockstream/api/address/{BECH32}")),
        Request::get(format!("/mempool/api/address/{BECH32}")),
        Request::get(format!(
            "/bscscan/v2/api?chainid=56&module=account&action=balance&address={ALICE}&apikey=k"
        )),
        Request::post_json("/bsc-a", balance.to_string()),
        Request::post_json("/sol-a", lamports.to_string()),
    ]
}

/// What each kind of host answers to its question under a fault.
fn answers(kind: &Kind) -> Vec<Response> {
    let mut questions = questions();
    let answers = questions.drain(..).map(|question| {
        let (host, _) = question.host_and_rest();
        faulty(Fault::at(host, kind.clone())).handle(&question, NOW_MS)
    });
    answers.collect()
}

#[test]
fn faults_of_the_whole_response_happen_at_every_kind_of_host() {
    let healthy: Vec<Response> = questions()
        .iter()
        .map(|question| world().handle(question, NOW_MS))
        .collect();
    let zip = |kind: Kind| healthy.iter().zip(answers(&kind));

    let body = BodyForm::Text;
    for (_, answer) in zip(Kind::Status { code: 503, body }) {
        assert_eq!(
            (answer.status, &*answer.body_text()),
            (503, "Service Unavailable")
        );
    }
    for (healthy, answer) in zip(Kind::Delay { ms: 70 }) {
        assert_eq!(answer.delay, Duration::from_millis(70));
        assert_eq!(answer.body, healthy.body);
    }
    for (_, answer) in zip(Kind::Hang) {
        assert_eq!(answer.ending, Ending::Hang);
    }
    for (_, answer) in zip(Kind::Reset) {
        assert_eq!(answer.ending, Ending::Reset);
    }
    for (_, answer) in zip(Kind::EmptyObject) {
        assert_eq!((answer.status, &*answer.body_text()), (200, "{}"));
    }
    for (_, answer) in zip(Kind::Html) {
        assert_eq!(answer.header_value("content-type"), Some("text/html"));
        assert!(answer.body_text().starts_with("<html>"));
    }
    for (healthy, answer) in zip(Kind::Truncated) {
        assert!(healthy.body.starts_with(&answer.body) && answer.body.len() < healthy.body.len());
        assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
    }
    for (healthy, answer) in zip(Kind::CutOnWire) {
        assert_eq!(answer.ending, Ending::Cut(healthy.body.len() / 2));
    }
    let location = "http://127.0.0.1:1/".to_owned();
    for (_, answer) in zip(Kind::Redirect { location }) {
        assert_eq!(answer.status, 302);
        assert_eq!(answer.header_value("location"), Some("http://127.0.0.1:1/"));
    }
}

#[test]
fn faults_of_amounts_change_every_kind_of_answer() {
    let healthy: Vec<Response> = questions()
        .iter()
        .map(|question| world().handle(question, NOW_MS))
        .collect();
    for kind in [
        Kind::Null,
        Kind::NumberAsText,
        Kind::Huge,
        Kind::Lie,
        Kind::ItemError,
    ] {
        for (healthy, answer) in healthy.iter().zip(answers(&kind)) {
            assert_ne!(
                answer.body,
                healthy.body,
                "{kind:?}: {}",
                answer.body_text()
            );
        }
    }
}

#[test]
fn a_rate_answer_has_the_form_of_its_host() {
    let plain = answers(&Kind::RateLimit {
        retry_after: RetryAfter::None,
    });
    assert!(plain.iter().all(|answer| answer.status == 429));
    assert!(
        plain
            .iter()
            .all(|answer| answer.header_value("retry-after").is_none())
    );
    assert!(
        plain[0].body_text().starts_with(
            r#"{"error":"Too Many Requests","message":"Blockstream Explorer API NOTICE"#
        )
    );
    assert!(plain[1].body_text().contains("Sign Up for <a href="));
    assert!(
        plain[4]
            .body_text()
            .contains("Too many requests for a specific RPC call")
    );

    let seconds = answers(&Kind::RateLimit {
        retry_after: RetryAfter::Seconds(7),
    });
    assert!(
        seconds
            .iter()
            .all(|answer| answer.header_value("retry-after") == Some("7"))
    );
    let date = answers(&Kind::RateLimit {
        retry_after: RetryAfter::HttpDate(90),
    });
    let expected = Some("Sat, 21 Nov 2026 00:01:30 GMT");
    assert!(
        date.iter()
            .all(|answer| answer.header_value("retry-after") == expected)
    );
}

#[test]
fn a_rate_text_comes_with_status_200() {
    let texts = answers(&Kind::RateLimitText);
    let expected = [
        "Too Many Requests",
        "Too Many Requests",
        r#"{"status":"0","message":"NOTOK","result":"Max calls per sec rate limit reached (3/sec)"}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit exceeded"}}"#,
        r#"{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests for a specific RPC call"},"id":1}"#,
    ];
    for (answer, expected) in texts.iter().zip(expected) {
        assert_eq!(answer.status, 200);
        assert!(
            answer.body_text().contains(expected),
            "{}",
            answer.body_text()
        );
    }
}

#[test]
fn an_error_inside_200_can_be_given_any_text() {
    let usual = answers(&Kind::ErrorIn200 {
        code: None,
        message: None,
    });
    assert!(usual[2].body_text().contains("Query Timeout occured"));
    assert!(
        usual[3]
            .body_text()
            .contains(r#"{"code":-32000,"message":"header not found"}"#)
    );
    let message = Some("Max daily rate limit reached".to_owned());
    let told = answers(&Kind::ErrorIn200 {
        code: Some(-32007),
        message,
    });
    assert!(told.iter().all(|answer| answer.status == 200));
    assert!(
        told.iter()
            .all(|answer| answer.body_text().contains("Max daily rate limit reached"))
    );
    assert!(told[3].body_text().contains("-32007"));
}

#[test]
fn a_window_refuses_what_exceeds_it_and_says_when_it_has_room() {
    let mut world = world();
    let window = Window {
        max: 2,
        per_ms: 10_000,
    };
    world.host_mut("blockstream").unwrap().windows.push(window);
    let ask = Request::get("/blockstream/api/blocks/tip/height");
    let at = |ms: i64, world: &mut World| world.handle(&ask, NOW_MS + ms);
    assert_eq!(at(0, &mut world).status, 200);
    assert_eq!(at(4000, &mut world).status, 200);
    let refused = at(5000, &mut world);
    assert_eq!(
        (refused.status, refused.header_value("retry-after")),
        (429, Some("5"))
    );
    assert_eq!(at(10_000, &mut world).status, 200);
    assert_eq!(at(10_001, &mut world).status, 429);
    assert_eq!(world.counters()["blockstream"].over_window, 2);
}

#[test]
fn the_log_counts_what_was_asked() {
    let mut world = faulty(Fault::at("sol-a", Kind::Reset));
    for question in questions() {
        world.handle(&question, NOW_MS);
    }
    let log: Vec<_> = world
        .log()
        .iter()
        .map(|entry| {
            (
                &*entry.host,
                &*entry.method,
                entry.native,
                entry.tokens,
                entry.status,
            )
        })
        .collect();
    let path = format!("/api/address/{BECH32}");
    let expected = [
        ("blockstream", &*path, 1, 0, 200),
        ("mempool", &*path, 1, 0, 200),
        ("bscscan", "balance", 1, 0, 200),
        ("bsc-a", "eth_getBalance", 1, 0, 200),
        ("sol-a", "getBalance", 1, 0, 0),
    ];
    assert_eq!(log, expected);
    assert_eq!(get(&mut world, "/nobody/x").status, 404);
    assert_eq!(world.counters()["bsc-a"].cells, 1);
}

#[test]
fn the_answer_is_a_function_of_its_arguments() {
    let (mut one, mut two) = (world(), world());
    for question in questions() {
        assert_eq!(one.handle(&question, NOW_MS), two.handle(&question, NOW_MS));
    }
}

#[test]
fn counters_do_not_grow_with_the_addresses() {
    let mut world = world();
    for address in [BECH32, UNUSED] {
        get(&mut world, &format!("/blockstream/api/address/{address}"));
    }
    let counters = world.counters();
    assert_eq!(counters["blockstream"].methods["/api/address"], 2);
}

#[test]
fn a_method_can_be_missing() {
    let [_, _, etherscan, evm, solana] =
        <[Response; 5]>::try_from(answers(&Kind::NoSuchMethod)).expect("five kinds of hosts");
    assert!(
        etherscan
            .body_text()
            .contains("Missing Or invalid Action name")
    );
    assert!(
        evm.body_text()
            .contains("the method eth_getBalance does not exist")
    );
    assert!(
        solana
            .body_text()
            .contains(r#"{"code":-32601,"message":"Method not found"}"#)
    );
}

#[test]
fn every_balance_of_a_seeded_ledger_is_served_as_told() {
    let seeded = [
        (
            "mempool",
            HostKind::Mempool,
            Ledger::seeded_bitcoin(bitcoin::Network::Signet, 5, 25),
        ),
        ("bsc", HostKind::Evm, Ledger::seeded_evm(97, "tBNB", 5, 25)),
        ("sol", HostKind::Solana, Ledger::seeded_solana(5, 25)),
    ];
    for (name, kind, seeded) in seeded {
        let mut world = World::new()
            .with_ledger("l", seeded.ledger.clone())
            .with_host(name, kind, "l");
        for (index, address) in seeded.addresses.iter().enumerate() {
            let served: U256 = match kind {
                HostKind::Evm => {
                    let reply = rpc(
                        &mut world,
                        name,
                        "eth_getBalance",
                        json!([address, "latest"]),
                    );
                    reply["result"].as_str().unwrap().parse().unwrap()
                }
                HostKind::Solana => {
                    let reply = rpc(&mut world, name, "getBalance", json!([address]));
                    U256::from(reply["result"]["value"].as_u64().unwrap())
                }
                _ => {
                    let answer = get(&mut world, &format!("/{name}/api/address/{address}"));
                    let body: Value = serde_json::from_slice(&answer.body).unwrap();
                    let sum = |key: &str| body["chain_stats"][key].as_u64().unwrap();
                    U256::from(sum("funded_txo_sum") - sum("spent_txo_sum"))
                }
            };
            assert_eq!(
                served,
                seeded.amount(index, &seeded.assets[0].symbol),
                "{address}"
            );
        }
    }
}
