//! `scanhost plugins new`: what it writes is built outside of the workspace, and a service that runs
//! takes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::extract::Path as UrlPath;
use axum::http::StatusCode;
use axum::routing::get;
use scanhost_tests::fixtures::outside::{self, cargo_in, plugin_api};
use scanhost_tests::product::{Chain, Config, IMPATIENT, Product, built};
use scanhost_tests::upstream::{HostKind, Ledger, Upstream, World};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::served::Served;

/// What the API that the scaffold is written for holds.
const HOLDINGS: [(&str, &str); 3] = [
    ("c1alice00001", "150"),
    ("c1bob0000002", "0"),
    // More than 64 bits.
    ("c1carol00003", "123456789012345678901234567890"),
];
/// What is in `example.toml` of a scaffold.
const ENDPOINT: &str = "http://127.0.0.1:8900";

/// `scanhost plugins new` with these arguments in `folder`: its code, and what it said.
fn new_in(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(built().join("scanhost"))
        .args(["plugins", "new"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// The scaffold of a plugin, built and tested; its folder and its library.
fn built_scaffold(name: &str) -> (PathBuf, PathBuf) {
    let desk = outside::desk(name).unwrap_or_else(|error| panic!("{error}"));
    let api = plugin_api();
    let api = api.to_str().expect("it is UTF-8");
    let (code, said) = new_in(&desk, &[name, "--api-path", api]);
    assert_eq!(code, Some(0), "{said}");
    let folder = desk.join(name);
    for arguments in [&["build"][..], &["test"]] {
        cargo_in(&folder, arguments).unwrap_or_else(|error| panic!("{error}"));
    }
    let library = format!(
        "{}scanhost_{}{}",
        std::env::consts::DLL_PREFIX,
        name.replace('-', "_"),
        std::env::consts::DLL_SUFFIX
    );
    let library = folder.join("target/debug").join(library);
    (folder, library)
}

/// The API that the scaffold is written for.
fn made_up_api(runtime: &Runtime) -> String {
    let balance = |UrlPath(address): UrlPath<String>| async move {
        let held = HOLDINGS.iter().find(|(holder, _)| *holder == address);
        let (_, amount) = held.ok_or(StatusCode::NOT_FOUND)?;
        let answer = json!({ "address": address, "confirmed": amount, "height": 1200 });
        Ok::<_, StatusCode>(answer.to_string())
    };
    let router = Router::new()
        .route("/chain", get(|| async { r#"{"id":"coin-1"}"# }))
        .route("/balance/{address}", get(balance));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    runtime.spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// What lies below a folder, by path, without what cargo made.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("it is a folder") {
            let path = entry.expect("it is there").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(folder).expect("it is below");
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_new_plugin_is_built_tested_verified_and_taken_by_a_service_that_runs() {
    let (folder, library) = built_scaffold("my-coin");

    // A service that runs, with another chain and an empty plugin folder of the operator's.
    let runtime = Runtime::new().expect("a runtime starts");
    let seeded = Ledger::seeded_evm(56, "BNB", 7, 20);
    let list = seeded.addresses.join("\n");
    let world =
        World::new()
            .with_ledger("bsc", seeded.ledger)
            .with_host("node", HostKind::Evm, "bsc");
    let upstream = runtime.block_on(Upstream::start(world)).expect("a port");
    let product = Product::new(&Config::new());
    let dropped_in = product.folder().join("plugins");
    fs::create_dir(&dropped_in).expect("the folder is ours");
    let bsc = Chain {
        name: "bsc",
        network: "mainnet",
        identity: Some("56"),
        pool: &["node"],
        assets: &[("BNB", None, 18)],
        list: Some("bsc.txt"),
        more: IMPATIENT,
    };
    let config = Config::new()
        .plugins(&[&built(), &dropped_in])
        .chain(&bsc)
        .provider("node", "bsc-rpc", &upstream.endpoint("node"), "");
    product.configure(&config);
    product.write("bsc.txt", list);

    let verified = product.run(&["plugins", "verify", library.to_str().expect("UTF-8")]);
    let verified = verified.expect(0);
    assert!(verified.stdout.contains("usable"), "{}", verified.stdout);
    assert!(verified.stdout.contains("my-coin"), "{}", verified.stdout);

    let served = Served::start(&product);
    served.get("chains/my-coin").problem(404, "unknown_chain");
    assert_eq!(served.ended(&served.scan("bsc"))["status"], "complete");

    // The operator drops the file, adds the tables, has them read.
    fs::copy(&library, dropped_in.join("libmy_coin.so")).expect("the folder is ours");
    let tables = fs::read_to_string(folder.join("example.toml")).expect("it was written");
    assert!(tables.contains(ENDPOINT), "{tables}");
    let tables = tables.replace(ENDPOINT, &made_up_api(&runtime));
    product.write("scanhost.toml", format!("{}\n{tables}", config.text()));
    fs::create_dir(product.folder().join("my-coin")).expect("the folder is ours");
    let addresses = fs::read(folder.join("addresses.txt")).expect("it was written");
    product.write("my-coin/addresses.txt", addresses);
    served.post("reload", &Value::Null).expect(200);

    let scan = served.ended(&served.scan("my-coin"));
    assert_eq!(
        (&scan["status"], &scan["known"]),
        (&json!("complete"), &json!(HOLDINGS.len())),
        "{scan}"
    );
    let mut told: Vec<(String, String)> = served
        .items("balances?chain=my-coin")
        .iter()
        .map(|item| {
            assert_eq!(
                (&item["height"], &item["provider"]),
                (&json!(1200), &json!("my-coin"))
            );
            let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
            (text("address"), text("amount"))
        })
        .collect();
    told.sort();
    let held = HOLDINGS.map(|(address, amount)| (address.to_owned(), amount.to_owned()));
    assert_eq!(told, held);
    // Who was there goes on.
    assert_eq!(served.ended(&served.scan("bsc"))["status"], "complete");
    assert_eq!(served.stop().code, 0);
}

#[test]
fn a_relative_path_is_seen_from_the_new_crate() {
    let desk = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink(plugin_api(), desk.path().join("api")).expect("the folder is ours");
    let (code, said) = new_in(desk.path(), &["coin", "--api-path", "api"]);
    assert_eq!(code, Some(0), "{said}");
    let manifest = fs::read_to_string(desk.path().join("coin/Cargo.toml")).expect("it was written");
    let line = "scanhost-plugin-api = { path = \"../api\" }\n";
    assert!(manifest.contains(line), "{manifest}");
    for name in files(&desk.path().join("coin")) {
        let text = fs::read_to_string(desk.path().join("coin").join(&name)).expect("it is text");
        assert!(!text.contains("{{"), "{name}: {text}");
    }
}

#[test]
fn nothing_is_overwritten_and_mistakes_are_told_with_what_to_do() {
    let desk = tempfile::tempdir().expect("a temporary folder");
    let api = plugin_api();
    let api = api.to_str().expect("it is UTF-8");
    fs::create_dir(desk.path().join("there")).expect("the folder is ours");
    fs::write(desk.path().join("there/mine"), "mine").expect("the folder is ours");
    for (arguments, message) in [
        (
            &["there", "--api-path", api][..],
            "`there` is there already",
        ),
        (&["Coin", "--api-path", api], "lower-case letters"),
        (&["../coin", "--api-path", api], "lower-case letters"),
        (&["plugin-api", "--api-path", api], "choose another"),
        (&["coin", "--api-path", "there"], "in Scanhost's source"),
        (&["coin", "--api-version", "\"\n[x]"], "--api-version 0.1"),
        (
            &["coin", "--api-path", api, "--api-version", "0.1"],
            "cannot be used with",
        ),
        (&[], "NAME"),
    ] {
        let (code, said) = new_in(desk.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
        assert_eq!(files(desk.path()), ["there/mine"], "{arguments:?}");
    }
    let mine = fs::read_to_string(desk.path().join("there/mine")).expect("it is there");
    assert_eq!(mine, "mine");
    let (code, said) = new_in(desk.path(), &["coin", "--api-version", "0.1"]);
    assert_eq!(code, Some(0), "{said}");
    let manifest = fs::read_to_string(desk.path().join("coin/Cargo.toml")).expect("it was written");
    assert!(
        manifest.contains("scanhost-plugin-api = { version = \"0.1\" }"),
        "{manifest}"
    );
}
