//! Addresses, identity, options, caps.

use scanhost_plugin_api::__private::abi::{self, ErrorKind};
use serde_json::json;

use super::bench::{
    ALICE, Ask, BOB, Bench, GENESIS, Ledger, NOBODY, Read, SYSTEM, USDC, ok, open_on,
};
use super::faults::faults;
use super::{SLOT, SOL, all};

#[test]
fn the_identity_is_the_genesis_hash() {
    assert_eq!(Bench::over(Ledger::new()).identity().unwrap(), GENESIS);
    for (fault, answer, kind) in faults() {
        let bench = Bench::new(json!({}), move |_| answer.clone());
        let error = bench.identity().unwrap_err();
        assert!(
            [kind, ErrorKind::MALFORMED].contains(&error.kind),
            "{fault}"
        );
    }
    let text = |text: &'static str| {
        let bench = Bench::new(json!({}), move |_| {
            ok(&json!({"jsonrpc": "2.0", "id": 0, "result": text}))
        });
        bench.identity().unwrap_err().kind
    };
    assert_eq!(text(""), ErrorKind::MALFORMED);
    assert_eq!(text("ok"), ErrorKind::MALFORMED);
}

#[test]
fn addresses_are_32_bytes_of_base58() {
    for network in ["mainnet", "testnet", "devnet"] {
        let provider = open_on(network, json!({})).unwrap();
        for valid in [ALICE, BOB, NOBODY, USDC, SYSTEM] {
            assert_eq!(provider.validate_address(valid).unwrap(), valid);
        }
        let long = "1".repeat(33);
        let huge = "1".repeat(1 << 16);
        let padded = format!("1{ALICE}");
        for invalid in [
            "",
            " ",
            "0",
            &ALICE[2..],
            &ALICE[..42],
            &ALICE.to_lowercase(),
            &format!(" {ALICE}"),
            &format!("{ALICE} "),
            &format!("{ALICE}\n"),
            &format!("{ALICE}1"),
            &padded,
            &long,
            &huge,
            "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpq0",
            "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqé",
            "0x55d398326f99059fF775485246999027B3197955",
            "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        ] {
            let error = provider.validate_address(invalid).unwrap_err();
            assert_eq!(error.kind, ErrorKind::INVALID_ADDRESS, "{invalid:?}");
        }
    }
}

#[test]
fn an_invalid_wallet_is_invalid_and_alone() {
    let reads = Bench::over(Ledger::new()).ask(&Ask::new(&["bc1q", ALICE], &[SOL]));
    let invalid = Read::Invalid(ErrorKind::INVALID_ADDRESS);
    assert_eq!(reads.unwrap(), [invalid, Read::Known(5_000_000_000, SLOT)]);
}

#[test]
fn caps_follow_the_options() {
    let caps = |options| open_on("mainnet", options).unwrap().describe().unwrap();
    let default = caps(json!({}));
    let can = abi::CAP_NATIVE | abi::CAP_TOKENS | abi::CAP_MIN_HEIGHT;
    assert_eq!(default.can, can, "it reads at no single slot");
    assert_eq!(
        (default.cells_per_call_max, default.addresses_per_call_max),
        (100, 100)
    );
    assert_eq!((default.cost.call, default.cost.token_cell), (1, 0));
    assert_eq!(default.token_scope, abi::Scope::ASSOCIATED);
    assert_eq!(default.commitment_default, abi::Commitment::FINALIZED);
    let few = caps(json!({"batch": 7}));
    assert_eq!((few.cells_per_call_max, few.addresses_per_call_max), (7, 7));
    let all = caps(all());
    assert_eq!(
        (all.cost.call, all.cost.native_batch, all.cost.token_cell),
        (0, 1, 1)
    );
    assert_eq!(
        (all.token_scope, all.cells_per_call_max),
        (abi::Scope::ALL, 10)
    );
}

#[test]
fn no_address_is_derived_and_the_reason_is_told() {
    let request = abi::DeriveRequest {
        key: ALICE.into(),
        branch: 0,
        start: 0,
        count: 1,
        reserved: [0; 4],
    };
    let provider = open_on("mainnet", json!({})).unwrap();
    let error = provider.derive(request).unwrap_err();
    assert_eq!(error.kind, ErrorKind::UNSUPPORTED);
    assert!(
        error.message.contains("hardened children only"),
        "{error:?}"
    );
}

#[test]
fn options_and_networks_that_make_no_sense_are_refused() {
    for options in [
        json!({"batch": 0}),
        json!({"batch": 101}),
        json!({"batch": "5"}),
        json!({"token_accounts": "some"}),
        json!({"tokens": "all"}),
    ] {
        assert!(open_on("mainnet", options.clone()).is_err(), "{options}");
    }
    let error = open_on("signet", json!({})).unwrap_err();
    assert!(error.message.contains("no network `signet`"), "{error:?}");
}
