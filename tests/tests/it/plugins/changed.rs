//! A plugin's file is changed under a running service.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Path as UrlPath;
use axum::routing::get;
use scanhost_tests::fixtures;
use scanhost_tests::product::{Chain, Config, Product};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{built_fixture, hash_of, serve};
use crate::lab::wait_until;
use crate::served::Served;

/// A service that `fixture-echo` reads in both of its versions, with the order in which it was asked.
struct Echo {
    product: Product,
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    /// What serves it.
    _runtime: Runtime,
}

/// The file that the service loads, whatever lies in it.
const FILE: &str = "libecho.so";

impl Echo {
    /// With `addresses` in the list, each of which takes `delay` to answer.
    fn start(addresses: usize, delay: Duration) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer = |version: &'static str, amount: usize| {
            let asked = asked.clone();
            get(move |UrlPath(address): UrlPath<String>| async move {
                asked
                    .lock()
                    .expect("nobody panics with it")
                    .push(format!("{version} {address}"));
                tokio::time::sleep(delay).await;
                format!(r#"{{"amount":"{amount}","height":7}}"#)
            })
        };
        let router = Router::new()
            .route("/identity", get(|| async { r#"{"chain":"odd-1"}"# }))
            .route("/balance/{address}", answer("first", 1))
            .route("/second/balance/{address}", answer("second", 2));
        let runtime = Runtime::new().expect("a runtime starts");
        let endpoint = runtime.block_on(serve(router));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let chain = Chain {
            name: "odd",
            network: "mainnet",
            identity: Some("odd-1"),
            pool: &["odd"],
            assets: &[("ODD", None, 8)],
            list: Some("odd.txt"),
            more: "",
        };
        let config = Config::new().plugins(&[folder.path()]).chain(&chain);
        let options = "connections = 2\n[providers.odd.options]\nbatch = 5";
        let config = config.provider("odd", "fixture-echo", &endpoint, options);
        let product = Product::new(&config);
        let list: Vec<String> = (0..addresses).map(|it| format!("address{it:05}")).collect();
        product.write("odd.txt", list.join("\n"));
        let echo = Self {
            product,
            folder,
            asked,
            _runtime: runtime,
        };
        echo.put(&built_fixture("fixture-echo"));
        echo
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Replaces the file as an installer does, by a rename.
    fn put(&self, file: &Path) {
        let draft = self.folder.path().join("draft");
        fs::copy(file, &draft).expect("it is built");
        fs::rename(&draft, self.path()).expect("the folder is ours");
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

/// Version and hash that the API tells of the provider.
fn runs(served: &Served) -> (Value, Value) {
    let provider = served.items("providers").remove(0);
    (
        provider["plugin_version"].clone(),
        provider["plugin_sha256"].clone(),
    )
}

fn reload(served: &Served) -> String {
    let answer = served.post("reload", &Value::Null).expect(200);
    answer["warnings"].to_string()
}

/// Threads of the service that run a plugin; the kernel keeps 15 letters of a name.
fn plugin_threads(served: &mut Served) -> usize {
    let pid = served.running().pid();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let named = |task: &fs::DirEntry| {
        let name = fs::read_to_string(task.path().join("comm"));
        name.is_ok_and(|name| name.trim_end() == "plugin fixture-")
    };
    tasks.flatten().filter(named).count()
}

#[test]
fn a_changed_file_takes_over_in_the_middle_of_a_scan_and_no_cell_is_lost() {
    const ADDRESSES: usize = 400;
    let second = fixtures::second_echo().unwrap_or_else(|error| panic!("{error}"));
    let echo = Echo::start(ADDRESSES, Duration::from_millis(5));
    let served = Served::start(&echo.product);
    let (version, hash) = runs(&served);
    assert_eq!(version, "0.1.0");
    let id = served.scan("odd");
    wait_until(|| echo.asked().len() > 50);
    echo.put(&second);
    // It is not touched before somebody says so.
    assert_eq!(runs(&served), (json!("0.1.0"), hash));
    let warnings = reload(&served);
    assert!(!warnings.contains("goes on with version"), "{warnings}");
    let (version, hash) = runs(&served);
    assert_eq!(version, "0.2.0");
    let expected = format!("sha256:{}", hash_of(&echo.product, &second));
    assert_eq!(hash, expected);
    let scan = served.ended(&id);
    assert_eq!(scan["status"], "complete", "{scan}");
    assert_eq!(scan["known"], ADDRESSES, "{scan}");

    // What was under way ended with the old code, and everything after it is the new one's.
    let asked = echo.asked();
    let switch = asked.iter().position(|it| it.starts_with("second"));
    let switch = switch.expect("the new version was used");
    assert!(switch > 50, "{switch}");
    assert!(asked[switch..].iter().all(|it| it.starts_with("second")));
    let mut addresses: Vec<&str> = asked.iter().filter_map(|it| it.split(' ').nth(1)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), ADDRESSES);
    // At most the calls in flight were asked twice.
    assert!(asked.len() <= ADDRESSES + 2 * 5, "{}", asked.len());
    assert_eq!(served.stop().code, 0);
}

#[test]
fn a_broken_file_leaves_the_provider_with_what_it_has() {
    let crashes = fixtures::one_that("crashes").unwrap_or_else(|error| panic!("{error}"));
    let echo = Echo::start(5, Duration::ZERO);
    let served = Served::start(&echo.product);
    let (_, first) = runs(&served);
    let scan = || {
        let scan = served.ended(&served.scan("odd"));
        assert_eq!(
            (&scan["status"], &scan["known"]),
            (&json!("complete"), &json!(5)),
            "{scan}"
        );
    };
    scan();

    // Pinned to what runs, another file is refused.
    let text = fs::read_to_string(echo.product.folder().join("scanhost.toml")).unwrap();
    let hash = first.as_str().expect("it is loaded");
    let pinned = format!("{text}\n[plugins.pin]\nfixture-echo = \"{hash}\"\n");
    echo.product.write("scanhost.toml", pinned);
    echo.put(&fixtures::second_echo().unwrap_or_else(|error| panic!("{error}")));
    let warnings = reload(&served);
    assert!(
        warnings.contains("goes on with version 0.1.0"),
        "{warnings}"
    );
    assert!(warnings.contains("[hash_mismatch]"), "{warnings}");
    assert_eq!(runs(&served), (json!("0.1.0"), first.clone()));
    scan();

    // Not so where the pin forbids what runs.
    let forbidden = format!(
        "{text}\n[plugins.pin]\nfixture-echo = \"sha256:{}\"\n",
        "0".repeat(64)
    );
    echo.product.write("scanhost.toml", forbidden);
    let warnings = reload(&served);
    assert!(!warnings.contains("goes on with"), "{warnings}");
    assert_eq!(runs(&served), (Value::Null, Value::Null));
    echo.product.write("scanhost.toml", &text);
    echo.put(&built_fixture("fixture-echo"));
    reload(&served);
    assert_eq!(runs(&served), (json!("0.1.0"), first.clone()));

    // A library of that name that does not survive being loaded.
    let crashing = fs::read(&crashes).expect("it is built");
    let crashing = renamed(crashing, "fixture-constructs", "fixture-echo");
    fs::write(echo.folder.path().join("draft"), crashing).expect("the folder is ours");
    fs::rename(echo.folder.path().join("draft"), echo.path()).expect("the folder is ours");
    let warnings = reload(&served);
    assert!(
        warnings.contains("goes on with version 0.1.0"),
        "{warnings}"
    );
    assert!(warnings.contains("[load_crash]"), "{warnings}");
    assert_eq!(runs(&served), (json!("0.1.0"), first.clone()));
    scan();

    // One that is none ends the reload.
    fs::write(echo.path(), "no library\n").expect("the folder is ours");
    let problem = served.post("reload", &Value::Null);
    problem.problem(422, "invalid_configuration");
    assert_eq!(runs(&served), (json!("0.1.0"), first));
    scan();
    assert_eq!(served.stop().code, 0);
}

/// The same library under another name in its manifest, which keeps its length by spaces behind it.
fn renamed(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let from = format!("\"name\": \"{from}\",");
    let to = format!(
        "{:<width$}",
        format!("\"name\": \"{to}\","),
        width = from.len()
    );
    let mut at = 0;
    let mut found = 0;
    while let Some(next) = bytes[at..]
        .windows(from.len())
        .position(|it| it == from.as_bytes())
    {
        at += next;
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        found += 1;
    }
    assert!(found > 0, "the manifest is in the file");
    bytes
}

#[test]
fn a_file_that_did_not_change_is_not_loaded_again_and_versions_are_limited() {
    const VERSIONS: usize = 32;
    let echo = Echo::start(3, Duration::ZERO);
    let level = [("SCANHOST__LOG__LEVEL", "info")];
    let mut served = Served::with(&echo.product, &level);
    let loads = |served: &mut Served| {
        let said = served.running().said();
        said.lines()
            .filter(|line| line.contains("isolation=\"none\""))
            .count()
    };
    for _ in 0..3 {
        reload(&served);
    }
    assert_eq!(loads(&mut served), 1, "{}", served.running().said());
    assert_eq!(plugin_threads(&mut served), 1);

    // Each byte more at the end is another file.
    let mut bytes = fs::read(built_fixture("fixture-echo")).expect("it is built");
    let mut put = || {
        bytes.push(0);
        fs::write(echo.folder.path().join("draft"), &bytes).expect("the folder is ours");
        fs::rename(echo.folder.path().join("draft"), echo.path()).expect("the folder is ours");
    };
    for _ in 1..VERSIONS {
        put();
        let warnings = reload(&served);
        assert!(!warnings.contains("goes on with"), "{warnings}");
    }
    assert_eq!(loads(&mut served), VERSIONS);
    // Threads end with the providers that used them.
    let looked = std::cell::RefCell::new(&mut served);
    wait_until(|| plugin_threads(&mut looked.borrow_mut()) == 1);
    let last = runs(&served);
    put();
    let warnings = reload(&served);
    assert!(
        warnings.contains("goes on with version 0.1.0"),
        "{warnings}"
    );
    assert!(warnings.contains("[too_many_versions]"), "{warnings}");
    assert!(warnings.contains("restart Scanhost"), "{warnings}");
    assert_eq!(runs(&served), last);
    let scan = served.ended(&served.scan("odd"));
    assert_eq!(scan["status"], "complete", "{scan}");
    assert_eq!(served.stop().code, 0);
}
