//! Sets of keys: as far as addresses are used, and a gap behind the last one.

use std::collections::BTreeMap;

use scanhost_tests::product::{Chain, Config, IMPATIENT, Product, Run};
use scanhost_tests::upstream::{
    BitcoinLedger, BodyForm, EvmLedger, Fault, HostKind, Kind, Stats, Upstream, World,
};
use serde_json::Value;

use super::{EVM, PLAIN, SEGWIT, derive, product};
use crate::lab::wait_until;
use crate::served::Served;

/// One branch, so that indices are those of the list.
fn receiving() -> String {
    format!("descriptor = \"wpkh({PLAIN}/0/*)\"")
}

/// Addresses of a key's branch, from its start.
fn addresses(chain: &str, key: &[&str], count: usize) -> Vec<String> {
    let count = count.to_string();
    let all = [key, &["--count", &count, "--format", "json"]].concat();
    let rows = derive(&product(), chain, &all).expect(0).rows();
    let address = |row: Value| row["address"].as_str().expect("it is text").to_owned();
    rows.into_iter().map(address).collect()
}

/// A Bitcoin ledger in which these indices of the branch hold that many satoshis; -1 were spent.
fn ledger(held: &[(usize, i64)]) -> BitcoinLedger {
    let descriptor = format!("wpkh({PLAIN}/0/*)");
    let all = addresses("btc", &["--descriptor", &descriptor], 128);
    let mut ledger = BitcoinLedger::new(bitcoin::Network::Bitcoin, 870_000);
    for (index, sats) in held {
        let stats = match u64::try_from(*sats) {
            Ok(sats) => Stats::confirmed_only(sats),
            Err(_) => {
                let mut stats = Stats::confirmed_only(1_000);
                stats.chain.spent_txo_count = 1;
                stats.chain.spent_txo_sum = 1_000;
                stats.chain.tx_count = 2;
                stats
            }
        };
        ledger.set(&all[*index], stats);
    }
    ledger
}

async fn upstream(ledger: BitcoinLedger) -> Upstream {
    let world =
        World::new()
            .with_ledger("btc", ledger)
            .with_host("esplora", HostKind::Esplora, "btc");
    Upstream::start(world).await.expect("a port is free")
}

fn watching(upstream: &Upstream, set: &str) -> Product {
    let chain = Chain {
        name: "btc",
        network: "mainnet",
        identity: None,
        pool: &["esplora"],
        assets: &[("BTC", None, 8)],
        list: None,
        more: IMPATIENT,
    };
    let endpoint = upstream.endpoint("esplora");
    let config = Config::new()
        .chain(&chain)
        .provider("esplora", "blockstream", &endpoint, "");
    let product = Product::new(&config);
    let text = format!("{}[[chains.btc.addresses]]\n{set}\n", config.text());
    product.write("scanhost.toml", text);
    product
}

fn scan(product: &Product, code: i32) -> Run {
    product
        .run(&["scan", "--fresh", "--format", "json"])
        .expect(code)
}

/// What is not zero, by the index in the label's path.
fn funded(rows: &[Value]) -> BTreeMap<u32, String> {
    let held = rows.iter().filter(|row| row["amount"] != "0");
    held.map(|row| {
        let path = row["label"].as_str().expect("a key's address has a path");
        let index = path.rsplit('/').next().expect("a path has an end");
        let amount = row["amount"].as_str().expect("it is known");
        (index.parse().expect("it is an index"), amount.to_owned())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_goes_on_behind_the_last_used_address_until_a_whole_gap_is_unused() {
    let held = [(0, 10), (3, 13), (19, 29), (38, 48), (60, 70)];
    let upstream = upstream(ledger(&held)).await;
    let product = watching(&upstream, &receiving());
    let run = scan(&product, 0);
    let rows = run.rows();
    let found: Vec<u32> = funded(&rows).into_keys().collect();
    // 60 is 22 behind 38.
    assert_eq!(found, [0, 3, 19, 38]);
    assert_eq!(rows.len(), 38 + 1 + 20);
    assert!(run.stderr.contains("20 more addresses"), "{}", run.stderr);
    // What was found is a part of the set from now on: nothing is found anew.
    let again = scan(&product, 0);
    assert_eq!(again.rows().len(), rows.len());
    assert!(!again.stderr.contains("more addresses"), "{}", again.stderr);

    let wide = watching(&upstream, &format!("{}\ngap_limit = 30", receiving()));
    let found = funded(&scan(&wide, 0).rows());
    assert_eq!(found.into_keys().collect::<Vec<_>>(), [0, 3, 19, 38, 60]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_was_emptied_is_used() {
    let upstream = upstream(ledger(&[(15, -1), (34, 5)])).await;
    let product = watching(&upstream, &receiving());
    let found = funded(&scan(&product, 0).rows());
    assert_eq!(found, BTreeMap::from([(34, "5".to_owned())]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answers_closes_no_gap() {
    let upstream = upstream(ledger(&[(19, 7), (30, 9)])).await;
    let product = watching(&upstream, &receiving());
    let body = BodyForm::Html;
    upstream.fault(Fault::at("esplora", Kind::Status { code: 503, body }));
    let rows = scan(&product, 3).rows();
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row["status"] == "unknown"));
    upstream.mend();
    let found = funded(&scan(&product, 0).rows());
    assert_eq!(found.into_keys().collect::<Vec<_>>(), [19, 30]);
    // It is down again: what was found stays a part of the set, and is unknown.
    upstream.fault(Fault::at("esplora", Kind::Status { code: 503, body }));
    let rows = scan(&product, 3).rows();
    assert_eq!(rows.len(), 30 + 1 + 20);
    assert!(rows.iter().all(|row| row["status"] == "unknown"));
    let last = rows.iter().filter(|row| row["last"]["amount"] == "9");
    assert_eq!(last.count(), 1, "the last good value stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_wallet_is_replayed_with_each_address_once() {
    let upstream = upstream(ledger(&[(19, 7), (30, 9)])).await;
    let product = watching(&upstream, &receiving());
    let run = |more: &[&str]| {
        let run = product
            .run(&[&["scan", "--format", "json"], more].concat())
            .expect(0);
        let address = |row: &Value| row["address"].as_str().map(str::to_owned);
        let mut addresses: Vec<_> = run.rows().iter().map(address).collect();
        addresses.sort();
        addresses
    };
    let recorded = run(&["--record", "wallet.jsonl"]);
    assert_eq!(recorded.len(), 30 + 1 + 20);
    assert_eq!(run(&["--replay", "wallet.jsonl"]), recorded);
}

#[test]
fn a_service_finds_them_too_and_has_them_as_a_set() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let upstream = runtime.block_on(upstream(ledger(&[(10, 1), (25, 2), (45, 3)])));
    let product = watching(&upstream, &format!("{}\nset = \"wallet\"", receiving()));
    let served = Served::start(&product);
    served.ended(&served.scan("btc"));
    let known = || served.items("balances?chain=btc");
    wait_until(|| known().len() == 45 + 1 + 20);
    let held: Vec<_> = known()
        .into_iter()
        .filter(|item| item["amount"] != "0")
        .collect();
    assert_eq!(held.len(), 3, "{held:?}");
    let set = served.items("addresses?chain=btc&set=wallet");
    assert_eq!(set.len(), 45 + 1 + 20);
    // The next scan of the set has all of them.
    let scan = served.ended(&served.scan("btc"));
    assert_eq!(scan["known"], 45 + 1 + 20, "{scan}");
    assert_eq!(served.stop().code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_branches_of_an_account_and_an_evm_key_are_watched() {
    let change = addresses("btc", &["--key", SEGWIT, "--branch", "1"], 6);
    let mut bitcoin = BitcoinLedger::new(bitcoin::Network::Bitcoin, 870_000);
    bitcoin.set_confirmed(&change[5], 55);
    let upstream_btc = upstream(bitcoin).await;
    let product = watching(&upstream_btc, &format!("xpub = \"{SEGWIT}\""));
    let rows = scan(&product, 0).rows();
    assert_eq!(rows.len(), 20 + 5 + 1 + 20);
    assert_eq!(funded(&rows), BTreeMap::from([(5, "55".to_owned())]));

    let evm = addresses("bsc", &["--key", EVM], 30);
    let mut ledger = EvmLedger::new(56, "BNB", 68_000_000);
    for index in [2, 21] {
        let address = evm[index].parse().expect("it is one");
        ledger
            .native
            .insert(address, alloy::primitives::U256::from(900 + index));
    }
    let world = World::new()
        .with_ledger("bsc", ledger)
        .with_host("node", HostKind::Evm, "bsc");
    let upstream = Upstream::start(world).await.expect("a port is free");
    let chain = Chain {
        name: "bsc",
        network: "mainnet",
        identity: Some("56"),
        pool: &["node"],
        assets: &[("BNB", None, 18)],
        list: None,
        more: IMPATIENT,
    };
    let config =
        Config::new()
            .chain(&chain)
            .provider("node", "bsc-rpc", &upstream.endpoint("node"), "");
    let product = Product::new(&config);
    let text = config.text();
    product.write(
        "scanhost.toml",
        format!("{text}[[chains.bsc.addresses]]\nxpub = \"{EVM}\"\n"),
    );
    let found = funded(&scan(&product, 0).rows());
    assert_eq!(found.into_keys().collect::<Vec<_>>(), [2, 21]);
}

#[test]
fn mistakes_are_told_with_their_place_and_without_the_key() {
    let config = Config::new().chain(&Chain {
        name: "btc",
        network: "mainnet",
        identity: None,
        pool: &["esplora"],
        assets: &[("BTC", None, 8)],
        list: None,
        more: "",
    });
    let config = config.provider("esplora", "blockstream", "http://127.0.0.1:1", "");
    let product = Product::new(&config);
    for (set, wanted) in [
        (
            "gap_limit = 5\nset = \"x\"".to_owned(),
            "goes with `descriptor`",
        ),
        (format!("{}\ngap_limit = 0", receiving()), "from 1 to 1000"),
        (
            format!("{}\nxpub = \"{PLAIN}\"", receiving()),
            "write one of",
        ),
        ("xpub = \"\"".to_owned(), "is empty"),
        (
            format!("xpub = \"{}\"", PLAIN.replace("xpub", "xprv")),
            "private key",
        ),
    ] {
        let text = format!("{}[[chains.btc.addresses]]\n{set}\n", config.text());
        product.write("scanhost.toml", text);
        let run = product.run(&["config", "check"]).expect(2);
        assert!(run.stderr.contains(wanted), "{set}:\n{}", run.stderr);
        assert!(!run.stderr.contains(&PLAIN[8..40]), "{}", run.stderr);
    }
    // What is no key of this chain is told when it is to be derived.
    let text = format!(
        "{}[[chains.btc.addresses]]\nxpub = \"xpub-no-key\"\n",
        config.text()
    );
    product.write("scanhost.toml", text);
    let run = product.run(&["scan"]).expect(2);
    assert!(
        run.stderr.contains("chain `btc`: set `key-"),
        "{}",
        run.stderr
    );
    // The key is shown shortened.
    let text = format!(
        "{}[[chains.btc.addresses]]\n{}\n",
        config.text(),
        receiving()
    );
    product.write("scanhost.toml", text);
    let shown = product.run(&["config", "show"]).expect(0).stdout;
    assert!(shown.contains("wpkh(xpub6Cat…PW6V/0/*)"), "{shown}");
}
