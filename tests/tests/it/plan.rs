//! What is planned is what is sent: every plan against the requests that the scan then makes.

use scanhost_tests::product::{Chain, Config, Product};
use scanhost_tests::upstream::Ledger;
use serde_json::Value;

use crate::lab::{API_KEY, Lab, Plugin, Setup};

const PATIENT: &str = "scan = { budget = \"60s\" }\n";

/// `scanhost plan --format json` of the lab's one chain; nothing is sent by it.
#[track_caller]
fn plan(lab: &Lab, more: &[&str]) -> Value {
    lab.upstream.with(|world| world.clear_log());
    let arguments = [&["plan", "--format", "json"][..], more].concat();
    let run = lab.product.run(&arguments).expect(0);
    let log = lab.upstream.log();
    assert!(log.is_empty(), "a plan sends nothing: {log:?}");
    let [plan] = run.rows().try_into().expect("one chain, one line");
    plan
}

fn requests(plan: &Value, provider: &str) -> u64 {
    let providers = plan["providers"].as_array().expect("they are a list");
    let mut of = providers.iter().filter(|it| it["provider"] == provider);
    let of = of.next().expect("it is in the pool");
    of["requests"].as_u64().expect("they are counted")
}

/// Within 5 % or one request, each provider and in all.
#[track_caller]
fn expect_counted(lab: &Lab, plan: &Value, context: &str) {
    lab.upstream.with(|world| world.clear_log());
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    let log = lab.upstream.log();
    let pool = plan["providers"].as_array().expect("they are a list");
    let mut all = 0;
    for provider in pool {
        let name = provider["provider"].as_str().expect("a name");
        let counted = log.iter().filter(|entry| entry.host == name).count() as u64;
        let planned = requests(plan, name);
        all += planned;
        let off = planned.abs_diff(counted);
        assert!(
            off <= 1 || off * 20 <= counted,
            "{context}: {planned} planned, {counted} counted at {name}: {plan}"
        );
    }
    assert_eq!(plan["requests"], all, "{plan}");
}

#[track_caller]
fn check(plugin: Plugin, setup: &Setup, count: usize) {
    let lab = Lab::new(plugin, count);
    lab.set_up(setup);
    let plan = plan(&lab, &[]);
    assert_eq!(plan["addresses"], count);
    assert_eq!(plan["cells"], count * lab.assets.len());
    assert_eq!(
        plan["time_ms"],
        Value::Null,
        "no limit is known here: {plan}"
    );
    expect_counted(&lab, &plan, &format!("{}, {count}", plugin.name()));
}

#[track_caller]
fn check_sizes(plugin: Plugin) {
    for count in [1, 100, 101, 5_000] {
        check(plugin, &Setup::of(&["first"]).chain(PATIENT), count);
    }
    let two = Setup::of(&["second", "first"]).chain(PATIENT);
    check(plugin, &two, 101);
}

#[test]
fn blockstream_sends_what_was_planned() {
    check_sizes(Plugin::Blockstream);
}

#[test]
fn mempool_sends_what_was_planned() {
    check_sizes(Plugin::Mempool);
}

#[test]
fn bscscan_sends_what_was_planned() {
    check_sizes(Plugin::Bscscan);
}

#[test]
fn bsc_rpc_sends_what_was_planned() {
    check_sizes(Plugin::BscRpc);
}

#[test]
fn solana_rpc_sends_what_was_planned() {
    check_sizes(Plugin::SolanaRpc);
}

#[test]
fn options_change_the_plan_as_they_change_the_scan() {
    let check = |plugin, options: &str, count| {
        let options = format!("connections = 4\n[providers.first.options]\n{options}\n");
        check(
            plugin,
            &Setup::of(&["first"]).chain(PATIENT).first(&options),
            count,
        );
    };
    check(Plugin::Blockstream, "batch = 10", 101);
    check(Plugin::BscRpc, "batch = 70", 101);
    check(Plugin::BscRpc, "multicall = \"off\"\nrpc_batch = 1", 40);
    check(Plugin::SolanaRpc, "batch = 30", 101);
    check(Plugin::SolanaRpc, "token_accounts = \"all\"", 101);
}

#[test]
fn pools_of_several_plugins_send_what_was_planned() {
    for pool in [["first", "second"], ["second", "first"]] {
        let lab = Lab::new(Plugin::BscRpc, 101);
        lab.product.configure(&mixed(&lab, &pool));
        let plan = plan(&lab, &[]);
        assert_eq!(requests(&plan, pool[1]), 0, "{plan}");
        expect_counted(&lab, &plan, pool[0]);
    }
}

/// A pool of an explorer, `first`, and a node, `second`.
fn mixed(lab: &Lab, pool: &[&str]) -> Config {
    lab.upstream.with(|world| {
        let first = world.host_mut("first").expect("the lab has it");
        *first = Plugin::Bscscan.host();
    });
    let assets: Vec<(&str, Option<&str>, u8)> = lab
        .assets
        .iter()
        .map(|asset| (&*asset.symbol, asset.contract.as_deref(), asset.decimals))
        .collect();
    let identity = lab.truth().identity();
    lab.product.write("explorer.key", API_KEY);
    Config::new()
        .chain(&Chain {
            name: "bsc",
            network: "mainnet",
            identity: Some(&identity),
            pool,
            assets: &assets,
            list: Some("list.csv"),
            more: PATIENT,
        })
        .provider(
            "first",
            "bscscan",
            &lab.upstream.endpoint("first"),
            "api_key = { file = \"explorer.key\" }",
        )
        .provider("second", "bsc-rpc", &lab.upstream.endpoint("second"), "")
}

#[test]
fn addresses_and_assets_can_be_named() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    lab.product.write("two.txt", lab.addresses[..2].join("\n"));
    let plan = plan(&lab, &["--addresses", "two.txt", "--asset", "BNB"]);
    assert_eq!(plan["cells"], 2, "{plan}");
    assert_eq!(plan["requests"], 2, "{plan}");
    let store = lab.product.folder().join("scanhost.db");
    assert!(!store.exists(), "a plan makes no store");
}

#[test]
fn limits_give_time_and_bottleneck() {
    let lab = Lab::new(Plugin::Blockstream, 2_000);
    let limits = "limits = [\"5/s\", \"700/h\"]";
    lab.set_up(&Setup::of(&["first"]).chain(PATIENT).first(limits));
    let told = plan(&lab, &[]);
    // 2,003 requests: two full hours, then 603 at 5 a second.
    assert_eq!(
        told["time_ms"].as_u64().map(|ms| ms / 1_000),
        Some(7_320),
        "{told}"
    );
    assert_eq!(told["bottleneck"]["provider"], "first");
    assert_eq!(told["bottleneck"]["limit"], "700/h");
    let of_hour = &told["providers"][0]["quota"][0];
    assert_eq!(of_hour["limit"], "700/h");
    let share = of_hour["share"].as_f64().expect("a share");
    assert!((share - 2_003.0 / 700.0).abs() < 1e-9, "{told}");

    let table = lab.product.run(&["plan"]).expect(0).stdout;
    assert!(
        table.contains("at least 2h 2m, the bottleneck is 700/h of first"),
        "{table}"
    );
    assert!(table.contains("2,003"), "{table}");
}

#[test]
fn a_quota_that_does_not_last_is_told() {
    let lab = Lab::new(Plugin::Blockstream, 120);
    let quota = "quota = \"100/day\"";
    lab.set_up(&Setup::of(&["first"]).chain(PATIENT).first(quota));
    let told = plan(&lab, &[]);
    assert_eq!(
        told["cannot_finish"][0], "cannot finish today: first needs 123 of 100 a day",
        "{told}"
    );
    assert_eq!(told["providers"][0]["limits_from"], "configuration");
}

#[test]
fn a_quota_that_ends_leaves_the_rest_to_the_next_provider() {
    let lab = Lab::new(Plugin::BscRpc, 60);
    let config = mixed(&lab, &["first", "second"]).text();
    let key = "api_key = {";
    let limited = config.replace(key, &format!("quota = \"50/day\"\n{key}"));
    lab.product.write("scanhost.toml", limited);
    let told = plan(&lab, &[]);
    assert_eq!(told["cannot_finish"], Value::Array(Vec::new()), "{told}");
    assert_eq!(requests(&told, "first"), 50, "{told}");
    assert_eq!(requests(&told, "second"), 2, "{told}");
}

#[test]
fn limits_that_the_plugin_knows_for_the_host_hold() {
    let addresses = Ledger::seeded_bitcoin(bitcoin::Network::Bitcoin, 5, 10).addresses;
    let product = Product::new(
        &Config::new()
            .chain(&Chain {
                name: "btc",
                network: "mainnet",
                identity: None,
                pool: &["public"],
                assets: &[("BTC", None, 8)],
                list: Some("list.txt"),
                more: "",
            })
            .provider("public", "blockstream", "https://blockstream.info/api", ""),
    );
    product.write("list.txt", addresses.join("\n"));
    let run = product.run(&["plan", "--format", "json"]).expect(0);
    let provider = &run.rows()[0]["providers"][0];
    assert_eq!(provider["limits"], serde_json::json!(["5/s", "700/h"]));
    assert_eq!(provider["limits_from"], "plugin");
    assert_eq!(provider["requests"], 12, "{provider}");
}

#[test]
fn a_plugin_that_cannot_be_loaded_is_told_and_the_plan_goes_on() {
    let lab = Lab::new(Plugin::Bscscan, 20);
    // The explorer must name a chain id, so its plugin does not open without an identity; the
    // second provider of the pool is another plugin, which does.
    let config = mixed(&lab, &["first", "second"]).text();
    let without = config.lines().filter(|line| !line.starts_with("identity"));
    lab.product
        .write("scanhost.toml", without.collect::<Vec<_>>().join("\n"));
    let told = plan(&lab, &[]);
    assert_eq!(told["unusable"][0]["provider"], "first", "{told}");
    assert_eq!(requests(&told, "second"), 1, "{told}");
}

#[test]
fn a_plan_leaves_nothing_behind() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    lab.set_up(&Setup::of(&["first"]).chain(PATIENT));
    let files = || {
        let folder = std::fs::read_dir(lab.product.folder()).expect("it is ours");
        let names = folder.map(|entry| entry.expect("it is there").file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let before = files();
    let _ = plan(&lab, &[]);
    assert_eq!(files(), before);
}

#[test]
fn a_wrong_configuration_is_refused() {
    let lab = Lab::new(Plugin::Blockstream, 1);
    let run = lab.product.run(&["plan", "--chain", "bct"]).expect(2);
    assert!(run.stderr.contains("btc"), "{}", run.stderr);
    lab.product
        .write("scanhost.toml", "[chains.btc]\npool = [\"nobody\"]\n");
    let _ = lab.product.run(&["plan"]).expect(2);
}
