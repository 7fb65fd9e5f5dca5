//! Every plugin that misbehaves at once, in one process, beside the good ones.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use scanhost_tests::fixtures;
use scanhost_tests::product::{Chain, Config, Product, built};
use scanhost_tests::upstream::{HostKind, Ledger, Seeded, Upstream, World};
use serde_json::Value;
use tokio::time::Instant;

use super::{ADDRESSES, LONGEST, built_fixture, echo_service};

/// Addresses of each chain that must not suffer.
const GOOD: usize = 5_000;
/// In the plugin's own thread.
const INSIDE: &[(&str, &str, &[&str])] = &[
    (
        "fixture-panics",
        "panic",
        &[
            "open", "caps", "validate", "identity", "balances", "resumed", "payload", "drop",
        ],
    ),
    (
        "fixture-hangs",
        "hang",
        &[
            "open", "validate", "identity", "balances", "busy", "pending", "awake",
        ],
    ),
    (
        "fixture-garbage",
        "wrong",
        &[
            "missing",
            "empty",
            "doubled",
            "out_of_range",
            "last_index",
            "flood",
            "kind",
            "no_reason",
            "error_kind",
            "huge_message",
            "nuls",
            "huge_error",
            "no_caps",
            "huge_identity",
            "huge_address",
            "empty_address",
        ],
    ),
    ("fixture-tokio", "runtime", &["none", "own"]),
    ("fixture-allocator", "", &[""]),
    ("fixture-reaches", "", &[""]),
    ("fixture-leaks", "leak", &["reading", "panic"]),
];
/// In a process of its own, where a crash is meant.
const ISOLATED: &[&str] = &[
    "segfault", "exit", "abort", "overflow", "allocate", "hang", "print",
];

/// A chain that must not suffer.
struct Good {
    name: &'static str,
    pool: [&'static str; 2],
    seeded: Seeded,
}

/// The plugin folder with everything in it, also what is no plugin at all.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut files: Vec<PathBuf> = INSIDE
        .iter()
        .map(|(name, ..)| built_fixture(name))
        .collect();
    files.extend(["fixture-echo", "fixture-crashes", "fixture-crashes-at-load"].map(built_fixture));
    let crashes = fixtures::one_that("crashes").unwrap_or_else(|error| panic!("{error}"));
    files.push(crashes);
    for file in &files {
        let name = file.file_name().expect("it is a file");
        fs::copy(file, folder.path().join(name)).expect("it is there");
    }
    let echo = fs::read(built_fixture("fixture-echo")).expect("it is built");
    let mut foreign = echo.clone();
    // The ELF header's machine: another one.
    foreign[18] ^= 0x55;
    let aborts = fixtures::echo_that_aborts().unwrap_or_else(|error| panic!("{error}"));
    let aborts = fs::read(aborts).expect("it is built");
    for (name, bytes) in [
        ("libtext.so", b"no library".as_slice()),
        ("libcut.so", &echo[..echo.len() / 2]),
        ("libforeign.so", &foreign),
        ("libaborts.so", &aborts),
    ] {
        fs::write(folder.path().join(name), bytes).expect("the folder is ours");
    }
    folder
}

/// The good chains with a misbehaving provider in front, and a chain for each way to misbehave.
fn configuration(
    folder: &std::path::Path,
    upstream: &Upstream,
    echo: &str,
    good: &[Good],
) -> String {
    let built = built();
    let mut config = Config::new().plugins(&[&built, folder]);
    for Good { name, pool, seeded } in good {
        let assets: Vec<(&str, Option<&str>, u8)> = seeded
            .assets
            .iter()
            .take(1)
            .map(|asset| (&*asset.symbol, asset.contract.as_deref(), asset.decimals))
            .collect();
        let list = format!("{name}.txt");
        config = config.chain(&Chain {
            name,
            network: "mainnet",
            // Unchecked, so that the one in front is asked for balances.
            identity: None,
            pool,
            assets: &assets,
            list: Some(&list),
            more: "breaker = { failures = 3, cooldown = \"5s\" }\nscan = { budget = \"60s\" }",
        });
    }
    let mut odd = |name: &str, plugin: &str, more: &str| {
        let chain = Chain {
            name,
            network: "mainnet",
            identity: None,
            pool: &[name],
            assets: &[("ODD", None, 8)],
            list: Some("odd.txt"),
            more: "breaker = { failures = 3, cooldown = \"300ms\" }\nscan = { budget = \"2s\", \
                   max_pool_failures = 2 }",
        };
        let endpoint = match plugin {
            "fixture-echo" => echo,
            _ => "http://127.0.0.1:1",
        };
        let taken = std::mem::take(&mut config);
        config = taken.chain(&chain).provider(name, plugin, endpoint, more);
    };
    for (plugin, option, ways) in INSIDE {
        for way in *ways {
            let more = match *option {
                "" => "timeout = \"1s\"".to_owned(),
                option => format!("timeout = \"1s\"\noptions = {{ {option} = {way:?} }}"),
            };
            odd(&format!("{plugin}-{way}").replace('_', "-"), plugin, &more);
        }
    }
    for crash in ISOLATED {
        let more = format!(
            "isolation = \"process\"\ntimeout = \"1s\"\nmemory_max = \"64MiB\"\noptions = {{ crash = \
             {crash:?} }}"
        );
        odd(&format!("crashes-{crash}"), "fixture-crashes", &more);
    }
    odd(
        "crashes-at-load",
        "fixture-crashes-at-load",
        "isolation = \"process\"",
    );
    odd("constructs", "fixture-constructs", "");
    odd("echo", "fixture-echo", "");
    let node = |name: &str| upstream.endpoint(name);
    config
        .provider(
            "front-btc",
            "fixture-panics",
            "http://127.0.0.1:1",
            "options = { panic = \"balances\" }",
        )
        .provider(
            "front-bsc",
            "fixture-garbage",
            "http://127.0.0.1:1",
            "options = { wrong = \"flood\" }",
        )
        .provider(
            "front-sol",
            "fixture-crashes",
            "http://127.0.0.1:1",
            "isolation = \"process\"\noptions = { crash = \"segfault\" }",
        )
        .provider("esplora", "blockstream", &node("esplora"), "")
        .provider("evm", "bsc-rpc", &node("evm"), "")
        .provider("solana", "solana-rpc", &node("solana"), "")
        .text()
        // Some import what no plugin should; that is what they are for.
        .replacen("[plugins]\n", "[plugins]\nimports = \"warn\"\n", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_misbehaving_plugin_at_once_costs_the_good_ones_nothing() {
    let good = [
        Good {
            name: "btc",
            pool: ["front-btc", "esplora"],
            seeded: Ledger::seeded_bitcoin(bitcoin::Network::Bitcoin, 11, GOOD),
        },
        Good {
            name: "bsc",
            pool: ["front-bsc", "evm"],
            seeded: Ledger::seeded_bsc(11, GOOD),
        },
        Good {
            name: "sol",
            pool: ["front-sol", "solana"],
            seeded: Ledger::seeded_solana(11, GOOD),
        },
    ];
    let mut world = World::new();
    for ((Good { name, seeded, .. }, host), kind) in good
        .iter()
        .zip(["esplora", "evm", "solana"])
        .zip([HostKind::Esplora, HostKind::Evm, HostKind::Solana])
    {
        world = world
            .with_ledger(name, seeded.ledger.clone())
            .with_host(host, kind, name);
    }
    let upstream = Upstream::start(world).await.expect("a port is free");
    let folder = folder();
    let echo = echo_service().await;
    let product = Product::new(&Config::new());
    let text = configuration(folder.path(), &upstream, &echo, &good);
    product.write("scanhost.toml", &text);
    product.write("odd.txt", ADDRESSES.join("\n"));
    for Good { name, seeded, .. } in &good {
        product.write(&format!("{name}.txt"), seeded.addresses.join("\n"));
    }

    let began = Instant::now();
    let run = product.run(&["scan", "--format", "json"]).expect(3);
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());

    let mut rows: HashMap<String, Vec<Value>> = HashMap::new();
    for row in run.rows() {
        let chain = row["chain"].as_str().expect("it is a name").to_owned();
        rows.entry(chain).or_default().push(row);
    }
    for Good { name, seeded, pool } in &good {
        let rows = rows.remove(*name).unwrap_or_default();
        assert_eq!(rows.len(), GOOD, "{name}:\n{}", run.stderr);
        let symbol = &seeded.assets[0].symbol;
        for (index, row) in rows.iter().enumerate() {
            let amount = seeded.amount(index, symbol).to_string();
            assert_eq!(row["amount"], amount, "{row}\n{}", run.stderr);
            assert_eq!(row["provider"], pool[1], "{row}");
        }
    }
    // Whatever the others did, each of their cells has its row, and none an amount of its own.
    let ways: usize = INSIDE.iter().map(|(_, _, ways)| ways.len()).sum();
    assert_eq!(rows.len(), ways + ISOLATED.len() + 3, "{:?}", rows.keys());
    for (chain, rows) in &rows {
        assert_eq!(rows.len(), ADDRESSES.len(), "{chain}");
        for (row, address) in rows.iter().zip(ADDRESSES) {
            let honest = match chain.as_str() {
                "echo" => (1_000 * address.len()).to_string(),
                _ => "1".to_owned(),
            };
            match row["status"].as_str() {
                Some("known") => assert_eq!(row["amount"], honest, "{row}"),
                _ => assert!(
                    row.get("amount").is_none() && row["error"].is_object(),
                    "{row}"
                ),
            }
        }
    }
    assert!(rows["echo"].iter().all(|row| row["status"] == "known"));
    for (code, file) in [
        ("not_a_library", "libtext.so"),
        ("not_a_library", "libforeign.so"),
        ("panic_mode", "libaborts.so"),
    ] {
        let list = product
            .run(&["plugins", "list", "--format", "json"])
            .expect(0);
        let listed = list.rows().into_iter().find(|row| {
            row["path"]
                .as_str()
                .is_some_and(|path| path.ends_with(file))
        });
        assert_eq!(listed.expect("it is listed")["error_code"], code, "{file}");
    }
}
