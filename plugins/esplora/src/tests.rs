//! The provider against an upstream that is a function.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::{Answer, Kit, answers};
use serde_json::{Value, json};

use crate::{Esplora, Service};

mod heights;

const GENESIS: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
const TIP_HASH: &str = "00000000000000000001a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7";
const NEXT_HASH: &str = "00000000000000000002a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7";
const A: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
const B: &str = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
const C: &str = "3P14159f73E4gFr7JterCCQh9QjiTjiZrG";

const NATIVE: Asset<'static> = Asset {
    contract: None,
    decimals: 8,
};
const TOKEN: Asset<'static> = Asset {
    contract: Some("0x55d398326f99059fF775485246999027B3197955"),
    decimals: 18,
};

struct Plain;

impl Service for Plain {
    const RATE_ADVICE: &'static str = "ask less often";
    const BAN: Option<Duration> = None;
}

struct Banning;

impl Service for Banning {
    const RATE_ADVICE: &'static str = "ask less often";
    const BAN: Option<Duration> = Some(Duration::from_secs(600));
}

/// A provider and the requests that it sent.
struct Bench<S> {
    kit: Kit,
    provider: Esplora<S>,
    sent: Arc<Mutex<Vec<Request>>>,
}

impl<S: Service> Bench<S> {
    fn new(
        options: Value,
        answer: impl Fn(&str) -> Result<Response, Error> + Send + Sync + 'static,
    ) -> Self {
        let sent: Arc<Mutex<Vec<Request>>> = Arc::default();
        let log = sent.clone();
        let kit = Kit::new(move |request: Request| {
            log.lock().unwrap().push(request.clone());
            answer(&request.path)
        });
        let provider = kit.open("mainnet", None, options).unwrap();
        Self {
            kit,
            provider,
            sent,
        }
    }

    /// Every asset at every address, with answers in the order of the cells.
    fn read(&self, addresses: &[&str], assets: &[Asset<'_>]) -> Result<Vec<Answer>, Error> {
        let cells: Vec<_> = (0_u16..)
            .zip(assets)
            .flat_map(|(asset, _)| (0_u32..).zip(addresses).map(move |(a, _)| (a, asset)))
            .collect();
        let request = Balances::new(addresses, assets, &cells, Commitment::Confirmed);
        let mut answers = answers(self.ask(&request)?);
        answers.sort_by_key(|(cell, _)| *cell);
        let (indices, answers): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
        assert_eq!(indices, (0..cells.len()).collect::<Vec<_>>());
        Ok(answers)
    }

    /// The native coin at every address, from a height on.
    fn read_from(&self, min_height: u64, addresses: &[&str]) -> Result<Vec<Answer>, Error> {
        let cells: Vec<_> = (0_u32..).zip(addresses).map(|(a, _)| (a, 0)).collect();
        let request = Balances::new(addresses, &[NATIVE], &cells, Commitment::Confirmed);
        let answers = answers(self.ask(&request.with_min_height(min_height))?);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    fn ask(&self, request: &Balances) -> Result<Readings, Error> {
        self.kit
            .run(async |cx| self.provider.balances(&cx, request).await)
    }

    fn paths(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        sent.iter().map(|request| request.path.clone()).collect()
    }
}

fn ok(body: impl Into<Vec<u8>>) -> Result<Response, Error> {
    status(200, body)
}

fn status(status: u16, body: impl Into<Vec<u8>>) -> Result<Response, Error> {
    Ok(Response {
        status,
        headers: Vec::new(),
        body: body.into(),
    })
}

/// The documented answer: 100,000 confirmed, 20,000 of them being spent, 5,000 on their way.
fn stats(address: &str) -> Value {
    json!({
        "address": address,
        "chain_stats": {
            "funded_txo_count": 2, "funded_txo_sum": 150_000,
            "spent_txo_count": 1, "spent_txo_sum": 50_000, "tx_count": 3,
        },
        "mempool_stats": {
            "funded_txo_count": 1, "funded_txo_sum": 5_000,
            "spent_txo_count": 1, "spent_txo_sum": 20_000, "tx_count": 1,
        },
    })
}

/// A service in order, tip 923,456.
fn healthy(path: &str) -> Result<Response, Error> {
    match path {
        "/block-height/0" => ok(GENESIS),
        "/blocks/tip/height" => ok("923456"),
        "/blocks/tip/hash" | "/block-height/923456" => ok(TIP_HASH),
        _ => match path.strip_prefix("/address/") {
            Some(address) => ok(stats(address).to_string()),
            None => status(404, format!("endpoint does not exist {path:?}")),
        },
    }
}

/// A service whose tip is in order and whose addresses are all answered so.
fn addresses_answer(
    answer: impl Fn() -> Result<Response, Error> + Send + Sync + 'static,
) -> Bench<Plain> {
    Bench::new(json!({ "batch": 25 }), move |path| {
        match path.starts_with("/address/") {
            true => answer(),
            false => healthy(path),
        }
    })
}

fn hash(text: &str) -> [u8; 32] {
    let byte = |index: usize| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap();
    std::array::from_fn(byte)
}

fn known(mark: Mark) -> Answer {
    Answer::Known {
        amount: Amount::from(100_000_u64),
        pending: Some(-15_000),
        mark,
    }
}

fn marked(height: u64, block_hash: &str) -> Mark {
    Mark {
        height: Some(height),
        block_hash: Some(hash(block_hash)),
    }
}

#[track_caller]
fn kind_of(answer: &Answer) -> ErrorKind {
    match answer {
        Answer::Unknown(error) => error.kind,
        _ => panic!("an amount where none was expected: {answer:?}"),
    }
}

#[test]
fn a_balance_is_the_confirmed_part_with_the_mempool_pending() {
    let bench = Bench::<Plain>::new(json!({}), healthy);
    let answers = bench.read(&[A], &[NATIVE]).unwrap();
    assert_eq!(answers, [known(marked(923_456, TIP_HASH))]);
    let expected = [
        "/blocks/tip/height".to_owned(),
        "/block-height/923456".to_owned(),
        format!("/address/{A}"),
    ];
    assert_eq!(bench.paths(), expected);
}

#[test]
fn an_address_without_history_holds_a_true_zero() {
    let empty = json!({
        "funded_txo_count": 0, "funded_txo_sum": 0,
        "spent_txo_count": 0, "spent_txo_sum": 0, "tx_count": 0,
    });
    let body = json!({ "address": A, "chain_stats": empty, "mempool_stats": empty }).to_string();
    let bench = addresses_answer(move || ok(body.clone()));
    let answers = bench.read(&[A], &[NATIVE]).unwrap();
    let expected = Answer::Known {
        amount: Amount::from(0_u64),
        pending: Some(0),
        mark: marked(923_456, TIP_HASH),
    };
    assert_eq!(answers, [expected]);
}

#[test]
fn no_broken_body_becomes_an_amount() {
    #[track_caller]
    fn check(body: impl Into<Vec<u8>>) {
        let body = body.into();
        let shown = String::from_utf8_lossy(&body).into_owned();
        let bench = addresses_answer(move || ok(body.clone()));
        let error = bench.read(&[A], &[NATIVE]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{shown}");
    }
    for body in [
        "",
        " ",
        "{}",
        "[]",
        "null",
        "0",
        "true",
        "\"0\"",
        "<html></html>",
        "ok",
        // Lists where objects belong, with every value in its place.
        &format!("[{A:?},[0,0,0,0,0],[0,0,0,0,0]]"),
        &format!(r#"{{"address":{A:?},"chain_stats":[0,0,0,0,0],"mempool_stats":[0,0,0,0,0]}}"#),
    ] {
        check(body);
    }
    check([0xff, 0xfe, 0x00]);
    let whole = stats(A).to_string();
    for end in 0..whole.len() {
        check(&whole[..end]);
    }
    check(format!("{whole}{whole}"));
    check(json!([stats(A)]).to_string());
    // Another address's balance, and a script's.
    check(stats(B).to_string());
    check(stats(&A.to_uppercase()).to_string());
    check(whole.replace("\"address\"", "\"scripthash\""));

    let parts = ["chain_stats", "mempool_stats"];
    let fields = [
        "tx_count",
        "funded_txo_count",
        "funded_txo_sum",
        "spent_txo_count",
        "spent_txo_sum",
    ];
    for part in parts {
        for bad in [json!(null), json!({}), json!(0), json!("0")] {
            let mut body = stats(A);
            body[part] = bad;
            check(body.to_string());
        }
        let mut body = stats(A);
        body.as_object_mut().unwrap().remove(part);
        check(body.to_string());
        for field in fields {
            let mut body = stats(A);
            body[part].as_object_mut().unwrap().remove(field);
            check(body.to_string());
            for bad in [
                json!(null),
                json!("7"),
                json!(-7),
                json!(7.5),
                json!(7e30),
                json!([7]),
            ] {
                let mut body = stats(A);
                body[part][field] = bad;
                check(body.to_string());
            }
        }
    }
}

#[test]
fn an_impossible_balance_is_no_amount() {
    #[track_caller]
    fn check(funded: u64, spent: u64) {
        let mut body = stats(A);
        body["chain_stats"]["funded_txo_sum"] = funded.into();
        body["chain_stats"]["spent_txo_sum"] = spent.into();
        let body = body.to_string();
        let bench = addresses_answer(move || ok(body.clone()));
        let error = bench.read(&[A], &[NATIVE]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{funded} - {spent}");
    }
    check(0, 1);
    check(50_000, 150_000);
    // More than all outputs together can hold.
    check(u64::MAX, u64::MAX);
    check(u64::MAX, 0);
    check(2_100_000_000_000_001, 0);
}

#[test]
fn a_rate_notice_is_one_with_status_200_too() {
    for body in [
        "Too Many Requests",
        r#"{"error":"Too Many Requests","message":"Blockstream Explorer API NOTICE"}"#,
        "<html><head><title>429 Too Many Requests</title></head></html>",
    ] {
        let bench = addresses_answer(move || ok(body));
        let error = bench.read(&[A], &[NATIVE]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::RateLimited, "{body}");
        assert!(error.message.ends_with(Plain::RATE_ADVICE), "{error}");
    }
}

#[test]
fn a_status_decides_before_the_body_does() {
    #[track_caller]
    fn check(code: u16, body: &'static str, expected: ErrorKind) {
        let bench = addresses_answer(move || status(code, body));
        let error = bench.read(&[A], &[NATIVE]).unwrap_err();
        assert_eq!((error.kind, error.http_status), (expected, Some(code)));
    }
    let whole: &'static str = stats(A).to_string().leak();
    for body in ["", "{}", "<html></html>", whole] {
        check(204, body, ErrorKind::Malformed);
        check(401, body, ErrorKind::Unauthorized);
        check(402, body, ErrorKind::Quota);
        check(403, body, ErrorKind::Unauthorized);
        check(404, body, ErrorKind::Refused);
        check(429, body, ErrorKind::RateLimited);
        check(500, body, ErrorKind::ServerError);
        check(502, body, ErrorKind::ServerError);
        check(520, body, ErrorKind::ServerError);
    }
    check(400, "Invalid Bitcoin address", ErrorKind::Refused);
    check(400, "Address on invalid network", ErrorKind::Refused);
}

#[test]
fn a_failed_transport_stays_what_it_is() {
    for kind in [ErrorKind::Timeout, ErrorKind::Transport] {
        let bench = addresses_answer(move || Err(Error::new(kind, "no answer")));
        let error = bench.read(&[A], &[NATIVE]).unwrap_err();
        assert_eq!(error.kind, kind);
    }
}

#[test]
fn a_rate_answer_comes_with_advice() {
    let bench = addresses_answer(|| status(429, "slow down"));
    let error = bench.read(&[A], &[NATIVE]).unwrap_err();
    assert_eq!(error.message, "HTTP 429: slow down; ask less often");
    assert_eq!(error.retry_after, None);
}

#[test]
fn a_403_of_a_service_without_keys_is_a_ban_that_ends() {
    let bench = Bench::<Banning>::new(json!({}), |_| status(403, "Forbidden"));
    let error = bench.read(&[A], &[NATIVE]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!(error.http_status, Some(403));
    assert_eq!(error.retry_after, Some(Duration::from_secs(600)));
    // A refused key stays one.
    let bench = Bench::<Banning>::new(json!({}), |_| status(401, "Unauthorized"));
    let error = bench.read(&[A], &[NATIVE]).unwrap_err();
    assert_eq!(
        (error.kind, error.retry_after),
        (ErrorKind::Unauthorized, None)
    );
}

#[test]
fn one_refused_address_leaves_its_neighbours_known() {
    let bench = Bench::<Plain>::new(json!({ "batch": 3 }), |path| match path {
        path if path.ends_with(B) => status(400, "Invalid Bitcoin address"),
        path => healthy(path),
    });
    let answers = bench.read(&[A, B, C], &[NATIVE]).unwrap();
    assert_eq!(answers[0], known(marked(923_456, TIP_HASH)));
    assert_eq!(kind_of(&answers[1]), ErrorKind::Refused);
    assert_eq!(answers[2], known(marked(923_456, TIP_HASH)));
}

#[test]
fn when_nothing_is_answered_the_providers_fault_is_told() {
    let bench = Bench::<Plain>::new(json!({ "batch": 3 }), |path| match path {
        path if path.ends_with(A) => status(400, "Invalid Bitcoin address"),
        path if path.ends_with(B) => status(500, ""),
        path if path.ends_with(C) => status(429, ""),
        path => healthy(path),
    });
    let error = bench.read(&[A, B, C], &[NATIVE]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ServerError);
    let error = bench.read(&[A, C], &[NATIVE, TOKEN]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RateLimited);
}

#[test]
fn after_a_rate_answer_the_rest_of_the_call_is_not_asked() {
    let bench = Bench::<Plain>::new(json!({ "batch": 3 }), |path| match path {
        path if path.ends_with(B) => status(429, ""),
        path => healthy(path),
    });
    let answers = bench.read(&[A, B, C], &[NATIVE]).unwrap();
    assert_eq!(answers[0], known(marked(923_456, TIP_HASH)));
    assert_eq!(kind_of(&answers[1]), ErrorKind::RateLimited);
    assert_eq!(kind_of(&answers[2]), ErrorKind::RateLimited);
    assert!(!bench.paths().contains(&format!("/address/{C}")));
}

#[test]
fn a_token_is_unsupported_and_stops_no_native() {
    let bench = Bench::<Plain>::new(json!({ "batch": 2 }), healthy);
    let answers = bench.read(&[A], &[TOKEN, NATIVE]).unwrap();
    assert_eq!(kind_of(&answers[0]), ErrorKind::Unsupported);
    assert_eq!(answers[1], known(marked(923_456, TIP_HASH)));

    let bench = Bench::<Plain>::new(json!({}), healthy);
    let error = bench.read(&[A], &[TOKEN]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(bench.paths().is_empty(), "tokens were asked for");
}

#[test]
fn finalized_is_refused_and_latest_is_the_confirmed_amount() {
    let bench = Bench::<Plain>::new(json!({}), healthy);
    let request = |commitment| Balances::new(&[A], &[NATIVE], &[(0, 0)], commitment);
    let error = bench.ask(&request(Commitment::Finalized)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    let latest = bench.ask(&request(Commitment::Latest)).unwrap();
    assert_eq!(answers(latest), [(0, known(marked(923_456, TIP_HASH)))]);
}

#[test]
fn the_tip_is_asked_once_in_30_s_and_its_hash_once_per_height() {
    let height = Arc::new(Mutex::new(923_456_u64));
    let upstream = height.clone();
    let bench = Bench::<Plain>::new(json!({}), move |path| match path {
        "/blocks/tip/height" => ok(upstream.lock().unwrap().to_string()),
        "/block-height/923457" => ok(NEXT_HASH),
        path => healthy(path),
    });
    let count = |path: &str| bench.paths().iter().filter(|sent| *sent == path).count();
    let read = || bench.read(&[A], &[NATIVE]).unwrap().remove(0);
    let old = known(marked(923_456, TIP_HASH));
    let new = known(marked(923_457, NEXT_HASH));

    assert_eq!(read(), old);
    *height.lock().unwrap() += 1;
    bench.kit.advance(Duration::from_millis(29_999));
    assert_eq!(read(), old);
    assert_eq!(count("/blocks/tip/height"), 1);

    bench.kit.advance(Duration::from_millis(1));
    assert_eq!(read(), new);
    bench.kit.advance(Duration::from_secs(30));
    assert_eq!(read(), new);
    assert_eq!(count("/blocks/tip/height"), 3);
    assert_eq!(count("/block-height/923456"), 1);
    assert_eq!(count("/block-height/923457"), 1);
}

#[test]
fn a_tip_that_cannot_be_read_costs_the_mark_only() {
    #[track_caller]
    fn check(tip: impl Fn() -> Result<Response, Error> + Send + Sync + 'static) {
        let bench = Bench::<Plain>::new(json!({}), move |path| match path {
            "/blocks/tip/height" => tip(),
            path => healthy(path),
        });
        for _ in 0..2 {
            let answers = bench.read(&[A], &[NATIVE]).unwrap();
            assert_eq!(answers, [known(Mark::default())]);
        }
        assert_eq!(
            bench.kit.log().len(),
            1,
            "a failed look is not repeated at once"
        );
    }
    check(|| ok(""));
    check(|| ok("{}"));
    check(|| ok("-1"));
    check(|| status(429, "923456"));
    check(|| status(500, ""));
    check(|| Err(Error::new(ErrorKind::Timeout, "no answer")));
}

#[test]
fn a_tip_without_its_hash_still_has_its_height() {
    let bench = Bench::<Plain>::new(json!({}), |path| match path {
        "/block-height/923456" => status(404, "Block not found"),
        path => healthy(path),
    });
    let mark = Mark {
        height: Some(923_456),
        block_hash: None,
    };
    assert_eq!(bench.read(&[A], &[NATIVE]).unwrap(), [known(mark)]);
    assert_eq!(bench.kit.log().len(), 1);
}

#[test]
fn the_tip_may_not_take_the_time_of_the_balance() {
    let bench = Bench::<Plain>::new(json!({}), healthy);
    bench.read(&[A], &[NATIVE]).unwrap();
    let sent = bench.sent.lock().unwrap();
    let timeouts: Vec<_> = sent.iter().map(|request| request.timeout).collect();
    let short = Some(Duration::from_secs(3));
    assert_eq!(timeouts, [short, short, None]);
}

#[test]
fn a_service_behind_the_height_asked_for_is_lagging() {
    let height = Arc::new(Mutex::new(923_456_u64));
    let upstream = height.clone();
    let bench = Bench::<Plain>::new(json!({}), move |path| match path {
        "/blocks/tip/height" => ok(upstream.lock().unwrap().to_string()),
        "/blocks/tip/hash" if *upstream.lock().unwrap() == 923_457 => ok(NEXT_HASH),
        "/block-height/923457" => ok(NEXT_HASH),
        path => healthy(path),
    });
    let read = |min_height| bench.read_from(min_height, &[A]);
    assert_eq!(read(923_456).unwrap(), [known(marked(923_456, TIP_HASH))]);
    let error = read(923_457).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Lagging);
    assert_eq!(error.message, "the tip is 923456, not yet 923457");
    // The remembered tip does not do: it is asked again within the 30 s.
    *height.lock().unwrap() += 1;
    assert_eq!(read(923_457).unwrap(), [known(marked(923_457, NEXT_HASH))]);
}

#[test]
fn the_identity_is_the_hash_of_block_0() {
    let identity =
        |bench: &Bench<Plain>| bench.kit.run(async |cx| bench.provider.identity(&cx).await);
    let bench = Bench::new(json!({}), healthy);
    assert_eq!(identity(&bench).unwrap(), GENESIS);
    assert_eq!(bench.paths(), ["/block-height/0"]);
    for bad in [
        "",
        "{}",
        "null",
        "0",
        "<html></html>",
        &GENESIS[1..],
        &GENESIS.to_uppercase(),
    ] {
        let body = bad.to_owned();
        let bench = Bench::new(json!({}), move |_| ok(body.clone()));
        assert_eq!(
            identity(&bench).unwrap_err().kind,
            ErrorKind::Malformed,
            "{bad:?}"
        );
    }
    let bench = Bench::new(json!({}), |_| status(429, GENESIS));
    assert_eq!(identity(&bench).unwrap_err().kind, ErrorKind::RateLimited);
    let bench = Bench::new(json!({}), |_| status(404, "Block not found"));
    assert_eq!(identity(&bench).unwrap_err().kind, ErrorKind::Refused);
}

#[test]
fn the_batch_option_is_the_size_of_a_call() {
    let caps = |options| Bench::<Plain>::new(options, healthy).provider.caps();
    let one = caps(json!({}));
    let native = Caps::native(Commitment::Confirmed);
    let expected = Caps {
        min_height: true,
        derive: true,
        // The tip's height and its hash.
        cost: Cost {
            once: 2,
            ..native.cost
        },
        ..native
    };
    assert_eq!(one, expected, "it reads at no single height");
    let many = caps(json!({ "batch": 25 }));
    assert_eq!(
        (many.cells_per_call_max, many.addresses_per_call_max),
        (25, 25)
    );
    assert_eq!(many.cost, one.cost);

    let bench = Bench::<Plain>::new(json!({ "batch": 25 }), healthy);
    let answers = bench.read(&[A, B, C], &[NATIVE]).unwrap();
    assert_eq!(answers.len(), 3);
    let balances = bench
        .paths()
        .into_iter()
        .filter(|path| path.starts_with("/address/"));
    assert_eq!(balances.count(), 3);
}

#[test]
fn settings_that_do_not_fit_are_refused_at_opening() {
    let open = |network: &str, options: Value| {
        let kit = Kit::new(|_| status(500, ""));
        kit.open::<Esplora<Plain>>(network, None, options).map(drop)
    };
    for network in ["mainnet", "testnet", "testnet4", "signet", "regtest"] {
        open(network, json!({})).unwrap();
    }
    open("devnet", json!({})).unwrap_err();
    open("mainnet", json!({ "bach": 1 })).unwrap_err();
    open("mainnet", json!({ "batch": "1" })).unwrap_err();
}
