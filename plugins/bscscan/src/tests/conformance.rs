//! The conformance checks, over an explorer in good order.

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::Sample;

use super::{ALICE, BOB, NOBODY, USDT, explorer, notok, query};
use crate::provider::BscScan;

fn sample() -> Sample {
    let assets = [None, Some(USDT)].map(|contract| Asset {
        contract,
        decimals: 18,
    });
    Sample::new("mainnet")
        .identity("56")
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
            let (status, body) = checked(&request.path);
            Ok(Response {
                status,
                headers: vec![],
                body: body.into_bytes(),
            })
        })
}

/// The explorer with its own look at addresses.
fn checked(path: &str) -> (u16, String) {
    let addresses: Vec<_> = query(path, "address")
        .unwrap_or_default()
        .split(',')
        .collect();
    let is_address = |text: &&str| text.is_empty() || text.len() == 42 && text.starts_with("0x");
    match addresses.iter().all(is_address) {
        true if addresses.len() <= 20 => explorer(path),
        true => (200, notok("Maximum of 20 addresses per call")),
        false => (200, notok("Error! Invalid address format")),
    }
}

scanhost_plugin_api::conformance! {
    Provider = BscScan,
    manifest = "plugin.json",
    sample = sample(),
}
