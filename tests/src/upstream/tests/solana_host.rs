use super::*;

fn accounts(world: &mut World, keys: &[&str], options: Value) -> Value {
    rpc(
        world,
        "sol-a",
        "getMultipleAccounts",
        json!([keys, options]),
    )
}

fn token_data(world: &mut World) -> Vec<u8> {
    let options = json!({"encoding": "base64", "dataSlice": {"offset": 0, "length": 109}});
    let reply = accounts(world, &[SOL_USDC_OF_WALLET], options);
    let data = reply["result"]["value"][0]["data"][0].as_str().unwrap();
    base64::engine::general_purpose::STANDARD
        .decode(data)
        .unwrap()
}

#[test]
fn accounts_have_the_documented_body() {
    let absent = Pubkey::new_from_array([3; 32]).to_string();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "getMultipleAccounts",
        "params": [[absent, WALLET], {"encoding": "base64", "dataSlice": {"offset": 0, "length": 0}}]});
    let response = post(&mut world(), "/sol-a", &body);
    let expected = r#"{"jsonrpc":"2.0","result":{"context":{"apiVersion":"2.1.21","slot":335501794},"value":[null,{"data":["","base64"],"executable":false,"lamports":2000000,"owner":"11111111111111111111111111111111","rentEpoch":18446744073709551615,"space":0}]},"id":1}"#;
    assert_eq!(response.body_text(), expected);
}

#[test]
fn token_accounts_have_the_programs_layout() {
    let data = token_data(&mut world());
    let key = |bytes: &[u8]| Pubkey::try_from(bytes).unwrap().to_string();
    assert_eq!(data.len(), 109);
    assert_eq!(
        (key(&data[..32]), key(&data[32..64])),
        (SOL_USDC.to_owned(), WALLET.to_owned())
    );
    assert_eq!(data[64..72], 1_234_567_u64.to_le_bytes());
    assert_eq!(data[108], 1);
    let reply = accounts(&mut world(), &[SOL_USDC_OF_WALLET, SOL_USDC], json!({}));
    let value = &reply["result"]["value"];
    assert_eq!(
        (&value[0]["space"], &value[1]["space"]),
        (&json!(165), &json!(82))
    );
    assert_eq!(value[0]["owner"], TOKEN_PROGRAM.to_string());
    let mint = value[1]["data"][0].as_str().unwrap();
    let mint = base64::engine::general_purpose::STANDARD
        .decode(mint)
        .unwrap();
    assert_eq!((mint[44], mint[45]), (6, 1));
}

#[test]
fn a_token_2022_account_is_extended_and_owned_by_its_program() {
    let mut world = world();
    let mint = Pubkey::new_from_array([5; 32]);
    let Some(Ledger::Solana(ledger)) = world.ledger_mut("sol") else {
        panic!("a Solana ledger");
    };
    ledger.add_mint(mint, "T22", 2, TOKEN_2022_PROGRAM);
    let account = ledger
        .set_token(WALLET.parse().unwrap(), mint, 9)
        .to_string();
    let reply = accounts(
        &mut world,
        &[&account],
        json!({"dataSlice": {"offset": 165, "length": 9}}),
    );
    let value = &reply["result"]["value"][0];
    assert_eq!(value["owner"], TOKEN_2022_PROGRAM.to_string());
    assert_eq!(
        (&value["space"], &value["data"][0]),
        (&json!(170), &json!("AgcAAAA="))
    );
}

#[test]
fn errors_have_agaves_codes() {
    #[track_caller]
    fn check(method: &str, params: Value, expected: Value) {
        assert_eq!(
            rpc(&mut world(), "sol-a", method, params)["error"],
            expected,
            "{method}"
        );
    }
    let many = vec![WALLET; 101];
    let error = json!({"code": -32602, "message": "Too many inputs provided; max 100"});
    check("getMultipleAccounts", json!([many]), error);
    let error = json!({"code": -32602, "message": "Invalid param: WrongSize"});
    check("getMultipleAccounts", json!([[WALLET, "abc"]]), error);
    let error = json!({"code": -32602, "message": "Invalid param: Invalid"});
    check("getBalance", json!(["0OIl"]), error);
    let error = json!({"code": -32016, "message": "Minimum context slot has not been reached",
        "data": {"contextSlot": 335_501_794}});
    check(
        "getBalance",
        json!([WALLET, {"minContextSlot": 335_501_795}]),
        error,
    );
    check(
        "getFoo",
        json!([]),
        json!({"code": -32601, "message": "Method not found"}),
    );
    let huge = Request::post_json("/sol-a", vec![b' '; 50 * 1024 + 1]);
    assert_eq!(world().handle(&huge, NOW_MS).status, 413);
}

#[test]
fn slots_follow_the_commitment() {
    let slot = |commitment: &str| {
        let reply = rpc(
            &mut world(),
            "sol-a",
            "getSlot",
            json!([{"commitment": commitment}]),
        );
        reply["result"].as_u64().unwrap()
    };
    assert_eq!(slot("processed"), 335_501_826);
    assert_eq!(slot("confirmed"), 335_501_825);
    assert_eq!(slot("finalized"), 335_501_794);
}

#[test]
fn owners_lead_to_their_accounts() {
    let mut world = world();
    let by = |world: &mut World, filter: Value| {
        let params = json!([WALLET, filter, {"encoding": "base64"}]);
        rpc(world, "sol-a", "getTokenAccountsByOwner", params)["result"]["value"].clone()
    };
    let found = by(&mut world, json!({"mint": SOL_USDC}));
    assert_eq!(found[0]["pubkey"], SOL_USDC_OF_WALLET);
    assert_eq!(found[0]["account"]["space"], 165);
    assert_eq!(
        by(&mut world, json!({"programId": TOKEN_PROGRAM.to_string()})),
        found
    );
    assert_eq!(
        by(
            &mut world,
            json!({"programId": TOKEN_2022_PROGRAM.to_string()})
        ),
        json!([])
    );
}

#[test]
fn simple_methods_answer() {
    let mut world = world();
    let mut ask =
        |method: &str, params: Value| rpc(&mut world, "sol-a", method, params)["result"].clone();
    assert_eq!(
        ask("getGenesisHash", json!([])),
        SolanaLedger::MAINNET_GENESIS
    );
    assert_eq!(ask("getHealth", json!([])), "ok");
    assert!(ask("getVersion", json!([]))["solana-core"].is_string());
    assert_eq!(ask("getBalance", json!([WALLET]))["value"], 2_000_000);
    let parsed = ask(
        "getAccountInfo",
        json!([SOL_USDC_OF_WALLET, {"encoding": "jsonParsed"}]),
    );
    let amount = &parsed["value"]["data"]["parsed"]["info"]["tokenAmount"];
    assert_eq!(*amount, json!({"amount": "1234567", "decimals": 6}));
}

#[test]
fn faults_of_token_accounts_keep_the_form() {
    let with = |kind| token_data(&mut faulty(Fault::at("sol-a", kind).token()));
    assert_eq!(with(Kind::WrongMint)[..32], [0xee; 32]);
    assert_eq!(with(Kind::WrongOwner)[32..64], [0xee; 32]);
    assert_eq!(with(Kind::Lie)[64..72], 1_234_568_u64.to_le_bytes());
    assert!(with(Kind::EmptyReturnData).is_empty());
    let mut world = faulty(Fault::at("sol-a", Kind::NotATokenAccount).token());
    let reply = accounts(&mut world, &[SOL_USDC_OF_WALLET, WALLET], json!({}));
    assert_eq!(
        reply["result"]["value"][0]["owner"],
        "11111111111111111111111111111111"
    );
    let mut world = faulty(Fault::at("sol-a", Kind::WrongDecimals { decimals: 9 }));
    let reply = accounts(
        &mut world,
        &[SOL_USDC],
        json!({"dataSlice": {"offset": 44, "length": 1}}),
    );
    assert_eq!(reply["result"]["value"][0]["data"][0], "CQ==");
}

#[test]
fn faults_of_the_list_and_of_lamports() {
    let with = |kind| {
        let mut world = faulty(Fault::at("sol-a", kind));
        accounts(&mut world, &[WALLET, SOL_USDC_OF_WALLET], json!({}))
    };
    let value = |kind| with(kind)["result"]["value"].clone();
    let length = |kind| value(kind).as_array().unwrap().len();
    assert_eq!(length(Kind::Short), 1);
    assert_eq!(length(Kind::Doubled), 3);
    assert_eq!(length(Kind::Uninvited), 3);
    assert_eq!(value(Kind::Null), Value::Null);
    assert_eq!(value(Kind::NumberAsText)[0]["lamports"], "2000000");
    assert_eq!(value(Kind::Huge)[0]["lamports"].as_u64(), None);
    assert_eq!(value(Kind::Lie)[0]["lamports"], 2_000_001);
    assert_eq!(with(Kind::ItemError)["error"]["code"], -32602);
    let mut wrong = faulty(Fault::at("sol-a", Kind::WrongChain));
    let genesis = rpc(&mut wrong, "sol-a", "getGenesisHash", json!([]));
    assert_eq!(genesis["result"], SolanaLedger::DEVNET_GENESIS);
    let mut behind = faulty(Fault::at("sol-a", Kind::Behind { blocks: 100 }));
    assert_eq!(
        rpc(&mut behind, "sol-a", "getSlot", json!([]))["result"],
        335_501_694
    );
}
