//! Plugins that misbehave, beside ones that do not; plugins of other days; files that are none.

mod changed;
mod faults;
mod files;
mod loading;
mod secrets;
mod together;
mod trust;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::extract::Path as UrlPath;
use axum::routing::get;
use scanhost_tests::fixtures;
use scanhost_tests::product::{Chain, Config, IMPATIENT, Product, Run, built};
use scanhost_tests::upstream::{HostKind, Ledger, Upstream, World};
use serde_json::Value;

/// Addresses of the fixtures' chain; all of them fit one call.
const ADDRESSES: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
/// A scan beside a plugin that hangs ends before this, on a busy machine too.
const LONGEST: Duration = Duration::from_secs(120);
/// Addresses of the chain that must not suffer.
const UNHARMED: usize = 20;

/// A chain with one fixture for a provider, beside `bsc`, which the simulator serves.
struct Lab {
    upstream: Upstream,
    list: String,
    truth: Vec<(String, String)>,
    folder: tempfile::TempDir,
}

impl Lab {
    async fn start() -> Self {
        let seeded = Ledger::seeded_evm(56, "BNB", 7, UNHARMED);
        let addresses = seeded.addresses.iter().enumerate();
        let truth = addresses
            .map(|(index, address)| (address.clone(), seeded.amount(index, "BNB").to_string()))
            .collect();
        let list = seeded.addresses.join("\n");
        let world =
            World::new()
                .with_ledger("bsc", seeded.ledger)
                .with_host("node", HostKind::Evm, "bsc");
        Self {
            upstream: Upstream::start(world).await.expect("a port is free"),
            list,
            truth,
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// A plugin folder of the test's own with these files in it.
    fn folder(&self, files: &[&Path]) -> PathBuf {
        let folder = self.folder.path().to_owned();
        for file in files {
            let name = file.file_name().expect("it is a file");
            fs::copy(file, folder.join(name)).expect("it is there");
        }
        folder
    }

    /// The configuration: `plugin` serves the chain `odd` at `endpoint`.
    fn config(&self, folders: &[&Path], plugin: &str, endpoint: &str, more: &str) -> Config {
        let odd = Chain {
            name: "odd",
            network: "mainnet",
            identity: Some("odd-1"),
            pool: &["odd"],
            assets: &[("ODD", None, 8)],
            list: Some("odd.txt"),
            more: IMPATIENT,
        };
        self.beside(folders)
            .chain(&odd)
            .provider("odd", plugin, endpoint, more)
    }

    /// The configuration of `bsc` alone.
    fn beside(&self, folders: &[&Path]) -> Config {
        let bsc = Chain {
            name: "bsc",
            network: "mainnet",
            identity: Some("56"),
            pool: &["node"],
            assets: &[("BNB", None, 18)],
            list: Some("bsc.txt"),
            more: IMPATIENT,
        };
        let built = built();
        let folders: Vec<&Path> = [&*built]
            .into_iter()
            .chain(folders.iter().copied())
            .collect();
        Config::new().plugins(&folders).chain(&bsc).provider(
            "node",
            "bsc-rpc",
            &self.upstream.endpoint("node"),
            "",
        )
    }

    fn product(&self, config: &Config) -> Product {
        let product = Product::new(config);
        product.write("bsc.txt", &self.list);
        product.write("odd.txt", ADDRESSES.join("\n"));
        product
    }

    /// Scans both chains; `bsc` must be as it is, whatever `odd` does.
    #[track_caller]
    fn scan(&self, config: &Config, code: i32) -> Run {
        let product = self.product(config);
        let run = product.run(&["scan", "--format", "json"]).expect(code);
        self.expect_unharmed(&run);
        run
    }

    #[track_caller]
    fn expect_unharmed(&self, run: &Run) {
        let rows = rows_of(run, "bsc");
        let told: Vec<_> = rows
            .iter()
            .map(|row| (text(&row["address"]), text(&row["amount"])))
            .collect();
        assert_eq!(told, self.truth, "stderr:\n{}", run.stderr);
    }

    /// Scans with a fixture whose option says what it does.
    #[track_caller]
    fn scan_with(&self, fixture: &str, option: &str, code: i32) -> Run {
        self.scan_within("1s", fixture, option, code)
    }

    #[track_caller]
    fn scan_within(&self, timeout: &str, fixture: &str, option: &str, code: i32) -> Run {
        let folder = self.folder(&[&built_fixture(fixture)]);
        let more = format!("timeout = {timeout:?}\n[providers.odd.options]\n{option}");
        let config = self.config(&[&folder], fixture, &self.upstream.base_url, &more);
        let run = self.scan(&config, code);
        for line in run.stderr.lines().chain(run.stdout.lines()) {
            assert!(line.len() < 10_000, "{option}: a line of {}", line.len());
            assert!(!line.chars().any(char::is_control), "{option}: {line:?}");
        }
        for row in rows_of(&run, "odd") {
            match row["status"].as_str() {
                Some("known") => assert_eq!(row["amount"], "1", "{option}: {row}"),
                _ => assert_eq!(row.get("amount"), None, "{option}: {row}"),
            }
        }
        run
    }
}

/// The service that `fixture-echo` reads: the amount is a thousand per letter of the address.
async fn echo_service() -> String {
    let balance = |UrlPath(address): UrlPath<String>| async move {
        format!(r#"{{"amount":"{}","height":7}}"#, 1_000 * address.len())
    };
    serve(
        Router::new()
            .route("/identity", get(|| async { r#"{"chain":"odd-1"}"# }))
            .route("/balance/{address}", get(balance)),
    )
    .await
}

/// Serves that, and tells where.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// The file of a fixture.
#[track_caller]
fn built_fixture(name: &str) -> PathBuf {
    fixtures::plugin(name).unwrap_or_else(|error| panic!("{error}"))
}

/// The hash that `plugins inspect` tells of a file.
fn hash_of(product: &Product, file: &Path) -> String {
    let file = file.display().to_string();
    let run = product.run(&["plugins", "inspect", &file]).expect(0);
    let hash = run.stdout.split("sha256:").nth(1);
    hash.and_then(|rest| rest.get(..64))
        .unwrap_or_else(|| panic!("{}", run.stdout))
        .to_owned()
}

#[track_caller]
fn assert_echoed(run: &Run) {
    let rows = rows_of(run, "odd");
    assert_eq!(rows.len(), ADDRESSES.len());
    for (row, address) in rows.iter().zip(ADDRESSES) {
        assert_eq!(row["address"], address);
        assert_eq!(row["amount"], (1_000 * address.len()).to_string(), "{row}");
        assert_eq!(row["height"], 7, "{row}");
    }
}

fn rows_of(run: &Run, chain: &str) -> Vec<Value> {
    let rows = run.rows().into_iter();
    rows.filter(|row| row["chain"] == chain).collect()
}

fn known_of(run: &Run) -> usize {
    let rows = rows_of(run, "odd");
    assert_eq!(rows.len(), ADDRESSES.len(), "stderr:\n{}", run.stderr);
    rows.iter().filter(|row| row["status"] == "known").count()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Fails unless the provider was left out for this reason, told on standard error and in each row.
#[track_caller]
fn assert_left_out(run: &Run, message: &str) {
    assert!(run.stderr.contains(message), "stderr:\n{}", run.stderr);
    assert_all_unknown(run, message);
    for row in rows_of(run, "odd") {
        let told = &row["error"]["providers"][0];
        assert_eq!(told["class"], "plugin_fault", "{row}");
    }
}

/// Fails unless every cell of `odd` is unknown, and the provider's word for it holds `message`.
#[track_caller]
fn assert_all_unknown(run: &Run, message: &str) {
    assert_eq!(known_of(run), 0);
    for row in rows_of(run, "odd") {
        let told = &row["error"]["providers"][0];
        assert_eq!(told["provider"], "odd", "{row}");
        assert!(text(&told["message"]).contains(message), "{message}: {row}");
    }
}
