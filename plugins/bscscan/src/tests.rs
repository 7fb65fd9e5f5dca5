//! The provider over an explorer, in order and out of order.

mod conformance;
mod matrix;

use std::time::Duration;

use scanhost_evm::bench::{Answer, Ask, Bench, Told};
use scanhost_plugin_api::__private::abi::{CAP_MIN_HEIGHT, CAP_PINNED, Commitment, ErrorKind};
use serde_json::{Value, json};

use crate::provider::BscScan;

const USDT: &str = "0x55d398326f99059ff775485246999027b3197955";
/// Has no code; the explorer tells a balance of 0 all the same.
const NO_TOKEN: &str = "0x9999999999999999999999999999999999999999";
const ALICE: &str = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";
const BOB: &str = "0x0000000000000000000000000000000000000b0b";
const NOBODY: &str = "0x1111111111111111111111111111111111111111";

const BNB: (Option<&str>, u8) = (None, 18);
const T: (Option<&str>, u8) = (Some(USDT), 18);

const KEY_REMARK: &str = "OK-Missing/Invalid API Key, rate limit of 1/5sec applied";

/// An explorer in good order.
fn explorer(path: &str) -> Answer {
    let get = |name: &str| query(path, name).unwrap_or_default();
    assert_eq!(get("chainid"), "56", "every request names the chain");
    assert_eq!(query(path, "apikey"), None, "the key is the host's");
    let action = format!("{}.{}", get("module"), get("action"));
    let body = match action.as_str() {
        "account.balancemulti" => {
            let addresses: Vec<_> = get("address").split(',').collect();
            assert!(addresses.len() <= 20, "at most 20 addresses");
            assert_eq!(get("tag"), "latest");
            let balance =
                |address: &&str| json!({"account": cased(address), "balance": wei(address)});
            ok(&addresses.iter().rev().map(balance).collect())
        }
        "account.tokenbalance" => match (get("contractaddress"), get("address")) {
            (USDT, ALICE) => ok(&json!("7")),
            _ => ok(&json!("0")),
        },
        "proxy.eth_call" => {
            assert_eq!(get("data"), "0x313ce567");
            match get("to") {
                USDT => proxied(&json!(format!("{:#066x}", 18))),
                _ => proxied(&json!("0x")),
            }
        }
        "proxy.eth_chainId" => proxied(&json!("0x38")),
        "proxy.eth_blockNumber" => proxied(&json!("0x64")),
        other => panic!("asked for {other}"),
    };
    (200, body)
}

fn wei(address: &str) -> &'static str {
    match address {
        ALICE => "100",
        BOB => "200",
        _ => "0",
    }
}

/// The explorer answers with the checksum.
fn cased(address: &str) -> String {
    address.replace("beaed", "BeAed")
}

fn query<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let query = path.strip_prefix('?').expect("all is in the query");
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    values.next()
}

fn ok(result: &Value) -> String {
    json!({"status": "1", "message": "OK", "result": result}).to_string()
}

fn notok(result: &str) -> String {
    json!({"status": "0", "message": "NOTOK", "result": result}).to_string()
}

fn proxied(result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string()
}

fn over(upstream: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Bench {
    let upstream = move |path: &str, body: &[u8]| {
        assert!(body.is_empty(), "requests are GET");
        upstream(path)
    };
    Bench::open::<BscScan>(Some("56"), &json!({}), upstream).unwrap()
}

/// An explorer that answers one action otherwise.
fn spoilt(action: &'static str, answer: Answer) -> Bench {
    over(move |path| match query(path, "action") == Some(action) {
        true => answer.clone(),
        false => explorer(path),
    })
}

fn actions(bench: &Bench) -> Vec<String> {
    let action = |(path, _): &(String, String)| query(path, "action").unwrap().to_owned();
    bench.sent().iter().map(action).collect()
}

fn amounts(told: &[Told]) -> Vec<u64> {
    told.iter().map(Told::amount).collect()
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

/// Bodies that are no balance of anything, for either shape.
fn faults() -> Vec<(Answer, ErrorKind)> {
    let bodies = [
        "",
        "{}",
        "[]",
        "null",
        "0",
        "\"0\"",
        "rate limited",
        "<html>error code: 1015</html>",
        r#"{"status":"1","message":"OK"}"#,
        r#"{"status":"1","message":"OK","result":null}"#,
        r#"{"status":"1","message":"OK","result":0}"#,
        r#"{"status":"1","message":"OK","result":""}"#,
        r#"{"status":"1","message":"OK","result":{}}"#,
        r#"{"status":"1","message":"OK","result":[]}"#,
        r#"{"status":"1","message":"OK","result":[{}]}"#,
        r#"{"status":"1","message":"OK","result":"-1"}"#,
        r#"{"status":"1","message":"OK","result":"0x0"}"#,
        r#"{"status":"1","message":"OK","result":"1.0"}"#,
        r#"{"status":"1","message":"OK","result":"Max rate limit reached"}"#,
        r#"{"status":"1","message":"NOTOK","result":"0"}"#,
        r#"{"status":1,"message":"OK","result":"0"}"#,
        r#"["1","OK","0"]"#,
        r#"{"jsonrpc":"2.0","id":1,"result":"0"}"#,
        r#"{"status":"1","message":"OK","result":"0"#,
    ];
    let told = |text: &str, kind| ((200, notok(text)), kind);
    let status = |status, kind| ((status, "<html>".to_owned()), kind);
    let mut faults: Vec<_> = bodies
        .iter()
        .map(|body| ((200, (*body).to_owned()), ErrorKind::MALFORMED))
        .collect();
    faults.extend([
        told("0", ErrorKind::SERVER_ERROR),
        told("", ErrorKind::SERVER_ERROR),
        told(
            "Max calls per sec rate limit reached (3/sec)",
            ErrorKind::RATE_LIMITED,
        ),
        told(
            "Max daily rate limit reached. 1 (100%) of 1 day/limit",
            ErrorKind::QUOTA,
        ),
        told(
            "Free API access is not supported for this chain.",
            ErrorKind::QUOTA,
        ),
        told("Invalid API Key", ErrorKind::UNAUTHORIZED),
        status(0, ErrorKind::TIMEOUT),
        status(400, ErrorKind::REFUSED),
        status(403, ErrorKind::RATE_LIMITED),
        status(414, ErrorKind::TOO_LARGE),
        status(429, ErrorKind::RATE_LIMITED),
        status(500, ErrorKind::SERVER_ERROR),
    ]);
    faults
}

#[test]
fn natives_are_one_request_matched_by_account() {
    let bench = over(explorer);
    let told = bench.ask(&Ask::all(&[ALICE, BOB, NOBODY], &[BNB])).unwrap();
    assert_eq!(amounts(&told), [100, 200, 0]);
    assert!(told.iter().all(|told| matches!(told, Told::Known(_, None))));
    assert_eq!(actions(&bench), ["balancemulti"]);
    assert_eq!(
        amounts(&bench.ask(&Ask::all(&[BOB], &[BNB])).unwrap()),
        [200]
    );
    assert_eq!(actions(&bench), ["balancemulti"]);
}

#[test]
fn tokens_are_one_request_each_and_decimals_one_per_contract() {
    let bench = over(explorer);
    let ask = Ask::all(&[ALICE, BOB], &[T]);
    assert_eq!(amounts(&bench.ask(&ask).unwrap()), [7, 0]);
    assert_eq!(
        actions(&bench),
        ["eth_call", "tokenbalance", "tokenbalance"]
    );
    assert_eq!(amounts(&bench.ask(&ask).unwrap()), [7, 0]);
    assert_eq!(actions(&bench), ["tokenbalance", "tokenbalance"]);
    let told = bench.ask(&Ask::all(&[ALICE], &[(Some(USDT), 6)])).unwrap();
    assert_eq!(told[0].kind(), Some(ErrorKind::DECIMALS_MISMATCH));
    assert!(actions(&bench).is_empty());
}

#[test]
fn large_amounts_are_read_whole() {
    let most = format!("{}", alloy::primitives::U256::MAX);
    let result = json!([{"account": ALICE, "balance": most}]);
    let bench = spoilt("balancemulti", (200, ok(&result)));
    let told = bench.ask(&Ask::all(&[ALICE], &[BNB])).unwrap();
    let Told::Known(amount, None) = &told[0] else {
        panic!("no amount but {told:?}");
    };
    assert_eq!(amount.0, [0xff; 32]);
    let result = json!([{"account": ALICE, "balance": format!("{most}0")}]);
    let bench = spoilt("balancemulti", (200, ok(&result)));
    no_amount(&bench, &Ask::all(&[ALICE], &[BNB]), ErrorKind::MALFORMED);
}

#[test]
fn no_fault_of_an_answer_is_an_amount() {
    for (answer, kind) in faults() {
        for addresses in [&[ALICE][..], &[ALICE, BOB]] {
            let bench = spoilt("balancemulti", answer.clone());
            no_amount(&bench, &Ask::all(addresses, &[BNB]), kind);
        }
        let bench = spoilt("tokenbalance", answer.clone());
        no_amount(&bench, &Ask::all(&[ALICE, BOB], &[T]), kind);

        let bench = spoilt("eth_call", answer.clone());
        no_amount_at_all(&bench, &Ask::all(&[ALICE, BOB], &[T]));
        let bench = spoilt("eth_chainId", answer.clone());
        assert!(
            bench.identity().is_err(),
            "{answer:?} was taken for a chain"
        );
    }
}

fn no_amount_at_all(bench: &Bench, ask: &Ask<'_>) {
    for told in bench.ask(ask).unwrap_or_default() {
        assert!(told.kind().is_some(), "{told:?}");
    }
}

#[test]
fn what_a_list_leaves_out_doubles_or_garbles_is_unknown() {
    let check = |items: Value, bob: ErrorKind| {
        let bench = spoilt("balancemulti", (200, ok(&items)));
        let told = bench.ask(&Ask::all(&[ALICE, BOB], &[BNB])).unwrap();
        assert_eq!(told[0].amount(), 100, "{items}");
        assert_eq!(told[1].kind(), Some(bob), "{items}");
    };
    let alice = json!({"account": ALICE, "balance": "100"});
    let bob = |balance: Value| json!({"account": BOB, "balance": balance});
    check(json!([alice]), ErrorKind::MISSING);
    check(
        json!([alice, {"account": NOBODY, "balance": "1"}]),
        ErrorKind::MISSING,
    );
    let doubled = json!([bob(json!("5")), alice, bob(json!("5"))]);
    check(doubled, ErrorKind::MISSING);
    let in_two_cases =
        json!([alice, bob(json!("5")), {"account": BOB.replace("b0b", "B0B"), "balance": "5"}]);
    check(in_two_cases, ErrorKind::MISSING);
    for balance in [
        json!(0),
        json!(null),
        json!(""),
        json!("0x0"),
        json!("-0"),
        json!("1e3"),
    ] {
        check(json!([alice, bob(balance)]), ErrorKind::MALFORMED);
    }
    check(json!([alice, {"account": BOB}]), ErrorKind::MALFORMED);
}

#[test]
fn a_codeless_contract_is_unknown_whatever_balance_is_told() {
    let bench = over(explorer);
    let told = bench
        .ask(&Ask::all(&[ALICE, BOB], &[(Some(NO_TOKEN), 18)]))
        .unwrap();
    for told in told {
        let Told::Unknown(ErrorKind::REFUSED, message) = told else {
            panic!("no code is no zero: {told:?}");
        };
        assert!(message.contains("no contract at 0x9999"), "{message}");
    }
    assert_eq!(actions(&bench), ["eth_call"], "asked once for both");
    let told = bench
        .ask(&Ask::all(&[ALICE], &[(Some("USDT"), 18)]))
        .unwrap();
    assert_eq!(told[0].kind(), Some(ErrorKind::REFUSED));
    assert!(actions(&bench).is_empty());
}

#[test]
fn a_failure_midway_keeps_what_was_answered() {
    let bench = over(|path| {
        let answer = explorer(path);
        match query(path, "address") {
            Some(BOB) => (200, notok("Max calls per sec rate limit reached (3/sec)")),
            _ => answer,
        }
    });
    let told = bench.ask(&Ask::all(&[ALICE, BOB, NOBODY], &[T])).unwrap();
    assert_eq!(told[0].amount(), 7);
    assert_eq!(told[1].kind(), Some(ErrorKind::RATE_LIMITED));
    assert_eq!(told[2].kind(), Some(ErrorKind::RATE_LIMITED));
    assert_eq!(
        actions(&bench),
        ["eth_call", "tokenbalance", "tokenbalance"]
    );
}

#[test]
fn a_call_ends_before_the_host_gives_it_up() {
    let bench = over(explorer);
    bench.slow(Duration::from_secs(2));
    let addresses: Vec<String> = (1..=20).map(|index| format!("0x{index:040x}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let told = bench.ask(&Ask::all(&addresses, &[T])).unwrap();
    assert_eq!(actions(&bench).len(), 4);
    assert!(matches!(told[2], Told::Known(..)));
    assert_eq!(told[3].kind(), Some(ErrorKind::MISSING));
}

#[test]
fn natives_and_tokens_never_stop_each_other() {
    let ask = Ask::all(&[ALICE], &[BNB, T]);
    let bench = spoilt("balancemulti", (200, "<html>".to_owned()));
    let told = bench.ask(&ask).unwrap();
    assert_eq!(told[0].kind(), Some(ErrorKind::MALFORMED));
    assert_eq!(told[1].amount(), 7);
    for action in ["eth_call", "tokenbalance"] {
        let bench = spoilt(action, (200, notok("Error! Invalid address format")));
        let told = bench.ask(&ask).unwrap();
        assert_eq!(told[0].amount(), 100);
        assert_eq!(told[1].kind(), Some(ErrorKind::REFUSED));
    }
}

#[test]
fn data_with_a_remark_about_the_key_is_data() {
    let bench = over(|path| {
        let (status, body) = explorer(path);
        (status, body.replace("\"OK\"", &format!("\"{KEY_REMARK}\"")))
    });
    assert_eq!(
        amounts(&bench.ask(&Ask::all(&[ALICE], &[BNB])).unwrap()),
        [100]
    );
    assert!(bench.log()[0].contains(KEY_REMARK));
}

#[test]
fn the_identity_is_the_chain_id_by_either_way() {
    assert_eq!(over(explorer).identity().unwrap(), "56");
    let bench = over(|path| match query(path, "action").unwrap() {
        "eth_chainId" => (200, notok("Error! Missing Or invalid Action name")),
        "eth_call" => {
            let multicall = "0xca11bde05977b3631167028862be2a173976ca11";
            assert_eq!(query(path, "to"), Some(multicall));
            assert_eq!(query(path, "data"), Some("0x3408e470"));
            (200, proxied(&json!(format!("{:#066x}", 97))))
        }
        other => panic!("asked for {other}"),
    });
    assert_eq!(bench.identity().unwrap(), "97");
    let error = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "oops"}});
    let bench = spoilt("eth_chainId", (200, error.to_string()));
    assert_eq!(bench.identity().unwrap_err().kind, ErrorKind::SERVER_ERROR);
}

#[test]
fn a_lowest_height_is_compared_with_the_newest_block() {
    let bench = over(explorer);
    let mut ask = Ask::all(&[ALICE], &[BNB]);
    ask.min_height = 100;
    assert_eq!(amounts(&bench.ask(&ask).unwrap()), [100]);
    ask.min_height = 101;
    no_amount(&bench, &ask, ErrorKind::LAGGING);
}

#[test]
fn no_height_is_promised_and_none_is_read() {
    let bench = over(explorer);
    assert_eq!(bench.caps().can & (CAP_PINNED | CAP_MIN_HEIGHT), 0);
    for asset in [BNB, T] {
        let mut ask = Ask::all(&[ALICE, BOB], &[asset]);
        ask.at_height = 100;
        no_amount(&bench, &ask, ErrorKind::UNSUPPORTED);
    }
    assert!(actions(&bench).is_empty());
}

#[test]
fn only_latest_is_offered() {
    let bench = over(explorer);
    let mut ask = Ask::all(&[ALICE], &[BNB]);
    for commitment in [Commitment::CONFIRMED, Commitment::FINALIZED] {
        ask.commitment = commitment;
        no_amount(&bench, &ask, ErrorKind::UNSUPPORTED);
    }
    assert!(actions(&bench).is_empty());
}

#[test]
fn an_identity_is_needed() {
    for identity in [
        None,
        Some(""),
        Some("0x38"),
        Some("bsc"),
        Some("-56"),
        Some("+56"),
    ] {
        let opened = Bench::open::<BscScan>(identity, &json!({}), |_, _| (500, String::new()));
        let message = opened.unwrap_err().message;
        assert!(
            message.contains("`identity`") && message.contains("\"56\""),
            "{message}"
        );
    }
}

#[test]
fn caps_make_a_call_one_kind_of_request() {
    let bench = over(explorer);
    let caps = bench.caps();
    assert_eq!(
        (
            caps.cells_per_call_max,
            caps.addresses_per_call_max,
            caps.assets_per_call_max
        ),
        (20, 20, 1)
    );
    let cost = caps.cost;
    assert_eq!(
        (
            cost.call,
            cost.native_batch,
            cost.native_cell,
            cost.token_cell
        ),
        (0, 1, 0, 1)
    );
    let checksummed = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    assert_eq!(bench.validate(checksummed).unwrap(), ALICE);
    let error = bench
        .validate(&checksummed.replace("5aA", "5AA"))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::INVALID_ADDRESS);
}
