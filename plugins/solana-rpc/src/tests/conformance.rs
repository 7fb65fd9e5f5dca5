//! The conformance checks, over a node in good order.

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::Sample;
use serde_json::{Value, json};
use solana_pubkey::Pubkey;

use super::bench::{ALICE, BOB, GENESIS, Ledger, NOBODY, PYUSD, USDC};
use crate::provider::SolanaRpc;

fn sample() -> Sample {
    let assets = [(None, 9), (Some(USDC), 6), (Some(PYUSD), 6)];
    let ledger = Ledger::new();
    Sample::new("mainnet")
        .identity(GENESIS)
        .options(json!({}))
        .addresses([ALICE, BOB, NOBODY])
        .more_addresses(|number| {
            let mut bytes = [7; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            Pubkey::from(bytes).to_string()
        })
        .assets(assets.map(|(contract, decimals)| Asset { contract, decimals }))
        .invalid([
            // A letter that base58 has not; too short; another chain's.
            "0Agk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk",
            "HAgk14JpMQLgt6rVgv7c",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        ])
        .upstream(move |request| {
            let request: Value = serde_json::from_slice(&request.body).unwrap();
            Ok(Response {
                status: 200,
                headers: vec![],
                body: ledger.answer(&request).to_string().into_bytes(),
            })
        })
}

scanhost_plugin_api::conformance! {
    Provider = SolanaRpc,
    manifest = "plugin.json",
    sample = sample(),
}
