//! Answers that are none, or not of this chain's moment.

use scanhost_plugin_api::__private::abi::ErrorKind;
use serde_json::{Value, json};

use super::bench::{ALICE, Answer, Ask, BOB, Bench, Ledger, NOBODY, Read, SYSTEM, error, ok};
use super::{MANY, OWNED, SLOT, SOL, USDC_6, all};

/// Bodies and statuses that are no answer, and what each is.
pub(super) fn faults() -> Vec<(&'static str, Answer, ErrorKind)> {
    let body = |body: &str| (200, vec![], body.to_owned());
    let result = |result: Value| ok(&json!({"jsonrpc": "2.0", "id": 0, "result": result}));
    let at = |value: Value| result(json!({"context": {"slot": SLOT}, "value": value}));
    let account = |field: &str, value: Value| {
        let mut account = json!({
            "data": ["", "base64"], "executable": false, "lamports": 3, "owner": SYSTEM,
            "rentEpoch": u64::MAX, "space": 0,
        });
        account[field] = value;
        at(json!([account]))
    };
    let told = |code, message: &str| {
        ok(&json!({"jsonrpc": "2.0", "id": 0, "error": error(code, message)}))
    };
    let page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
    let limited = (429, vec![("retry-after", "7")], String::new());
    let malformed = ErrorKind::MALFORMED;
    vec![
        ("no answer", (0, vec![], String::new()), ErrorKind::TIMEOUT),
        ("nothing", body(""), malformed),
        ("a page", body(page), malformed),
        ("text", body("upstream error"), malformed),
        ("null", body("null"), malformed),
        ("an empty object", body("{}"), malformed),
        ("an empty list", body("[]"), malformed),
        ("zero", body("0"), malformed),
        (
            "cut short",
            body(r#"{"jsonrpc":"2.0","id":0,"result":{"conte"#),
            malformed,
        ),
        ("no result", body(r#"{"jsonrpc":"2.0","id":0}"#), malformed),
        (
            "another id",
            body(r#"{"jsonrpc":"2.0","id":4,"result":null}"#),
            malformed,
        ),
        ("a null result", result(Value::Null), malformed),
        ("a result of zero", result(json!(0)), malformed),
        ("no context", result(json!({"value": [null]})), malformed),
        (
            "no slot",
            result(json!({"context": {}, "value": [null]})),
            malformed,
        ),
        (
            "a slot as text",
            result(json!({"context": {"slot": "7"}, "value": [null]})),
            malformed,
        ),
        (
            "no value",
            result(json!({"context": {"slot": SLOT}})),
            malformed,
        ),
        ("a null value", at(Value::Null), malformed),
        (
            "a value that is no list",
            at(json!({"lamports": 3})),
            malformed,
        ),
        ("a number for an account", at(json!([0])), malformed),
        ("an empty account", at(json!([{}])), malformed),
        ("text for an account", at(json!([""])), malformed),
        ("no lamports", account("lamports", Value::Null), malformed),
        (
            "lamports as text",
            account("lamports", json!("3")),
            malformed,
        ),
        (
            "lamports below zero",
            account("lamports", json!(-3)),
            malformed,
        ),
        (
            "lamports as a fraction",
            account("lamports", json!(3.0)),
            malformed,
        ),
        (
            "lamports past 64 bits",
            account("lamports", json!(1e20)),
            malformed,
        ),
        ("no owner", account("owner", Value::Null), malformed),
        (
            "an owner that is no address",
            account("owner", json!("me")),
            malformed,
        ),
        (
            "data that is not base64",
            account("data", json!(["!", "base64"])),
            malformed,
        ),
        (
            "data in base58",
            account("data", json!(["", "base58"])),
            malformed,
        ),
        ("data as text", account("data", json!("")), malformed),
        (
            "parsed data",
            account("data", json!({"parsed": {}})),
            malformed,
        ),
        ("429", limited, ErrorKind::RATE_LIMITED),
        ("401", (401, vec![], String::new()), ErrorKind::UNAUTHORIZED),
        (
            "403",
            (403, vec![], page.to_owned()),
            ErrorKind::UNAUTHORIZED,
        ),
        ("402", (402, vec![], String::new()), ErrorKind::QUOTA),
        ("413", (413, vec![], page.to_owned()), ErrorKind::TOO_LARGE),
        (
            "502",
            (502, vec![], page.to_owned()),
            ErrorKind::SERVER_ERROR,
        ),
        (
            "rate in 200",
            told(429, "Too many requests for a specific RPC call"),
            ErrorKind::RATE_LIMITED,
        ),
        (
            "behind",
            told(-32005, "Node is behind by 42 slots"),
            ErrorKind::LAGGING,
        ),
        (
            "unhealthy",
            told(-32005, "Node is unhealthy"),
            ErrorKind::SERVER_ERROR,
        ),
        (
            "no such method",
            told(-32601, "Method not found"),
            ErrorKind::UNSUPPORTED,
        ),
        (
            "a bad key",
            told(-32602, "Invalid param: WrongSize"),
            ErrorKind::REFUSED,
        ),
        (
            "internal",
            told(-32603, "Internal error"),
            ErrorKind::SERVER_ERROR,
        ),
        (
            "a cap of none",
            told(-32602, "Too many inputs provided; max 0"),
            ErrorKind::TOO_LARGE,
        ),
        (
            "a cap above",
            told(-32602, "Too many inputs provided; max 9"),
            ErrorKind::TOO_LARGE,
        ),
    ]
}

#[test]
fn no_fault_is_an_amount_of_anything() {
    for (fault, answer, kind) in faults() {
        for (options, method, asset) in [
            (json!({}), MANY, SOL),
            (json!({}), MANY, USDC_6),
            (all(), OWNED, USDC_6),
        ] {
            let answer = answer.clone();
            let bench = Bench::spoilt(options, method, move |_, _| answer.clone());
            let told = match bench.ask(&Ask::new(&[ALICE], &[asset])) {
                Err(error) => error.kind,
                Ok(reads) => match reads[..] {
                    [Read::Unknown(kind)] => kind,
                    _ => panic!("{fault} for {asset:?} by {method}: {reads:?}"),
                },
            };
            assert_eq!(told, kind, "{fault} for {asset:?} by {method}");
        }
    }
}

#[test]
fn retry_after_reaches_the_host() {
    let limited = |_: &Value, _: Value| (429, vec![("retry-after", "7")], String::new());
    let bench = Bench::spoilt(json!({}), MANY, limited);
    let error = bench.ask(&Ask::new(&[ALICE], &[SOL])).unwrap_err();
    assert_eq!((error.http_status, error.retry_after_ms), (429, 7000));
}

#[test]
fn a_list_of_another_length_says_nothing() {
    let spoilt = |spoil: fn(&mut Vec<Value>)| {
        let bench = Bench::spoilt(json!({}), MANY, move |_, mut answer| {
            spoil(answer["result"]["value"].as_array_mut().unwrap());
            ok(&answer)
        });
        let ask = Ask::new(&[ALICE, BOB, NOBODY], &[SOL, USDC_6]);
        bench.ask(&ask).unwrap_err().kind
    };
    assert_eq!(spoilt(|value| value.truncate(5)), ErrorKind::MISSING);
    assert_eq!(spoilt(|value| drop(value.remove(0))), ErrorKind::MISSING);
    assert_eq!(spoilt(Vec::clear), ErrorKind::MISSING);
    assert_eq!(
        spoilt(|value| value.push(Value::Null)),
        ErrorKind::MALFORMED
    );
}

#[test]
fn one_odd_account_leaves_the_others_known() {
    let bench = Bench::spoilt(json!({}), MANY, |_, mut answer| {
        answer["result"]["value"][2]["lamports"] = json!("1");
        ok(&answer)
    });
    let reads = bench.ask(&Ask::new(&[ALICE, BOB], &[SOL, USDC_6])).unwrap();
    let odd = Read::Unknown(ErrorKind::MALFORMED);
    let known = |amount| Read::Known(amount, SLOT);
    assert_eq!(reads, [known(5_000_000_000), known(7), odd, known(0)]);
}

#[test]
fn a_node_behind_the_asked_slot_lags() {
    let bench = Bench::over(Ledger::new());
    let mut ask = Ask::new(&[ALICE], &[SOL, USDC_6]);
    ask.min_height = SLOT;
    assert_eq!(
        bench.ask(&ask).unwrap()[0],
        Read::Known(5_000_000_000, SLOT)
    );
    let requests = bench.requests(MANY);
    assert_eq!(
        requests.last().unwrap()["params"][1]["minContextSlot"],
        SLOT
    );
    ask.min_height = SLOT + 1;
    assert_eq!(bench.ask(&ask).unwrap_err().kind, ErrorKind::LAGGING);
}

#[test]
fn a_node_that_ignores_the_asked_slot_is_caught() {
    for (options, method) in [(json!({}), MANY), (all(), OWNED)] {
        let bench = Bench::spoilt(options, method, |request, _| {
            let mut request = request.clone();
            let config = request["params"]
                .as_array_mut()
                .unwrap()
                .last_mut()
                .unwrap();
            config.as_object_mut().unwrap().remove("minContextSlot");
            ok(&Ledger::new().answer(&request))
        });
        let mut ask = Ask::new(&[ALICE], &[USDC_6]);
        // The mint is known by then.
        assert_eq!(bench.ask(&ask).unwrap(), [Read::Known(7, SLOT)]);
        ask.min_height = SLOT + 1;
        let error = bench.ask(&ask).unwrap_err();
        assert_eq!(error.kind, ErrorKind::LAGGING, "{method}");
        assert!(error.message.contains("the answer is of slot"), "{method}");
    }
}

#[test]
fn a_lowest_slot_holds_for_one_cell_and_for_many_of_either_kind() {
    for options in [json!({}), json!({"batch": 1}), all()] {
        for assets in [&[SOL][..], &[USDC_6], &[SOL, USDC_6]] {
            for wallets in [&[ALICE][..], &[ALICE, BOB, NOBODY]] {
                let bench = Bench::with(options.clone(), Ledger::new());
                let mut ask = Ask::new(wallets, assets);
                ask.min_height = SLOT + 1;
                let error = bench.ask(&ask).unwrap_err();
                assert_eq!(error.kind, ErrorKind::LAGGING, "{options}");
                assert_eq!(error.code, -32016, "{options}");
                ask.min_height = SLOT;
                for read in bench.ask(&ask).unwrap() {
                    assert!(matches!(read, Read::Known(_, SLOT)), "{options}: {read:?}");
                }
            }
        }
    }
}

#[test]
fn a_slot_that_goes_back_within_a_call_costs_only_what_is_older() {
    let bench = Bench::new(json!({"batch": 1}), |request| {
        let mut ledger = Ledger::new();
        // Behind a balancer the second node is a slot behind, and heeds no lowest slot.
        ledger.slot -= u64::from(request["params"][0][0] == BOB);
        let mut request = request.clone();
        request["params"][1]
            .as_object_mut()
            .unwrap()
            .remove("minContextSlot");
        ok(&ledger.answer(&request))
    });
    let mut ask = Ask::new(&[ALICE, BOB], &[SOL]);
    ask.min_height = SLOT;
    let known = Read::Known(5_000_000_000, SLOT);
    let lagging = Read::Unknown(ErrorKind::LAGGING);
    assert_eq!(bench.ask(&ask).unwrap(), [known, lagging]);
}

#[test]
fn a_single_slot_is_not_offered() {
    let bench = Bench::over(Ledger::new());
    for assets in [&[SOL][..], &[USDC_6]] {
        let mut ask = Ask::new(&[ALICE, BOB], assets);
        ask.at_height = SLOT;
        let error = bench.ask(&ask).unwrap_err();
        assert_eq!(error.kind, ErrorKind::UNSUPPORTED);
        assert!(error.message.contains(&SLOT.to_string()), "{error:?}");
    }
    assert!(bench.requests(MANY).is_empty(), "nothing is asked");
}

#[test]
fn what_was_answered_before_a_failure_is_known() {
    let mut ledger = Ledger::new();
    ledger.accounts_max = 2;
    let bench = Bench::new(json!({}), move |request| {
        match request["params"][0][0] == ALICE {
            true => ok(&ledger.answer(request)),
            false => (502, vec![], String::new()),
        }
    });
    let reads = bench.ask(&Ask::new(&[ALICE, BOB, NOBODY], &[SOL])).unwrap();
    let failed = Read::Unknown(ErrorKind::SERVER_ERROR);
    assert_eq!(
        reads,
        [
            Read::Known(5_000_000_000, SLOT),
            Read::Known(1, SLOT),
            failed
        ]
    );
}
