//! The conformance checks, on the ways that calls travel.

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::Sample;
use serde_json::Value;

use super::node::{ALICE, BOB, NOBODY, Node, USDC, USDT};

fn sample(options: Value) -> Sample {
    let assets = [None, Some(USDT), Some(USDC)].map(|contract| Asset {
        contract,
        decimals: 18,
    });
    Sample::new("mainnet")
        .identity("56")
        .options(options)
        .addresses([ALICE, BOB, NOBODY])
        .more_addresses(|number| format!("0x{:040x}", number + 0x1000))
        .assets(assets)
        .invalid([
            // A digit short; a wrong checksum; another chain's.
            "0x00000000000000000000000000000000000a11c",
            "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        ])
        .upstream(|request| {
            let (status, body) = Node::default().answer(&request.body);
            Ok(Response {
                status,
                headers: vec![],
                body: body.into_bytes(),
            })
        })
}

/// Everything in one call of Multicall3.
mod multicall {
    use serde_json::json;

    use crate::provider::BscRpc;

    scanhost_plugin_api::conformance! {
        Provider = BscRpc,
        manifest = "plugin.json",
        sample = super::sample(json!({})),
    }
}

/// Batches of JSON-RPC, whose answers come in any order.
mod batches {
    use serde_json::json;

    use crate::provider::BscRpc;

    scanhost_plugin_api::conformance! {
        Provider = BscRpc,
        manifest = "plugin.json",
        sample = super::sample(json!({"multicall": "off", "batch": 100})),
    }
}
