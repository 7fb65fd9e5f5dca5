use super::*;

mod abi {
    alloy::sol! {
        struct Call3 { address target; bool allowFailure; bytes callData; }
        struct Result3 { bool success; bytes returnData; }
        function aggregate3(Call3[] calls) returns (Result3[] returnData);
        function getEthBalance(address addr) returns (uint256 balance);
        function getBlockNumber() returns (uint256 blockNumber);
        function getChainId() returns (uint256 chainid);
        function balanceOf(address owner) returns (uint256 balance);
        function decimals() returns (uint8 decimals);
        function symbol() returns (string symbol);
    }
}

const CODELESS: Address = address!("00000000000000000000000000000000000000c0");

fn call3(target: Address, data: Vec<u8>) -> abi::Call3 {
    abi::Call3 {
        target,
        allowFailure: true,
        callData: data.into(),
    }
}

/// Canaries, Alice's native and token balances, Bob's native balance, a contract that is none.
fn calls() -> Vec<abi::Call3> {
    let [alice, bob]: [Address; 2] = [ALICE, BOB].map(|address| address.parse().unwrap());
    let usdt = USDT.parse().unwrap();
    vec![
        call3(MULTICALL3, abi::getBlockNumberCall {}.abi_encode()),
        call3(MULTICALL3, abi::getChainIdCall {}.abi_encode()),
        call3(
            MULTICALL3,
            abi::getEthBalanceCall { addr: alice }.abi_encode(),
        ),
        call3(usdt, abi::balanceOfCall { owner: alice }.abi_encode()),
        call3(
            MULTICALL3,
            abi::getEthBalanceCall { addr: bob }.abi_encode(),
        ),
        call3(CODELESS, abi::balanceOfCall { owner: alice }.abi_encode()),
    ]
}

fn eth_call(world: &mut World, to: Address, data: &[u8]) -> Value {
    let data = format!("0x{}", hex::encode(data));
    rpc(
        world,
        "bsc-a",
        "eth_call",
        json!([{"to": to.to_string(), "data": data}, "latest"]),
    )
}

fn aggregate(world: &mut World) -> Vec<(bool, Bytes)> {
    let data = abi::aggregate3Call { calls: calls() }.abi_encode();
    let reply = eth_call(world, MULTICALL3, &data);
    let result: Bytes = reply["result"].as_str().unwrap().parse().unwrap();
    let results = Vec::<abi::Result3>::abi_decode(&result).unwrap();
    results
        .into_iter()
        .map(|result| (result.success, result.returnData))
        .collect()
}

fn word(value: u128) -> (bool, Bytes) {
    (true, U256::from(value).to_be_bytes::<32>().into())
}

const NATIVE: u128 = 40_891_626_854_930_000_000_000;

#[test]
fn an_aggregate_answers_in_order_with_empty_data_for_a_contract_that_is_none() {
    let expected = [
        word(1000),
        word(56),
        word(NATIVE),
        word(135_499),
        word(0),
        (true, Bytes::new()),
    ];
    assert_eq!(aggregate(&mut world()), expected);
    let log = |world: World| (world.log()[0].native, world.log()[0].tokens);
    let mut world = world();
    aggregate(&mut world);
    assert_eq!(log(world), (2, 2));
}

#[test]
fn faults_of_sub_calls_touch_only_what_they_select() {
    #[track_caller]
    fn check(fault: Fault, place: usize, expected: (bool, Bytes)) {
        let mut expected_all = aggregate(&mut world());
        expected_all[place] = expected;
        assert_eq!(aggregate(&mut faulty(fault)), expected_all);
    }
    let at = |kind| Fault::at("bsc-a", kind);
    check(
        at(Kind::EmptyReturnData).native().address(ALICE),
        2,
        (true, Bytes::new()),
    );
    let mut huge = vec![1];
    huge.extend([0; 32]);
    check(at(Kind::Huge).native().address(BOB), 4, (true, huge.into()));
    check(at(Kind::Lie).native().address(BOB), 4, word(1));
    check(at(Kind::WrongChain), 1, word(97));
    check(at(Kind::Behind { blocks: 9 }), 0, word(991));

    let failed = aggregate(&mut faulty(at(Kind::ItemError).native().address(BOB)));
    assert!(!failed[4].0 && failed[2].0);
    let emptied = aggregate(&mut faulty(at(Kind::EmptyReturnData)));
    assert!(emptied.iter().all(|result| *result == (true, Bytes::new())));
}

#[test]
fn faults_of_the_list_change_its_length() {
    let with = |kind| aggregate(&mut faulty(Fault::at("bsc-a", kind)));
    let healthy = aggregate(&mut world());
    assert_eq!(with(Kind::Short), healthy[..5]);
    let doubled = with(Kind::Doubled);
    assert_eq!((doubled.len(), &doubled[6]), (7, &healthy[0]));
    assert_eq!(with(Kind::Uninvited)[6], word(1));
    assert_eq!(with(Kind::Reordered), healthy);
}

#[test]
fn a_failing_sub_call_that_must_not_fail_reverts_the_whole_call() {
    let mut calls = vec![call3(USDT.parse().unwrap(), vec![1, 2, 3, 4])];
    calls[0].allowFailure = false;
    let data = abi::aggregate3Call { calls }.abi_encode();
    let error = &eth_call(&mut world(), MULTICALL3, &data)["error"];
    assert_eq!(error["code"], 3);
    assert_eq!(
        error["message"],
        "execution reverted: Multicall3: call failed"
    );
    assert!(error["data"].as_str().unwrap().starts_with("0x08c379a0"));
}

#[test]
fn without_multicall_the_call_succeeds_with_nothing() {
    let mut world = world();
    let Some(Ledger::Evm(ledger)) = world.ledger_mut("bsc") else {
        panic!("an EVM ledger");
    };
    ledger.multicall = false;
    let data = abi::aggregate3Call { calls: calls() }.abi_encode();
    assert_eq!(eth_call(&mut world, MULTICALL3, &data)["result"], "0x");
    let code = rpc(
        &mut world,
        "bsc-a",
        "eth_getCode",
        json!([MULTICALL3.to_string(), "latest"]),
    );
    assert_eq!(code["result"], "0x");
}

#[test]
fn an_aggregate_above_the_hidden_limit_runs_out_of_gas() {
    let mut world = world();
    world.host_mut("bsc-a").unwrap().subcalls_max = 5;
    let data = abi::aggregate3Call { calls: calls() }.abi_encode();
    let reply = eth_call(&mut world, MULTICALL3, &data);
    assert_eq!(
        reply["error"],
        json!({"code": -32000, "message": "out of gas"})
    );
}

#[test]
fn a_token_answers_directly() {
    let usdt = USDT.parse().unwrap();
    let mut world = world();
    let decimals = eth_call(&mut world, usdt, &abi::decimalsCall {}.abi_encode());
    assert_eq!(decimals["result"], format!("0x{:064x}", 18));
    let symbol = eth_call(&mut world, usdt, &abi::symbolCall {}.abi_encode());
    let symbol: Bytes = symbol["result"].as_str().unwrap().parse().unwrap();
    assert_eq!(String::abi_decode(&symbol).unwrap(), "USDT");
    assert_eq!(
        eth_call(&mut world, CODELESS, &abi::decimalsCall {}.abi_encode())["result"],
        "0x"
    );
    let mut wrong = faulty(Fault::at("bsc-a", Kind::WrongDecimals { decimals: 6 }));
    let decimals = eth_call(&mut wrong, usdt, &abi::decimalsCall {}.abi_encode());
    assert_eq!(decimals["result"], format!("0x{:064x}", 6));
}

#[track_caller]
fn check_rpc(method: &str, params: Value, expected: Value) {
    let reply = rpc(&mut world(), "bsc-a", method, params);
    let got = if reply.get("error").is_some() {
        &reply["error"]
    } else {
        &reply["result"]
    };
    assert_eq!(*got, expected, "{method}");
}

#[test]
fn methods_answer_as_geth_does() {
    check_rpc("eth_chainId", json!([]), json!("0x38"));
    check_rpc("net_version", json!([]), json!("56"));
    check_rpc("eth_blockNumber", json!([]), json!("0x3e8"));
    check_rpc("eth_getBalance", json!([BOB, "latest"]), json!("0x0"));
    check_rpc(
        "eth_getBalance",
        json!([ALICE, "finalized"]),
        json!(format!("{NATIVE:#x}")),
    );
    check_rpc(
        "eth_getBalance",
        json!([BOB, "0x3e9"]),
        json!({"code": -32000, "message": "header not found"}),
    );
    check_rpc(
        "eth_getBalance",
        json!(["0x12", "latest"]),
        json!({"code": -32602, "message": "invalid argument 0: hex string has length 2, want 40 for common.Address"}),
    );
    check_rpc(
        "eth_foo",
        json!([]),
        json!({"code": -32601, "message": "the method eth_foo does not exist/is not available"}),
    );
    let old = rpc(&mut world(), "bsc-a", "eth_getBalance", json!([BOB, "0x1"]));
    assert!(
        old["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("missing trie node")
    );
    let block = rpc(
        &mut world(),
        "bsc-a",
        "eth_getBlockByNumber",
        json!(["finalized", false]),
    );
    assert_eq!(block["result"]["number"], "0x3e6");
    check_rpc("eth_getBlockByNumber", json!(["0x3e9", false]), Value::Null);
}

#[test]
fn quantities_take_wrong_forms_on_demand() {
    let with = |kind| {
        let mut world = faulty(Fault::at("bsc-a", kind));
        rpc(
            &mut world,
            "bsc-a",
            "eth_getBalance",
            json!([ALICE, "latest"]),
        )["result"]
            .clone()
    };
    assert_eq!(with(Kind::NumberAsText), NATIVE.to_string());
    assert!(with(Kind::TextAsNumber).is_number());
    assert_eq!(with(Kind::Huge).as_str().unwrap().len(), 2 + 65);
    assert_eq!(with(Kind::Null), Value::Null);
    assert_eq!(with(Kind::EmptyReturnData), "0x");
}

fn batch(world: &mut World, count: u64) -> Vec<Value> {
    let calls = (0..count).map(|id| {
        json!({"jsonrpc": "2.0", "id": id, "method": "eth_getBalance", "params": [BOB, "latest"]})
    });
    let response = post(world, "/bsc-a", &calls.collect());
    serde_json::from_slice(&response.body).unwrap()
}

fn ids(replies: &[Value]) -> Vec<u64> {
    replies
        .iter()
        .map(|reply| reply["id"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_batch_above_the_limit_is_one_error_with_the_first_id() {
    assert_eq!(batch(&mut world(), 1000).len(), 1000);
    let refused = batch(&mut world(), 1001);
    let error = json!({"code": -32600, "message": "batch too large"});
    assert_eq!(
        refused,
        [json!({"jsonrpc": "2.0", "id": 0, "error": error})]
    );
}

#[test]
fn a_batch_loses_doubles_and_reorders_replies_on_demand() {
    let with = |kind| ids(&batch(&mut faulty(Fault::at("bsc-a", kind)), 3));
    assert_eq!(with(Kind::Short), [0, 1]);
    assert_eq!(with(Kind::Doubled), [0, 1, 2, 0]);
    assert_eq!(with(Kind::Reordered), [2, 1, 0]);
    assert_eq!(with(Kind::Uninvited)[..3], [0, 1, 2]);
    assert_eq!(with(Kind::Uninvited).len(), 4);
}

#[test]
fn one_call_of_a_batch_can_fail_alone() {
    let fault = Fault::at("bsc-a", Kind::ItemError).address(ALICE);
    let body = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": [ALICE, "latest"]},
        {"jsonrpc": "2.0", "id": "x", "method": "eth_getBalance", "params": [BOB, "latest"]},
    ]);
    let response = post(&mut faulty(fault), "/bsc-a", &body);
    let expected = r#"[{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"missing trie node"}},{"jsonrpc":"2.0","id":"x","result":"0x0"}]"#;
    assert_eq!(response.body_text(), expected);
}

#[test]
fn what_is_not_json_rpc_is_refused() {
    let mut world = world();
    let broken = world.handle(&Request::post_json("/bsc-a", "{"), NOW_MS);
    let expected = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#;
    assert_eq!(broken.body_text(), expected);
    assert_eq!(get(&mut world, "/bsc-a").status, 405);
    let mut text = Request::post_json("/bsc-a", "{}");
    text.headers[0].1 = "text/plain".to_owned();
    assert_eq!(world.handle(&text, NOW_MS).status, 415);
}

// Etherscan, over the same ledger.

fn scan(world: &mut World, query: &str) -> String {
    let target = format!("/bscscan/v2/api?chainid=56&{query}&apikey=k");
    let response = get(world, &target);
    assert_eq!(response.status, 200);
    response.body_text()
}

fn multi(world: &mut World) -> String {
    scan(
        world,
        &format!("module=account&action=balancemulti&address={ALICE},{BOB}&tag=latest"),
    )
}

const ALICE_ENTRY: &str = r#"{"account":"0xddbd2b932c763ba5b1b7ae3b362eac3e8d40121a","balance":"40891626854930000000000"}"#;
const BOB_ENTRY: &str = r#"{"account":"0x63a9975ba31b0b9626b34300f7f627147df1f526","balance":"0"}"#;

fn listed(entries: &[&str]) -> String {
    format!(
        r#"{{"status":"1","message":"OK","result":[{}]}}"#,
        entries.join(",")
    )
}

#[test]
fn etherscan_answers_balances_as_decimal_text() {
    let mut world = world();
    assert_eq!(multi(&mut world), listed(&[ALICE_ENTRY, BOB_ENTRY]));
    let single = scan(
        &mut world,
        &format!("module=account&action=balance&address={ALICE}"),
    );
    let expected = r#"{"status":"1","message":"OK","result":"40891626854930000000000"}"#;
    assert_eq!(single, expected);
    let query =
        format!("module=account&action=tokenbalance&contractaddress={USDT}&address={ALICE}");
    let expected = r#"{"status":"1","message":"OK","result":"135499"}"#;
    assert_eq!(scan(&mut world, &query), expected);
}

#[test]
fn the_proxy_module_answers_as_json_rpc() {
    let mut world = world();
    let number = scan(&mut world, "module=proxy&action=eth_blockNumber");
    assert_eq!(number, r#"{"jsonrpc":"2.0","id":1,"result":"0x3e8"}"#);
    let data = hex::encode(abi::decimalsCall {}.abi_encode());
    let decimals = scan(
        &mut world,
        &format!("module=proxy&action=eth_call&to={USDT}&data=0x{data}"),
    );
    let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"0x{:064x}"}}"#, 18);
    assert_eq!(decimals, expected);
}

#[test]
fn etherscan_refuses_with_status_0_and_a_text_as_the_result() {
    #[track_caller]
    fn check(target: &str, text: &str) {
        let response = get(&mut world(), target);
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(
            (&body["status"], &body["message"]),
            (&json!("0"), &json!("NOTOK"))
        );
        let result = body["result"].as_str().unwrap();
        assert!(result.starts_with(text), "{target}: {result}");
    }
    let base = "/bscscan/v2/api?module=account&action=balance&address=";
    check(
        "/bscscan/api?module=account",
        "You are using a deprecated V1 endpoint",
    );
    check(
        &format!("{base}{ALICE}&apikey=k"),
        "Missing or unsupported chainid parameter",
    );
    check(
        &format!("{base}{ALICE}&apikey=k&chainid=1"),
        "Missing or unsupported chainid",
    );
    check(
        &format!("{base}{ALICE}&chainid=56"),
        "Missing/Invalid API Key",
    );
    check(
        &format!("{base}0x12&chainid=56&apikey=k"),
        "Error! Invalid address format",
    );
    let action = "/bscscan/v2/api?chainid=56&apikey=k&module=account&action=x";
    check(action, "Error! Missing Or invalid Action name");
    let many = vec![ALICE; 21].join(",");
    let target = format!(
        "/bscscan/v2/api?chainid=56&apikey=k&module=account&action=balancemulti&address={many}"
    );
    check(&target, "Error! Maximum of 20");

    let mut keyed = world();
    keyed.host_mut("bscscan").unwrap().api_key = Some("right".to_owned());
    let result = scan(
        &mut keyed,
        &format!("module=account&action=balance&address={ALICE}"),
    );
    assert!(result.contains("Invalid API Key"));
    let mut free = world();
    free.host_mut("bscscan").unwrap().free_plan = true;
    assert!(multi(&mut free).contains("Free API access is not supported for this chain."));
}

#[test]
fn etherscans_list_loses_doubles_and_reorders_entries_on_demand() {
    #[track_caller]
    fn check(fault: Fault, expected: &[&str]) {
        assert_eq!(multi(&mut faulty(fault)), listed(expected));
    }
    let at = |kind| Fault::at("bscscan", kind);
    check(at(Kind::Short), &[ALICE_ENTRY]);
    check(at(Kind::Doubled), &[ALICE_ENTRY, BOB_ENTRY, ALICE_ENTRY]);
    check(at(Kind::Reordered), &[BOB_ENTRY, ALICE_ENTRY]);
    let stranger = r#"{"account":"0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","balance":"1"}"#;
    check(at(Kind::Uninvited), &[ALICE_ENTRY, BOB_ENTRY, stranger]);
    check(at(Kind::ItemError).address(ALICE), &[BOB_ENTRY]);
    let null = BOB_ENTRY.replace("\"0\"", "null");
    check(at(Kind::Null).address(BOB), &[ALICE_ENTRY, &null]);
    let number = BOB_ENTRY.replace("\"0\"", "0");
    check(at(Kind::TextAsNumber).address(BOB), &[ALICE_ENTRY, &number]);
    let hex = BOB_ENTRY.replace("\"0\"", "\"0x0\"");
    check(at(Kind::NumberAsText).address(BOB), &[ALICE_ENTRY, &hex]);
    let empty = BOB_ENTRY.replace("\"0\"", "\"\"");
    check(
        at(Kind::EmptyReturnData).address(BOB),
        &[ALICE_ENTRY, &empty],
    );
    let mut huge = faulty(at(Kind::Huge).address(BOB));
    assert!(multi(&mut huge).contains(&format!("{}0", U256::MAX)));
}

#[test]
fn a_limit_that_nobody_was_told_refuses_only_larger_calls() {
    let body = BodyForm::Empty;
    let fault = || Fault::at("bsc-a", Kind::Status { code: 413, body });
    let data = abi::aggregate3Call { calls: calls() }.abi_encode();
    let data = format!("0x{}", hex::encode(data));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_call",
        "params": [{"to": MULTICALL3.to_string(), "data": data}, "latest"]});
    // Four balances; the canaries do not count.
    assert_eq!(
        post(&mut faulty(fault().cells_over(4)), "/bsc-a", &body).status,
        200
    );
    assert_eq!(
        post(&mut faulty(fault().cells_over(3)), "/bsc-a", &body).status,
        413
    );
}
