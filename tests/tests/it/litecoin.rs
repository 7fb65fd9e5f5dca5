//! A sixth plugin, for a chain that nothing of the host knows.

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use scanhost_tests::product::{Chain, Config, IMPATIENT, Product};
use serde_json::json;

const GENESIS: &str = "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2";
const COUNT: u32 = 300;

/// Of a key's hash.
fn address(number: u32) -> String {
    let mut bytes = vec![48];
    bytes.extend(number.to_le_bytes());
    bytes.resize(21, 1);
    bitcoin::base58::encode_check(&bytes)
}

/// A third holds nothing.
fn sats(number: u32) -> u64 {
    u64::from(number % 3) * 1_000_000_007
}

/// An Esplora host for Litecoin.
async fn esplora() -> String {
    let balance = |Path(asked): Path<String>| async move {
        let number = (0..COUNT).find(|number| address(*number) == asked);
        let number = number.ok_or((StatusCode::BAD_REQUEST, "Invalid Litecoin address"))?;
        let stats = |funded: u64| {
            json!({
                "funded_txo_count": 1, "funded_txo_sum": funded, "spent_txo_count": 0,
                "spent_txo_sum": 0, "tx_count": 1,
            })
        };
        let body = json!({
            "address": asked, "chain_stats": stats(sats(number)), "mempool_stats": stats(0),
        });
        Ok::<_, (StatusCode, &str)>(body.to_string())
    };
    let router = Router::new()
        .route("/api/block-height/0", get(|| async { GENESIS }))
        .route("/api/blocks/tip/height", get(|| async { "2900000" }))
        .route("/api/address/{address}", get(balance));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/api")
}

#[tokio::test(flavor = "multi_thread")]
async fn litecoin_space_reads_what_an_esplora_host_holds() {
    let config = Config::new()
        .chain(&Chain {
            name: "ltc",
            network: "mainnet",
            identity: Some(GENESIS),
            pool: &["litecoin-space"],
            assets: &[("LTC", None, 8)],
            list: Some("ltc.txt"),
            more: IMPATIENT,
        })
        .provider("litecoin-space", "litecoin-space", &esplora().await, "");
    let product = Product::new(&config);
    let addresses: Vec<String> = (0..COUNT).map(address).collect();
    let strangers = [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    ];
    product.write(
        "ltc.txt",
        [&addresses[..], &strangers.map(str::to_owned)]
            .concat()
            .join("\n"),
    );
    let run = product.run(&["scan", "--format", "json"]).expect(0);
    let (known, invalid): (Vec<_>, Vec<_>) = run
        .rows()
        .into_iter()
        .partition(|row| row["status"] == "known");
    assert_eq!(
        (known.len(), invalid.len()),
        (COUNT as usize, strangers.len())
    );
    for (row, number) in known.iter().zip(0..) {
        assert_eq!(row["address"], address(number), "{row}");
        assert_eq!(row["amount"], sats(number).to_string(), "{row}");
        assert_eq!(row["height"], 2_900_000, "{row}");
    }
    assert!(invalid.iter().all(|row| row["status"] == "invalid"));
}
