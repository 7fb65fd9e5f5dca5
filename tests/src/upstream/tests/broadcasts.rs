use super::*;

/// The first transaction of block 1, which any decoder takes.
const BITCOIN_TX: &str = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0704ffff001d0104ffffffff0100f2052a0100000043410496b538e853519c726a2c91e61ec11600ae1390813a627c66fb8be7947be63c52da7589379515d4e0a604f8141781e62294721166bf621e73a82cbf2342c858eeac00000000";
const BITCOIN_TXID: &str = "0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098";

fn grow(world: &mut World, ledger: &str, blocks: u64) {
    world.ledger_mut(ledger).unwrap().blocks_mut().height += blocks;
}

fn broadcast_bitcoin(world: &mut World) -> Response {
    let mut request = Request::get("/blockstream/api/tx");
    request.method = "POST".to_owned();
    request.body = BITCOIN_TX.as_bytes().to_vec();
    world.handle(&request, NOW_MS)
}

#[test]
fn a_bitcoin_transaction_is_confirmed_by_the_next_block() {
    let mut world = world();
    let status = |world: &mut World| {
        let target = format!("/blockstream/api/tx/{BITCOIN_TXID}/status");
        serde_json::from_slice::<Value>(&get(world, &target).body).unwrap()
    };
    for _ in 0..2 {
        let answer = broadcast_bitcoin(&mut world);
        assert_eq!((answer.status, &*answer.body_text()), (200, BITCOIN_TXID));
    }
    assert_eq!(status(&mut world), json!({"confirmed": false}));
    grow(&mut world, "btc", 1);
    assert_eq!(status(&mut world)["block_height"], 870_001);
    let late = broadcast_bitcoin(&mut world);
    assert_eq!(late.status, 400);
    assert!(late.body_text().contains(r#"{"code":-27,"#));
}

#[test]
fn an_answer_cut_on_the_wire_leaves_the_transaction_taken() {
    let known = |kind: Kind| {
        let mut world = faulty(Fault::at("blockstream", kind));
        broadcast_bitcoin(&mut world);
        world.faults.clear();
        get(&mut world, &format!("/blockstream/api/tx/{BITCOIN_TXID}")).status == 200
    };
    assert!(known(Kind::CutOnWire));
    assert!(!known(Kind::Reset));
}

#[test]
fn an_evm_transaction_gets_a_receipt_with_the_next_block() {
    let mut world = world();
    let send = |world: &mut World| rpc(world, "bsc-a", "eth_sendRawTransaction", json!(["0x02c0"]));
    let hash = send(&mut world)["result"].clone();
    assert_eq!(hash.as_str().unwrap().len(), 66);
    assert_eq!(
        send(&mut world)["error"],
        json!({"code": -32000, "message": "already known"})
    );
    let receipt = |world: &mut World| {
        rpc(world, "bsc-a", "eth_getTransactionReceipt", json!([hash]))["result"].clone()
    };
    assert_eq!(receipt(&mut world), Value::Null);
    grow(&mut world, "bsc", 1);
    let block = rpc(
        &mut world,
        "bsc-a",
        "eth_getBlockByNumber",
        json!(["0x3e9", false]),
    );
    let mined = receipt(&mut world);
    assert_eq!(
        (&mined["status"], &mined["blockNumber"]),
        (&json!("0x1"), &json!("0x3e9"))
    );
    assert_eq!(mined["blockHash"], block["result"]["hash"]);
    let blocks = world.ledger_mut("bsc").unwrap().blocks_mut();
    blocks
        .transactions
        .values_mut()
        .for_each(|transaction| transaction.reverted = true);
    assert_eq!(receipt(&mut world)["status"], "0x0");
}

#[test]
fn a_solana_signature_goes_from_processed_to_finalized() {
    let mut world = world();
    let mut raw = vec![1];
    raw.extend([9; 64]);
    let text = base64::engine::general_purpose::STANDARD.encode(raw);
    let params = json!([text, {"encoding": "base64"}]);
    let signature = rpc(&mut world, "sol-a", "sendTransaction", params)["result"].clone();
    assert_eq!(signature, bitcoin::base58::encode(&[9; 64]));
    let mut status = |slots: u64| {
        grow(&mut world, "sol", slots);
        let params = json!([[signature], {"searchTransactionHistory": false}]);
        rpc(&mut world, "sol-a", "getSignatureStatuses", params)["result"]["value"][0].clone()
    };
    assert_eq!(status(0), Value::Null);
    assert_eq!(status(1)["confirmationStatus"], "processed");
    assert_eq!(status(1)["confirmationStatus"], "confirmed");
    let finalized = status(31);
    assert_eq!(finalized["confirmationStatus"], "finalized");
    assert_eq!(
        (&finalized["err"], &finalized["confirmations"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(status(150), Value::Null);
}
