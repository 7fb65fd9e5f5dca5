//! The provider over a node, in order and out of order.

mod conformance;
mod heights;
mod matrix;
mod node;

use std::time::Duration;

use scanhost_evm as evm;
use scanhost_evm::bench::{Answer, Ask, Bench, Told};
use scanhost_plugin_api::__private::abi::{Commitment, ErrorKind};
use serde_json::{Value, json};

use crate::multicall::m3;
use crate::provider::BscRpc;
use node::{
    ALICE, BAD_TOKEN, BOB, MULTICALL, NO_TOKEN, NOBODY, Node, USDC, USDT, aggregated, calls_of,
    error,
};

const BNB: (Option<&str>, u8) = (None, 18);
const T: (Option<&str>, u8) = (Some(USDT), 18);

fn over(options: &Value, upstream: impl Fn(&[u8]) -> Answer + Send + Sync + 'static) -> Bench {
    let upstream = move |path: &str, body: &[u8]| {
        assert_eq!(path, "", "requests go to the endpoint itself");
        upstream(body)
    };
    Bench::open::<BscRpc>(Some("56"), options, upstream).unwrap()
}

fn over_node(options: &Value, node: Node) -> Bench {
    over(options, move |body| node.answer(body))
}

/// A node whose Multicall3 has its results spoilt.
fn spoilt(spoil: impl Fn(&mut Vec<m3::Result>) + Send + Sync + 'static) -> Bench {
    over(&json!({}), move |body| {
        let mut results = Node::default().aggregate(&calls_of(body).unwrap());
        spoil(&mut results);
        aggregated(&results)
    })
}

fn amounts(told: &[Told]) -> Vec<u64> {
    told.iter().map(Told::amount).collect()
}

fn method(body: &str) -> String {
    let request: Value = serde_json::from_str(body).unwrap();
    match request.as_array() {
        Some(items) => format!("batch of {}", items.len()),
        None => request["method"].as_str().unwrap().to_owned(),
    }
}

fn methods(bench: &Bench) -> Vec<String> {
    bench.sent().iter().map(|(_, body)| method(body)).collect()
}

#[track_caller]
fn no_amount(bench: &Bench, ask: &Ask<'_>, kind: ErrorKind) {
    match bench.ask(ask) {
        Err(error) => assert_eq!(error.kind, kind, "{}", error.message),
        Ok(told) => {
            for told in told {
                assert_eq!(told.kind(), Some(kind), "{told:?}");
            }
        }
    }
}

#[test]
fn natives_and_tokens_are_one_call_of_one_block() {
    let bench = over_node(&json!({}), Node::default());
    let ask = Ask::all(&[ALICE, BOB, NOBODY], &[BNB, T, (Some(USDC), 18)]);
    let told = bench.ask(&ask).unwrap();
    assert_eq!(amounts(&told), [100, 7, 0, 200, 0, 9, 0, 0, 0]);
    assert!(
        told.iter()
            .all(|told| matches!(told, Told::Known(_, Some(70_000_000))))
    );
    let sent = bench.sent();
    let [(_, body)] = sent.as_slice() else {
        panic!("one request, not {}", sent.len());
    };
    let request: Value = serde_json::from_str(body).unwrap();
    assert_eq!(request["params"][0]["to"], MULTICALL);
    assert_eq!(request["params"][1], "latest");
    let data = request["params"][0]["data"].as_str().unwrap();
    assert!(data.starts_with("0x82ad56cb"), "the selector of aggregate3");
    let calls = calls_of(body.as_bytes()).unwrap();
    assert_eq!(evm::hex(&calls[0].callData), "0x42cbb15c");
    assert_eq!(evm::hex(&calls[1].callData), "0x3408e470");
    assert_eq!(evm::hex(&calls[4].callData[..4]), "0x4d2301cc");
    assert_eq!(calls.len(), 2 + 2 + 9, "canaries, decimals, cells");
}

#[test]
fn decimals_are_read_once_per_contract() {
    let bench = over_node(&json!({}), Node::default());
    let ask = Ask::all(&[ALICE], &[T]);
    for calls in [4, 3, 3] {
        assert_eq!(amounts(&bench.ask(&ask).unwrap()), [7]);
        let sent = bench.sent();
        assert_eq!(calls_of(sent[0].1.as_bytes()).unwrap().len(), calls);
    }
    let ask = Ask::all(&[ALICE], &[(Some(USDT), 6), BNB]);
    let told = bench.ask(&ask).unwrap();
    assert_eq!(told[0].kind(), Some(ErrorKind::DECIMALS_MISMATCH));
    assert_eq!(told[1].amount(), 100);
}

#[test]
fn commitments_are_block_tags() {
    for (commitment, tag) in [
        (Commitment::LATEST, "latest"),
        (Commitment::CONFIRMED, "safe"),
        (Commitment::FINALIZED, "finalized"),
    ] {
        for options in [json!({}), json!({"multicall": "off"})] {
            let bench = over_node(&options, Node::default());
            let mut ask = Ask::all(&[ALICE], &[BNB, T]);
            ask.commitment = commitment;
            assert_eq!(amounts(&bench.ask(&ask).unwrap()), [100, 7]);
            assert!(bench.sent()[0].1.contains(&format!("\"{tag}\"")) || tag == "latest");
        }
    }
}

#[test]
fn a_wrong_or_absent_canary_voids_the_answer() {
    let word = |number: u64| evm::data(&format!("{number:#066x}")).unwrap();
    let ask = Ask::all(&[ALICE], &[BNB, T]);
    let bench = spoilt(move |results| results[1].returnData = word(97).into());
    no_amount(&bench, &ask, ErrorKind::WRONG_CHAIN);
    for canary in [0, 1] {
        let bench = spoilt(move |results| results[canary].success = false);
        no_amount(&bench, &ask, ErrorKind::MALFORMED);
        for length in [0, 31, 64] {
            let bench = spoilt(move |results| results[canary].returnData = vec![0; length].into());
            no_amount(&bench, &ask, ErrorKind::MALFORMED);
        }
        let bench = spoilt(move |results| results[canary].returnData = vec![0xff; 32].into());
        no_amount(&bench, &ask, ErrorKind::MALFORMED);
    }
}

#[test]
fn an_array_of_another_length_is_no_answer() {
    let ask = Ask::all(&[ALICE, BOB], &[BNB, T]);
    for keep in 0..7 {
        let bench = spoilt(move |results| results.truncate(keep));
        no_amount(&bench, &ask, ErrorKind::MALFORMED);
    }
    let bench = spoilt(|results| results.push(results[2].clone()));
    no_amount(&bench, &ask, ErrorKind::MALFORMED);
}

#[test]
fn an_answer_cut_anywhere_is_no_answer() {
    let ask = Ask::all(&[ALICE], &[BNB, T]);
    let whole = over_node(&json!({}), Node::default());
    assert_eq!(amounts(&whole.ask(&ask).unwrap()), [100, 7]);
    let sent = whole.sent();
    let (_, body) = Node::default().answer(sent[0].1.as_bytes());
    let answer: Value = serde_json::from_str(&body).unwrap();
    let result = answer["result"].as_str().unwrap().to_owned();
    for end in 3..result.len() {
        let cut = result[..end].to_owned();
        let bench = over(&json!({}), move |_| {
            let answer = json!({"jsonrpc": "2.0", "id": 0, "result": cut});
            (200, answer.to_string())
        });
        no_amount(&bench, &ask, ErrorKind::MALFORMED);
    }
}

#[test]
fn an_answer_that_unfolds_without_bound_is_no_answer() {
    let word = |number: usize| format!("{number:064x}");
    let addresses: Vec<String> = (1..=998).map(|index| format!("0x{index:040x}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let ask = Ask::all(&addresses, &[BNB]);
    // A thousand results, all of them the same megabyte.
    let results = word(1000 * 32).repeat(1000);
    let length = 1 << 20;
    let one = format!(
        "{}{}{}{}",
        word(1),
        word(64),
        word(length),
        "00".repeat(length)
    );
    let result = format!("0x{}{}{results}{one}", word(32), word(1000));
    let bench = over(&json!({}), move |_| {
        let answer = json!({"jsonrpc": "2.0", "id": 0, "result": result});
        (200, answer.to_string())
    });
    let error = bench.ask(&ask).unwrap_err();
    assert_eq!(error.kind, ErrorKind::MALFORMED);
    assert!(error.message.contains("memory"), "{}", error.message);
}

#[test]
fn the_largest_call_is_read_whole() {
    let bench = over_node(&json!({"batch": 4000}), Node::default());
    let addresses: Vec<String> = (1..=4000).map(|index| format!("0x{index:040x}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let told = bench.ask(&Ask::all(&addresses, &[BNB])).unwrap();
    let bob = addresses
        .iter()
        .position(|address| *address == BOB)
        .unwrap();
    assert_eq!(told[bob].amount(), 200);
    assert_eq!(amounts(&told).iter().sum::<u64>(), 200);
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_bad_result_leaves_only_its_cell_unknown() {
    for length in [0, 1, 31, 33, 64] {
        // Canaries, decimals of USDT, then Alice's BNB.
        let bench = spoilt(move |results| results[3].returnData = vec![0; length].into());
        let told = bench.ask(&Ask::all(&[ALICE, BOB], &[BNB, T])).unwrap();
        assert_eq!(told[0].kind(), Some(ErrorKind::MALFORMED));
        assert_eq!(amounts(&told[1..]), [7, 200, 0]);
    }
    let ask = Ask::all(
        &[ALICE],
        &[BNB, (Some(NO_TOKEN), 18), (Some(BAD_TOKEN), 18), T],
    );
    for options in [
        json!({}),
        json!({"multicall": "off"}),
        json!({"multicall": "off", "rpc_batch": 1}),
    ] {
        let bench = over_node(&options, Node::default());
        let told = bench.ask(&ask).unwrap();
        assert_eq!((told[0].amount(), told[3].amount()), (100, 7));
        for unknown in [&told[1], &told[2]] {
            assert_eq!(unknown.kind(), Some(ErrorKind::REFUSED), "{unknown:?}");
        }
        let Told::Unknown(_, message) = &told[1] else {
            panic!("no code is no zero");
        };
        assert!(message.contains("no contract at 0x9999"), "{message}");
    }
}

#[test]
fn decimals_that_fail_leave_their_token_unknown() {
    let bench = spoilt(|results| results[2].success = false);
    let told = bench.ask(&Ask::all(&[ALICE, BOB], &[BNB, T])).unwrap();
    assert_eq!((told[0].amount(), told[2].amount()), (100, 200));
    assert_eq!(told[1].kind(), Some(ErrorKind::REFUSED));
    assert_eq!(told[3].kind(), Some(ErrorKind::REFUSED));
    for returned in [vec![], vec![1; 32], vec![0; 31], vec![0; 64]] {
        let bench = spoilt(move |results| results[2].returnData = returned.clone().into());
        let told = bench.ask(&Ask::all(&[ALICE], &[T])).unwrap();
        assert_eq!(told[0].kind(), Some(ErrorKind::REFUSED));
    }
}

#[test]
fn no_fault_of_the_whole_answer_is_an_amount() {
    let ok = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":0,"result":{result}}}"#);
    let err = |code: i64, message: &str| error(&json!(0), code, message).to_string();
    let full = Node::default().aggregate(&[]);
    let cut = {
        let (_, body) = aggregated(&full);
        body[..body.len() / 2].to_owned()
    };
    let cases = [
        (200, String::new(), ErrorKind::MALFORMED),
        (200, "{}".to_owned(), ErrorKind::MALFORMED),
        (200, "[]".to_owned(), ErrorKind::MALFORMED),
        (200, "null".to_owned(), ErrorKind::MALFORMED),
        (200, "0".to_owned(), ErrorKind::MALFORMED),
        (200, "rate limited".to_owned(), ErrorKind::MALFORMED),
        (200, "<html>oops</html>".to_owned(), ErrorKind::MALFORMED),
        (200, cut, ErrorKind::MALFORMED),
        (200, ok("null"), ErrorKind::MALFORMED),
        (200, ok("0"), ErrorKind::MALFORMED),
        (200, ok("\"0\""), ErrorKind::MALFORMED),
        (200, ok("\"0x0\""), ErrorKind::MALFORMED),
        (200, ok("\"0x00\""), ErrorKind::MALFORMED),
        (200, ok("{}"), ErrorKind::MALFORMED),
        (
            200,
            ok(&format!("\"0x{}\"", "00".repeat(64))),
            ErrorKind::MALFORMED,
        ),
        (
            200,
            ok(&format!("\"0x{}\"", "ff".repeat(640))),
            ErrorKind::MALFORMED,
        ),
        (200, err(-32005, "limit exceeded"), ErrorKind::RATE_LIMITED),
        (
            200,
            err(-32000, "header not found"),
            ErrorKind::SERVER_ERROR,
        ),
        (200, err(-32000, "out of gas"), ErrorKind::TOO_LARGE),
        (
            200,
            err(-32000, "execution aborted (timeout = 5s)"),
            ErrorKind::TOO_LARGE,
        ),
        (200, err(-32603, "internal error"), ErrorKind::SERVER_ERROR),
        (200, err(3, "execution reverted"), ErrorKind::REFUSED),
        (0, String::new(), ErrorKind::TIMEOUT),
        (400, "bad".to_owned(), ErrorKind::REFUSED),
        (401, String::new(), ErrorKind::UNAUTHORIZED),
        (402, String::new(), ErrorKind::QUOTA),
        (413, "<html>".to_owned(), ErrorKind::TOO_LARGE),
        (429, "<html>".to_owned(), ErrorKind::RATE_LIMITED),
        (500, "<html>".to_owned(), ErrorKind::SERVER_ERROR),
        (502, String::new(), ErrorKind::SERVER_ERROR),
    ];
    let asks = [
        Ask::all(&[ALICE], &[BNB]),
        Ask::all(&[ALICE], &[T]),
        Ask::all(&[ALICE, BOB], &[BNB, T]),
    ];
    for (status, body, kind) in cases {
        for ask in &asks {
            let answer = (status, body.clone());
            let bench = over(&json!({}), move |_| answer.clone());
            no_amount(&bench, ask, kind);
            for options in [
                json!({"multicall": "off"}),
                json!({"multicall": "off", "rpc_batch": 1}),
            ] {
                let answer = (status, body.clone());
                let bench = over(&options, move |_| answer.clone());
                assert!(bench.ask(ask).is_err(), "{status} {body} with {options}");
            }
        }
    }
}

#[test]
fn a_provider_behind_is_told_as_lagging() {
    let mut ask = Ask::all(&[ALICE], &[BNB]);
    for options in [
        json!({}),
        json!({"multicall": "off"}),
        json!({"multicall": "off", "rpc_batch": 1}),
    ] {
        let bench = over_node(&options, Node::default());
        ask.min_height = 70_000_001;
        no_amount(&bench, &ask, ErrorKind::LAGGING);
        ask.min_height = 70_000_000;
        assert_eq!(amounts(&bench.ask(&ask).unwrap()), [100]);
    }
}

#[test]
fn without_multicall_batches_are_taken_and_remembered_for_an_hour() {
    let node = Node {
        multicall: false,
        ..Node::default()
    };
    let bench = over_node(&json!({}), node);
    let ask = Ask::all(&[ALICE, BOB], &[BNB, T]);
    let told = bench.ask(&ask).unwrap();
    assert_eq!(amounts(&told), [100, 7, 200, 0]);
    assert!(told.iter().all(|told| matches!(told, Told::Known(_, None))));
    assert_eq!(methods(&bench), ["eth_call", "eth_getCode", "batch of 7"]);
    bench.ask(&ask).unwrap();
    assert_eq!(methods(&bench), ["batch of 6"]);
    bench.advance(Duration::from_secs(3601));
    bench.ask(&ask).unwrap();
    assert_eq!(methods(&bench), ["eth_call", "eth_getCode", "batch of 6"]);
    assert_eq!(bench.log().len(), 2);
}

#[test]
fn one_empty_answer_does_not_prove_that_multicall_is_absent() {
    let bench = over(&json!({}), |body| match calls_of(body) {
        Some(_) => (200, r#"{"jsonrpc":"2.0","id":0,"result":"0x"}"#.to_owned()),
        None => Node::default().answer(body),
    });
    let ask = Ask::all(&[ALICE], &[BNB, T]);
    for _ in 0..2 {
        no_amount(&bench, &ask, ErrorKind::MALFORMED);
        assert_eq!(methods(&bench), ["eth_call", "eth_getCode"]);
    }
}

#[test]
fn without_eth_call_natives_are_still_read() {
    let node = Node {
        eth_call: false,
        ..Node::default()
    };
    for options in [json!({}), json!({"rpc_batch": 1})] {
        let bench = over_node(&options, node.clone());
        let told = bench.ask(&Ask::all(&[ALICE, BOB], &[BNB, T])).unwrap();
        assert_eq!((told[0].amount(), told[2].amount()), (100, 200));
        assert_eq!(told[1].kind(), Some(ErrorKind::UNSUPPORTED));
        assert_eq!(told[3].kind(), Some(ErrorKind::UNSUPPORTED));
    }
}

#[test]
fn batches_keep_their_limit_and_learn_a_smaller_one() {
    let node = Node {
        batch_max: 20,
        ..Node::default()
    };
    let options = json!({"multicall": "off", "rpc_batch": 50});
    let bench = over_node(&options, node);
    let addresses: Vec<String> = (1..=100).map(|index| format!("0x{index:040x}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let ask = Ask::all(&addresses, &[BNB]);
    assert_eq!(bench.ask(&ask).unwrap().len(), 100);
    let first = methods(&bench);
    assert_eq!(
        first[..4],
        ["batch of 50", "batch of 26", "batch of 14", "batch of 14"]
    );
    assert_eq!(first.len(), 2 + 9, "nine batches of twelve reads");
    bench.ask(&ask).unwrap();
    assert_eq!(methods(&bench).len(), 9, "the limit is remembered");
}

#[test]
fn refused_batches_become_single_calls() {
    for batch_max in [0, 1, 2] {
        let node = Node {
            batch_max,
            ..Node::default()
        };
        let bench = over_node(&json!({"multicall": "off"}), node);
        let ask = Ask::all(&[ALICE, BOB], &[BNB, T]);
        assert_eq!(amounts(&bench.ask(&ask).unwrap()), [100, 7, 200, 0]);
        bench.sent();
        assert_eq!(amounts(&bench.ask(&ask).unwrap()), [100, 7, 200, 0]);
        let again = methods(&bench);
        assert_eq!(again.len(), 2 + 4, "remembered: {again:?}");
        bench.advance(Duration::from_secs(3601));
        bench.ask(&ask).unwrap();
        assert!(
            methods(&bench)[0].starts_with("batch"),
            "forgotten after an hour"
        );
    }
}

#[test]
fn a_transient_failure_is_not_remembered() {
    for (status, code) in [(0, 0), (500, 0), (429, 0), (200, -32005), (200, -32603)] {
        let bench = over(&json!({"multicall": "off"}), move |_| match code {
            0 => (status, String::new()),
            code => (status, error(&Value::Null, code, "not now").to_string()),
        });
        let ask = Ask::all(&[ALICE], &[BNB]);
        for _ in 0..2 {
            assert!(bench.ask(&ask).is_err());
            assert_eq!(methods(&bench), ["batch of 3"]);
        }
    }
}

#[test]
fn what_a_batch_leaves_out_is_missing() {
    let reply = |keep: fn(&Value) -> bool| {
        over(&json!({"multicall": "off"}), move |body| {
            let (status, answer) = Node::default().answer(body);
            let mut items: Vec<Value> = serde_json::from_str(&answer).unwrap();
            items.retain(keep);
            (status, Value::from(items).to_string())
        })
    };
    let ask = Ask::all(&[ALICE, BOB, NOBODY], &[BNB]);
    let told = reply(|item| item["id"] != 3).ask(&ask).unwrap();
    assert_eq!((told[0].amount(), told[2].amount()), (100, 0));
    assert_eq!(told[1].kind(), Some(ErrorKind::MISSING));
    no_amount(&reply(|item| item["id"] != 0), &ask, ErrorKind::MALFORMED);
    no_amount(&reply(|item| item["id"] != 1), &ask, ErrorKind::MALFORMED);
}

#[test]
fn a_batch_from_another_chain_is_void() {
    let node = Node {
        chain: 97,
        ..Node::default()
    };
    for rpc_batch in [1, 100] {
        let options = json!({"multicall": "off", "rpc_batch": rpc_batch});
        let bench = over_node(&options, node.clone());
        no_amount(
            &bench,
            &Ask::all(&[ALICE], &[BNB, T]),
            ErrorKind::WRONG_CHAIN,
        );
    }
}

#[test]
fn single_calls_are_bounded_in_number_and_time() {
    let options = json!({"multicall": "off", "rpc_batch": 1});
    let addresses: Vec<String> = (1..=51).map(|index| format!("0x{index:040x}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let bench = over_node(&options, Node::default());
    let error = bench.ask(&Ask::all(&addresses, &[BNB])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TOO_LARGE);
    assert!(bench.sent().is_empty());
    bench.slow(Duration::from_secs(1));
    let told = bench.ask(&Ask::all(&addresses[..20], &[BNB])).unwrap();
    assert_eq!(bench.sent().len(), 8);
    assert!(matches!(told[5], Told::Known(..)));
    assert_eq!(told[6].kind(), Some(ErrorKind::MISSING));
}

#[test]
fn single_calls_keep_what_was_answered_before_a_failure() {
    let options = json!({"multicall": "off", "rpc_batch": 1});
    let bench = over(&options, |body| {
        match String::from_utf8_lossy(body).contains(&BOB[2..]) {
            true => (429, String::new()),
            false => Node::default().answer(body),
        }
    });
    let told = bench.ask(&Ask::all(&[ALICE, BOB, NOBODY], &[BNB])).unwrap();
    assert_eq!(told[0].amount(), 100);
    assert_eq!(told[1].kind(), Some(ErrorKind::RATE_LIMITED));
    assert_eq!(told[2].kind(), Some(ErrorKind::RATE_LIMITED));
    assert_eq!(bench.sent().len(), 4, "canaries, Alice, Bob");
}

#[test]
fn a_mistyped_contract_stops_nothing_else() {
    let bench = over_node(&json!({}), Node::default());
    let wrong_checksum = "0x55D398326f99059fF775485246999027B3197955";
    let ask = Ask::all(
        &[ALICE],
        &[BNB, (Some(wrong_checksum), 18), (Some("USDT"), 18)],
    );
    let told = bench.ask(&ask).unwrap();
    assert_eq!(told[0].amount(), 100);
    for told in &told[1..] {
        let Told::Unknown(ErrorKind::REFUSED, message) = told else {
            panic!("not told: {told:?}");
        };
        assert!(message.contains("is not a contract"), "{message}");
    }
    bench.sent();
    let only = Ask::all(&[ALICE], &[(Some("USDT"), 18)]);
    assert_eq!(
        bench.ask(&only).unwrap()[0].kind(),
        Some(ErrorKind::REFUSED)
    );
    assert!(bench.sent().is_empty(), "there is nothing to ask");
}

#[test]
fn the_identity_is_the_chain_id_in_decimal() {
    assert_eq!(
        over_node(&json!({}), Node::default()).identity().unwrap(),
        "56"
    );
    for body in [
        r#"{"id":0,"result":null}"#,
        r#"{"id":0,"result":"56"}"#,
        "56",
        "<html>",
    ] {
        let bench = over(&json!({}), move |_| (200, body.to_owned()));
        assert_eq!(
            bench.identity().unwrap_err().kind,
            ErrorKind::MALFORMED,
            "{body}"
        );
    }
}

#[test]
fn settings_that_make_no_sense_are_told() {
    let open = |identity, options: &Value| {
        Bench::open::<BscRpc>(identity, options, |_, _| (500, String::new())).unwrap_err()
    };
    for identity in ["0x38", "", "+56", "bsc", "18446744073709551616"] {
        let error = open(Some(identity), &json!({}));
        assert!(error.message.contains("in decimal"), "{}", error.message);
    }
    let error = open(None, &json!({"multicall": "0x12"}));
    assert!(
        error.message.contains("option `multicall`"),
        "{}",
        error.message
    );
}

#[test]
fn caps_follow_the_options_and_addresses_have_one_form() {
    let bench = over_node(&json!({}), Node::default());
    let check = |options: Value, cells, cost| {
        let caps = over_node(&options, Node::default()).caps();
        let max = (caps.cells_per_call_max, caps.addresses_per_call_max);
        assert_eq!(max, (cells, cells), "{options}");
        let told = caps.cost;
        assert_eq!((told.call, told.native_cell, told.token_cell), cost);
    };
    check(json!({}), 1000, (1, 0, 0));
    check(json!({"batch": 250}), 250, (1, 0, 0));
    check(json!({"rpc_batch": 1}), 1000, (1, 0, 0));
    // A call stays one request, or as many as its cells.
    check(json!({"multicall": "off"}), 98, (1, 0, 0));
    check(json!({"multicall": "off", "batch": 10}), 10, (1, 0, 0));
    check(json!({"multicall": "off", "rpc_batch": 3}), 1, (1, 0, 0));
    check(json!({"multicall": "off", "rpc_batch": 2}), 50, (2, 1, 1));
    let canonical = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";
    let checksummed = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    assert_eq!(bench.validate(checksummed).unwrap(), canonical);
    let error = bench
        .validate(&checksummed.replace("5aA", "5AA"))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::INVALID_ADDRESS);
}
