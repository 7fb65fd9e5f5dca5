//! State by height: what a block changed is so from that block on.

use super::*;

const HEAD: u64 = 1000;
/// A block from now on everything that [`moving`] says has moved.
const BLOCK_MS: i64 = 450;

/// The block after the newest leaves Alice 5 wei and 6 units, one address 7 satoshis, the wallet 8
/// lamports and 9 units.
fn moving() -> World {
    let mut world = world();
    let alice: Address = ALICE.parse().unwrap();
    let wallet: Pubkey = WALLET.parse().unwrap();
    for name in ["btc", "bsc", "sol"] {
        let ledger = world.ledger_mut(name).unwrap();
        let blocks = ledger.blocks_mut();
        blocks.block_ms = BLOCK_MS.unsigned_abs();
        blocks.since_ms = NOW_MS;
        let next = blocks.height + 1;
        match ledger {
            Ledger::Bitcoin(ledger) => ledger.change(BECH32, next, Stats::confirmed_only(7)),
            Ledger::Evm(ledger) => {
                ledger.change(None, alice, next, U256::from(5));
                ledger.change(Some(USDT.parse().unwrap()), alice, next, U256::from(6));
            }
            Ledger::Solana(ledger) => {
                ledger.change(wallet, next, 8);
                ledger.change_token(wallet, SOL_USDC.parse().unwrap(), next, 9);
            }
        }
    }
    world
}

fn later(world: &mut World, blocks: i64, host: &str, method: &str, params: &Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let ask = Request::post_json(format!("/{host}"), body.to_string());
    let response = world.handle(&ask, NOW_MS + blocks * BLOCK_MS);
    serde_json::from_slice(&response.body).unwrap()
}

/// Native and token amount of Alice at a block, `blocks` after now.
fn alice_at(world: &mut World, blocks: i64, block: &str) -> [Value; 2] {
    let data = format!("0x70a08231{:0>64}", &ALICE[2..]);
    let call = json!([{"to": USDT, "data": data}, block]);
    [
        later(
            world,
            blocks,
            "bsc-a",
            "eth_getBalance",
            &json!([ALICE, block]),
        ),
        later(world, blocks, "bsc-a", "eth_call", &call),
    ]
}

#[track_caller]
fn check_alice(world: &mut World, blocks: i64, block: &str, expected: [u128; 2]) {
    let amounts = alice_at(world, blocks, block).map(|reply| {
        let text = reply["result"]
            .as_str()
            .unwrap_or_else(|| panic!("{reply}"));
        text.parse::<U256>().unwrap()
    });
    assert_eq!(amounts, expected.map(U256::from), "{block}");
}

#[track_caller]
fn check_error(world: &mut World, blocks: i64, block: &str, expected: &str) {
    for reply in alice_at(world, blocks, block) {
        let message = reply["error"]["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(expected), "{reply}");
    }
}

const THEN: [u128; 2] = [40_891_626_854_930_000_000_000, 135_499];

#[test]
fn an_evm_node_reads_each_block_with_its_own_amounts() {
    let mut world = moving();
    let [head, next] = [HEAD, HEAD + 1].map(|height| format!("{height:#x}"));
    check_alice(&mut world, 0, "latest", THEN);
    check_error(&mut world, 0, &next, "header not found");
    check_alice(&mut world, 1, "latest", [5, 6]);
    check_alice(&mut world, 1, &next, [5, 6]);
    check_alice(&mut world, 1, &head, THEN);
    // What is finalized is two blocks behind.
    check_alice(&mut world, 1, "finalized", THEN);
    check_alice(&mut world, 3, "finalized", [5, 6]);
}

#[test]
fn a_node_behind_has_the_amounts_of_then_and_not_the_newest_block() {
    let behind = |host| Fault::at(host, Kind::Behind { blocks: 1 });
    let mut world = moving()
        .with_fault(behind("bsc-a"))
        .with_fault(behind("blockstream"))
        .with_fault(behind("bscscan"));
    let next = format!("{:#x}", HEAD + 1);
    check_alice(&mut world, 1, "latest", THEN);
    check_error(&mut world, 1, &next, "header not found");
    check_alice(&mut world, 2, &next, [5, 6]);
    let block = later(
        &mut world,
        1,
        "bsc-a",
        "eth_getBlockByNumber",
        &json!([next, false]),
    );
    assert_eq!(block.get("result"), Some(&Value::Null));

    let mut ask = |target: &str, blocks: i64| {
        let response = world.handle(&Request::get(target), NOW_MS + blocks * BLOCK_MS);
        response.body_text()
    };
    let target = format!("/blockstream/api/address/{BECH32}");
    assert!(ask(&target, 1).contains("150000"));
    assert!(ask(&target, 2).contains("\"funded_txo_sum\":7,"));
    let query = "/bscscan/v2/api?chainid=56&apikey=k&module=account&action=";
    for (action, then, now) in [
        (format!("balance&address={ALICE}"), THEN[0], 5),
        (format!("balancemulti&address={ALICE},{BOB}"), THEN[0], 5),
        (
            format!("tokenbalance&contractaddress={USDT}&address={ALICE}"),
            THEN[1],
            6,
        ),
    ] {
        let target = format!("{query}{action}");
        assert!(ask(&target, 1).contains(&format!("\"{then}\"")), "{action}");
        assert!(ask(&target, 2).contains(&format!("\"{now}\"")), "{action}");
    }
}

#[test]
fn a_state_beyond_those_kept_is_an_error_or_on_demand_empty() {
    let head = format!("{HEAD:#x}");
    let mut world = moving();
    world.host_mut("bsc-a").unwrap().states_kept = 5;
    check_alice(&mut world, 4, &head, THEN);
    check_error(&mut world, 5, &head, "missing trie node");
    let mut world = world.with_fault(Fault::at("bsc-a", Kind::ForgottenAsEmpty));
    check_alice(&mut world, 4, &head, THEN);
    let [native, token] = alice_at(&mut world, 5, &head);
    assert_eq!(
        (&native["result"], &token["result"]),
        (&json!("0x0"), &json!("0x"))
    );
    let code = json!([MULTICALL3.to_string(), head]);
    let code = later(&mut world, 5, "bsc-a", "eth_getCode", &code);
    assert_eq!(code["result"], "0x");
    check_alice(&mut world, 5, "latest", [5, 6]);
}

#[test]
fn a_solana_node_has_the_amounts_of_its_slot_and_none_before_the_lowest() {
    let mut world = moving();
    let mut read = |blocks: i64, config: Value| {
        let params = json!([[WALLET, SOL_USDC_OF_WALLET], config]);
        later(&mut world, blocks, "sol-a", "getMultipleAccounts", &params)["result"].take()
    };
    let amount = |result: &Value| {
        let data = result["value"][1]["data"][0].as_str().unwrap();
        let data = base64::prelude::BASE64_STANDARD.decode(data).unwrap();
        u64::from_le_bytes(data[64..72].try_into().unwrap())
    };
    for (blocks, commitment, expected) in [
        (0, "processed", (2_000_000, 1_234_567)),
        (1, "processed", (8, 9)),
        (1, "confirmed", (2_000_000, 1_234_567)),
        (2, "confirmed", (8, 9)),
        (32, "finalized", (2_000_000, 1_234_567)),
        (33, "finalized", (8, 9)),
    ] {
        let result = read(blocks, json!({"commitment": commitment}));
        let told = (
            result["value"][0]["lamports"].as_u64().unwrap(),
            amount(&result),
        );
        assert_eq!(told, expected, "{commitment} after {blocks}");
    }
    let from_next = json!({"commitment": "processed", "minContextSlot": 335_501_827_u64});
    assert_eq!(read(0, from_next.clone()), Value::Null);
    assert_eq!(read(1, from_next)["value"][0]["lamports"], 8);
}

#[test]
fn a_tip_moves_between_two_requests() {
    let mut world = moving();
    let mut tip = |blocks: i64| {
        let ask = Request::get("/mempool/api/blocks/tip/hash");
        let answer = world.handle(&ask, NOW_MS + blocks * BLOCK_MS);
        answer.body_text()
    };
    assert_eq!(tip(0), tip(0));
    assert_ne!(tip(0), tip(1));
}
