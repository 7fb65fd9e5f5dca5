//! Reading at one height, and at a lowest one.

use scanhost_evm::bench::{Ask, Bench, Told};
use scanhost_plugin_api::__private::abi::{CAP_MIN_HEIGHT, CAP_PINNED, ErrorKind};
use serde_json::{Value, json};

use super::node::{ALICE, BOB, NOBODY, Node, USDT};
use super::{BNB, T, amounts, methods, no_amount, over, over_node};

const HEAD: u64 = 70_000_000;
/// The last block at which Alice has 40 BNB units and Bob 5 USDT units.
const BEFORE: u64 = HEAD - 10;
const ZERO: &str = "0x0000000000000000000000000000000000000000";

/// The three ways to read.
fn ways() -> [Value; 3] {
    [
        json!({}),
        json!({"multicall": "off"}),
        json!({"multicall": "off", "rpc_batch": 1}),
    ]
}

fn moving() -> Node {
    let before = Node {
        native: [(ALICE, 40), (BOB, 200)].into(),
        tokens: [(USDT, (18, [(BOB, 5)].into()))].into(),
        ..Node::default()
    };
    Node {
        past: vec![(BEFORE, before)],
        ..Node::default()
    }
}

fn at<'a>(height: u64, addresses: &[&'a str], assets: &[(Option<&'a str>, u8)]) -> Ask<'a> {
    Ask {
        at_height: height,
        ..Ask::all(addresses, assets)
    }
}

#[track_caller]
fn at_height(told: &[Told], height: u64) {
    for told in told {
        assert!(
            matches!(told, Told::Known(_, Some(told)) if *told == height),
            "{told:?}"
        );
    }
}

/// One cell of each kind, and many.
fn asks<'a>(height: u64) -> [Ask<'a>; 3] {
    [
        at(height, &[ALICE], &[BNB]),
        at(height, &[BOB], &[T]),
        at(height, &[ALICE, BOB, NOBODY], &[BNB, T]),
    ]
}

#[test]
fn amounts_at_a_height_are_those_of_its_block() {
    for options in ways() {
        let [native, token, many] = asks(BEFORE);
        let bench = over_node(&options, moving());
        for (ask, expected) in [
            (native, vec![40]),
            (token, vec![5]),
            (many, vec![40, 0, 200, 5, 0, 0]),
        ] {
            let told = bench.ask(&ask).unwrap();
            assert_eq!(amounts(&told), expected, "{options}");
            at_height(&told, BEFORE);
        }
        let [.., many] = asks(BEFORE + 1);
        let told = bench.ask(&many).unwrap();
        assert_eq!(amounts(&told), [100, 7, 200, 0, 0, 0], "{options}");
        at_height(&told, BEFORE + 1);
    }
}

#[test]
fn every_call_names_the_block() {
    for options in ways() {
        let bench = over_node(&options, moving());
        let [.., many] = asks(BEFORE);
        bench.ask(&many).unwrap();
        let block = json!(format!("{BEFORE:#x}"));
        for (_, body) in bench.sent() {
            let request: Value = serde_json::from_str(&body).unwrap();
            let calls = request.as_array().cloned().unwrap_or_else(|| vec![request]);
            for call in calls {
                match call["method"].as_str().unwrap() {
                    "eth_chainId" => {}
                    "eth_getBlockByNumber" => assert_eq!(call["params"][0], block),
                    "eth_call" | "eth_getBalance" => assert_eq!(call["params"][1], block),
                    other => panic!("asked for {other}"),
                }
            }
        }
    }
}

#[test]
fn a_node_without_the_block_lags() {
    for options in ways() {
        for ask in asks(HEAD + 1) {
            let bench = over_node(&options, moving());
            no_amount(&bench, &ask, ErrorKind::LAGGING);
        }
    }
}

#[test]
fn a_node_that_forgot_the_state_is_asked_no_further_and_keeps_its_ways() {
    let node = Node {
        oldest: HEAD - 5,
        ..moving()
    };
    for options in ways() {
        let bench = over_node(&options, node.clone());
        for ask in asks(BEFORE) {
            no_amount(&bench, &ask, ErrorKind::UNSUPPORTED);
            let told = match bench.ask(&ask) {
                Err(error) => error.message.to_string(),
                Ok(told) => format!("{:?}", told[0]),
            };
            assert!(told.contains(&format!("block {BEFORE}")), "{told}");
        }
        bench.sent();
        // What is newer is read as before, and nothing was taken for a missing way.
        let [native, ..] = asks(HEAD);
        assert_eq!(amounts(&bench.ask(&native).unwrap()), [100]);
        assert!(methods(&bench).len() <= 3, "{options}");
        assert!(bench.log().is_empty(), "{:?}", bench.log());
    }
}

#[test]
fn a_forgotten_state_that_is_answered_with_zeros_is_no_zero() {
    let node = Node {
        oldest: HEAD - 5,
        forgets_silently: true,
        ..moving()
    };
    for options in ways() {
        let bench = over_node(&options, node.clone());
        let [native, token, _] = asks(BEFORE);
        no_amount(&bench, &native, ErrorKind::UNSUPPORTED);
        for told in bench.ask(&token).unwrap_or_default() {
            assert!(matches!(told, Told::Unknown(..)), "{told:?}");
        }
        for told in bench
            .ask(&at(BEFORE, &[ALICE, NOBODY], &[BNB, T]))
            .unwrap_or_default()
        {
            assert!(matches!(told, Told::Unknown(..)), "{told:?}");
        }
        assert!(bench.log().is_empty(), "{:?}", bench.log());
    }
}

#[test]
fn true_zeros_at_a_height_are_proved_by_what_the_zero_address_holds() {
    let node = Node {
        native: [(ALICE, 100), (ZERO, 1)].into(),
        ..Node::default()
    };
    for options in &ways()[1..] {
        let bench = over_node(options, node.clone());
        let told = bench.ask(&at(HEAD, &[NOBODY], &[BNB])).unwrap();
        assert_eq!(amounts(&told), [0]);
        let proof = bench.sent().pop().unwrap().1;
        assert!(proof.contains(ZERO), "{proof}");
        // What shows by itself that there is a state is not proved again.
        bench.ask(&at(HEAD, &[NOBODY, ALICE], &[BNB])).unwrap();
        bench.ask(&at(HEAD, &[NOBODY], &[T])).unwrap();
        assert!(bench.sent().iter().all(|(_, body)| !body.contains(ZERO)));
        // Nor is an answer of the newest state.
        assert_eq!(
            amounts(&bench.ask(&Ask::all(&[NOBODY], &[BNB])).unwrap()),
            [0]
        );
        assert!(bench.sent().iter().all(|(_, body)| !body.contains(ZERO)));
    }
}

#[test]
fn a_node_that_reads_another_block_than_asked_is_caught() {
    // It takes no notice of the number.
    let heedless = |options: &Value| -> Bench {
        over(options, move |body| {
            let body = String::from_utf8_lossy(body).replace(&format!("{BEFORE:#x}"), "latest");
            moving().answer(body.as_bytes())
        })
    };
    for options in ways() {
        for ask in asks(BEFORE) {
            no_amount(&heedless(&options), &ask, ErrorKind::UNSUPPORTED);
        }
    }
}

#[test]
fn a_lowest_height_holds_beside_the_one_height() {
    for options in ways() {
        let bench = over_node(&options, moving());
        for mut ask in asks(BEFORE) {
            ask.min_height = BEFORE;
            bench.ask(&ask).unwrap();
            ask.min_height = BEFORE + 1;
            no_amount(&bench, &ask, ErrorKind::LAGGING);
        }
        for mut ask in asks(0) {
            ask.min_height = HEAD + 1;
            no_amount(&bench, &ask, ErrorKind::LAGGING);
        }
    }
}

#[test]
fn it_says_that_it_reads_at_heights() {
    let can = over_node(&json!({}), Node::default()).caps().can;
    assert_eq!(can & CAP_PINNED, CAP_PINNED);
    assert_eq!(can & CAP_MIN_HEIGHT, CAP_MIN_HEIGHT);
}
