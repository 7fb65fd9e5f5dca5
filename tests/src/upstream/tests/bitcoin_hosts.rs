use super::*;

#[track_caller]
fn check(target: &str, status: u16, body: &str) {
    let response = get(&mut world(), target);
    assert_eq!(
        (response.status, &*response.body_text()),
        (status, body),
        "{target}"
    );
}

fn address(fault: Kind) -> Value {
    let mut world = faulty(Fault::at("blockstream", fault));
    let response = get(&mut world, &format!("/blockstream/api/address/{BECH32}"));
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn statistics_have_esploras_shape() {
    let body = r#"{"address":"bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu","chain_stats":{"funded_txo_count":2,"funded_txo_sum":150000,"spent_txo_count":1,"spent_txo_sum":50000,"tx_count":3},"mempool_stats":{"funded_txo_count":0,"funded_txo_sum":0,"spent_txo_count":0,"spent_txo_sum":0,"tx_count":0}}"#;
    for host in ["blockstream", "mempool"] {
        check(&format!("/{host}/api/address/{BECH32}"), 200, body);
    }
}

#[test]
fn a_script_hash_has_the_statistics_of_its_address() {
    use bitcoin::hashes::{Hash, sha256};
    let script_hash = |address: &str| {
        let address: bitcoin::Address<_> = address.parse().unwrap();
        let script = address.assume_checked().script_pubkey();
        sha256::Hash::hash(script.as_bytes()).to_string()
    };
    let funded = |address: &str| {
        let hash = script_hash(address);
        let response = get(&mut world(), &format!("/blockstream/api/scripthash/{hash}"));
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["scripthash"], hash);
        body["chain_stats"]["funded_txo_sum"].clone()
    };
    assert_eq!(funded(BECH32), 150_000);
    assert_eq!(funded(UNUSED), 0);
    check("/blockstream/api/scripthash/00", 400, "Invalid scripthash");
}

#[test]
fn an_unused_address_is_a_real_zero() {
    let response = get(&mut world(), &format!("/blockstream/api/address/{UNUSED}"));
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(body["chain_stats"]["funded_txo_sum"], 0);
}

#[test]
fn errors_are_plain_text() {
    check(
        "/blockstream/api/address/abc",
        400,
        "Invalid Bitcoin address",
    );
    let testnet = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
    let target = format!("/blockstream/api/address/{testnet}");
    check(&target, 400, "Address on invalid network");
    check(
        "/blockstream/api/block-height/870001",
        404,
        "Block not found",
    );
    check("/blockstream/api/block-height/x", 400, "Invalid number");
    check("/blockstream/api/tx/zz/status", 400, "Invalid hex string");
    let txid = "00".repeat(32);
    check(
        &format!("/blockstream/api/tx/{txid}"),
        404,
        "Transaction not found",
    );
    check(
        &format!("/blockstream/api/tx/{txid}/status"),
        200,
        r#"{"confirmed":false}"#,
    );
    check("/blockstream/api/x", 404, r#"endpoint does not exist "/x""#);
    let plain = get(&mut world(), "/blockstream/api/address/abc");
    assert_eq!(plain.header_value("content-type"), Some("text/plain"));
}

#[test]
fn blocks_can_be_walked_from_the_tip_to_the_genesis() {
    let genesis = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
    check("/blockstream/api/blocks/tip/height", 200, "870000");
    check("/mempool/api/block-height/0", 200, genesis);
    let world = &mut world();
    let tip = get(world, "/blockstream/api/blocks/tip/hash").body_text();
    let block = get(world, &format!("/blockstream/api/block/{tip}"));
    let block: Value = serde_json::from_slice(&block.body).unwrap();
    assert_eq!(block["height"], 870_000);
    let parent = get(world, "/blockstream/api/block-height/869999").body_text();
    assert_eq!(block["previousblockhash"], parent);

    world
        .ledger_mut("btc")
        .unwrap()
        .blocks_mut()
        .forks
        .push(870_000);
    assert_ne!(
        get(world, "/blockstream/api/blocks/tip/hash").body_text(),
        tip
    );
    assert_eq!(
        get(world, &format!("/blockstream/api/block/{tip}")).status,
        404
    );
}

#[test]
fn outputs_add_up_to_the_balance() {
    let response = get(&mut world(), &format!("/mempool/api/address/{BECH32}/utxo"));
    let utxos: Vec<Value> = serde_json::from_slice(&response.body).unwrap();
    let sum: u64 = utxos
        .iter()
        .map(|utxo| utxo["value"].as_u64().unwrap())
        .sum();
    assert_eq!((utxos.len(), sum), (1, 100_000));
}

#[test]
fn only_mempool_has_a_backend() {
    let fees = r#"{"fastestFee":5,"halfHourFee":4,"hourFee":3,"economyFee":2,"minimumFee":1}"#;
    check("/mempool/api/v1/fees/recommended", 200, fees);
    assert_eq!(
        get(&mut world(), "/blockstream/api/v1/fees/recommended").status,
        404
    );
}

#[test]
fn faults_leave_no_amount_to_read() {
    assert!(address(Kind::Null)["chain_stats"].is_null());
    assert!(address(Kind::Short).get("mempool_stats").is_none());
    assert_eq!(
        address(Kind::NumberAsText)["chain_stats"]["funded_txo_sum"],
        "150000"
    );
    assert_eq!(address(Kind::Uninvited)["address"], UNUSED);
    assert_eq!(address(Kind::Lie)["chain_stats"]["funded_txo_sum"], 150_001);
    assert_eq!(
        address(Kind::Huge)["chain_stats"]["funded_txo_sum"].as_u64(),
        None
    );
    let mut world = faulty(Fault::at("blockstream", Kind::ItemError).address(BECH32));
    assert_eq!(
        get(&mut world, &format!("/blockstream/api/address/{BECH32}")).status,
        400
    );
    assert_eq!(
        get(&mut world, &format!("/blockstream/api/address/{UNUSED}")).status,
        200
    );
}

#[test]
fn another_chain_has_another_genesis_and_a_lagging_host_a_lower_tip() {
    let mut world = faulty(Fault::at("blockstream", Kind::WrongChain))
        .with_fault(Fault::at("mempool", Kind::Behind { blocks: 10 }));
    let genesis = get(&mut world, "/blockstream/api/block-height/0").body_text();
    assert_eq!(
        genesis,
        "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"
    );
    assert_eq!(
        get(&mut world, "/mempool/api/blocks/tip/height").body_text(),
        "869990"
    );
}

#[test]
fn an_enterprise_host_wants_a_fresh_token() {
    let mut world = world();
    world.host_mut("blockstream").unwrap().oauth2 = Some(Oauth2::new("id", "s e"));
    let tip = Request::get("/blockstream/api/blocks/tip/height");
    assert_eq!(world.handle(&tip, NOW_MS).status, 401);

    let mut token = Request::post_json("/blockstream/token", "");
    token.body = b"grant_type=client_credentials&client_id=id&client_secret=no".to_vec();
    assert_eq!(world.handle(&token, NOW_MS).status, 401);
    token.body =
        b"grant_type=client_credentials&client_id=id&client_secret=s+e&scope=openid".to_vec();
    let answer: Value = serde_json::from_slice(&world.handle(&token, NOW_MS).body).unwrap();
    assert_eq!(
        (&answer["expires_in"], &answer["token_type"]),
        (&json!(300), &json!("Bearer"))
    );
    let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let tip = tip.header("Authorization", &bearer);
    assert_eq!(world.handle(&tip, NOW_MS + 299_999).status, 200);
    assert_eq!(world.handle(&tip, NOW_MS + 300_000).status, 401);
}
