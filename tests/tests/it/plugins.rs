//! Plugins that misbehave, beside ones that do not; plugins of other days; files that are none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::extract::Path as UrlPath;
use axum::routing::get;
use scanhost_tests::fixtures::{self, Abi};
use scanhost_tests::product::{Chain, Config, IMPATIENT, Product, Run, built};
use scanhost_tests::upstream::{HostKind, Ledger, Upstream, World};
use serde_json::Value;
use tokio::time::Instant;

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
        let file = fixtures::plugin(fixture).unwrap_or_else(|error| panic!("{error}"));
        let folder = self.folder(&[&file]);
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
    let router = Router::new()
        .route("/identity", get(|| async { r#"{"chain":"odd-1"}"# }))
        .route("/balance/{address}", get(balance));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
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

#[tokio::test(flavor = "multi_thread")]
async fn panics_cost_their_provider_alone() {
    let lab = Lab::start().await;
    for (place, message) in [
        ("open", "the fixture panics in Open"),
        ("caps", "the fixture panics in Caps"),
    ] {
        let run = lab.scan_with("fixture-panics", &format!("panic = {place:?}"), 3);
        assert_left_out(&run, message);
    }
    for (place, message) in [
        ("identity", "the fixture panics in Identity"),
        ("balances", "the fixture panics in Balances"),
        ("resumed", "the fixture panics in Resumed"),
    ] {
        let run = lab.scan_with("fixture-panics", &format!("panic = {place:?}"), 3);
        assert_all_unknown(&run, message);
    }
    // Nobody could check the addresses; they are asked for as they stand.
    for place in ["never", "drop", "validate"] {
        let run = lab.scan_with("fixture-panics", &format!("panic = {place:?}"), 0);
        assert_eq!(known_of(&run), ADDRESSES.len(), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_never_an_amount() {
    let lab = Lab::start().await;
    let all = ADDRESSES.len();
    for (wrong, known) in [
        ("nothing", all),
        ("missing", all - 1),
        ("empty", 0),
        ("doubled", all - 1),
        // A plugin that cannot count its cells is believed nothing.
        ("out_of_range", 0),
        ("last_index", 0),
        ("flood", 0),
        ("kind", all - 1),
        ("no_reason", all - 1),
        ("error_kind", all - 1),
        ("huge_message", all - 1),
        ("nuls", all - 1),
        ("huge_error", 0),
        ("no_caps", 0),
        ("huge_identity", 0),
        // Nobody could check the addresses; they are asked for as they stand.
        ("huge_address", all),
        ("empty_address", all),
    ] {
        let code = if known == all { 0 } else { 3 };
        let run = lab.scan_with("fixture-garbage", &format!("wrong = {wrong:?}"), code);
        assert_eq!(known_of(&run), known, "{wrong}:\n{}", run.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hangs_end_and_cost_their_provider_alone() {
    let lab = Lab::start().await;
    // One deadline is longer than a poll may take, the others are shorter.
    for (place, timeout, message) in [
        ("open", "15s", "[open_deadline]"),
        ("validate", "15s", "the plugin hangs; it is in quarantine"),
        ("identity", "15s", "the plugin hangs; it is in quarantine"),
        ("balances", "15s", "the plugin hangs; it is in quarantine"),
        ("identity", "1s", "the plugin did not finish within 2 s"),
        ("balances", "1s", "the plugin did not finish within 2 s"),
        ("pending", "1s", "the plugin did not finish within 2 s"),
        ("awake", "1s", "the plugin did not finish within 2 s"),
    ] {
        let began = Instant::now();
        let option = format!("hang = {place:?}");
        let run = lab.scan_within(timeout, "fixture-hangs", &option, 3);
        assert!(began.elapsed() < LONGEST, "{place} in {timeout}");
        assert_all_unknown(&run, message);
    }
    let run = lab.scan_with("fixture-hangs", "hang = 'never'", 0);
    assert_eq!(known_of(&run), ADDRESSES.len());
}

/// The next provider of the chain knows what the hung one does not tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_hung_plugin_costs_no_cell_that_another_provider_reads() {
    let lab = Lab::start().await;
    let files = ["fixture-hangs", "fixture-echo"]
        .map(|name| fixtures::plugin(name).unwrap_or_else(|error| panic!("{error}")));
    let folder = lab.folder(&[&files[0], &files[1]]);
    let service = echo_service().await;
    for (place, timeout) in [("balances", "15s"), ("pending", "1s"), ("identity", "1s")] {
        let more = format!("timeout = {timeout:?}\n[providers.odd.options]\nhang = {place:?}");
        let config = lab
            .config(&[&folder], "fixture-hangs", &lab.upstream.base_url, &more)
            .provider("echo", "fixture-echo", &service, "");
        let product = lab.product(&config);
        let text = config.text();
        let pool = "pool = [\"odd\"]";
        assert!(text.contains(pool));
        // A hang takes longer than these chains have patience.
        let both = text
            .replacen(pool, "pool = [\"odd\", \"echo\"]", 1)
            .replace("budget = \"2s\"", "budget = \"60s\"");
        product.write("scanhost.toml", both);
        let began = Instant::now();
        let run = product.run(&["scan", "--format", "json"]).expect(0);
        assert!(began.elapsed() < LONGEST, "{place} in {timeout}");
        lab.expect_unharmed(&run);
        assert_echoed(&run);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_plugins_disturb_nobody_who_does_not_name_them() {
    let lab = Lab::start().await;
    let folder = lab.folder(&[]);
    let good = fs::read(built().join("libscanhost_plugin_mempool.so")).expect("it is built");
    let noise: Vec<u8> = (0..50_000_u32)
        .map(|index| index.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    fs::write(folder.join("libcut.so"), &good[..good.len() / 2]).expect("the folder is ours");
    fs::write(folder.join("libnoise.so"), noise).expect("the folder is ours");
    // `e_machine` of the ELF header.
    let mut foreign = good.clone();
    foreign[18] = if cfg!(target_arch = "x86_64") {
        183
    } else {
        62
    };
    fs::write(folder.join("libforeign.so"), foreign).expect("the folder is ours");
    fs::write(folder.join("libtext.so"), "no library\n").expect("the folder is ours");
    fs::write(folder.join("libempty.so"), "").expect("the folder is ours");
    fs::write(folder.join("notes.txt"), "not even called one\n").expect("the folder is ours");

    let run = lab.scan(&lab.beside(&[&folder]), 0);
    let names = ["cut", "noise", "foreign", "text", "empty"];
    for name in names {
        let file = format!("lib{name}.so");
        let told = |line: &str| line.contains(&file) && line.contains("[not_a_library]");
        assert!(run.stderr.lines().any(told), "{name}:\n{}", run.stderr);
    }
    assert!(!run.stderr.contains("notes.txt"), "{}", run.stderr);

    for plugin in names {
        let config = lab.config(&[&folder], plugin, "http://127.0.0.1:1", "");
        let run = lab.product(&config).run(&["scan", "--format", "json"]);
        let run = run.expect(2);
        assert_eq!(run.stdout, "");
        let told = |line: &str| line.contains(plugin) && line.contains("[not_a_library]");
        assert!(run.stderr.lines().any(told), "{plugin}:\n{}", run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_built_to_abort_is_refused() {
    let lab = Lab::start().await;
    let file = fixtures::echo_that_aborts().unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let run = lab.scan(&lab.config(&[&folder], "fixture-echo", &service, ""), 3);
    assert_left_out(&run, "[panic_mode]");
    assert!(run.stderr.contains("unwind"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_of_another_major_is_refused_in_one_line() {
    let lab = Lab::start().await;
    let file = fixtures::echo_built_for(Abi::OtherMajor).unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let run = lab.scan(&lab.config(&[&folder], "fixture-echo", &service, ""), 3);
    assert_left_out(&run, "[abi_major]");
    assert!(run.stderr.contains("rebuild it"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_of_a_newer_minor_works() {
    let lab = Lab::start().await;
    let file = fixtures::echo_built_for(Abi::NewerMinor).unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let run = lab.scan(&lab.config(&[&folder], "fixture-echo", &service, ""), 0);
    assert_echoed(&run);
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_today_work_in_a_host_of_a_newer_minor() {
    works_in_a_host_of(Abi::NewerMinor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_of_the_first_minor_works() {
    let lab = Lab::start().await;
    let file = fixtures::echo_built_for(Abi::First).unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let run = lab.scan(&lab.config(&[&folder], "fixture-echo", &service, ""), 0);
    assert_echoed(&run);
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_today_work_in_a_host_of_the_first_minor() {
    works_in_a_host_of(Abi::First).await;
}

/// A program of another day loads the plugins of today.
async fn works_in_a_host_of(abi: Abi) {
    let lab = Lab::start().await;
    let host = fixtures::host_built_for(abi).unwrap_or_else(|error| panic!("{error}"));
    let file = fixtures::plugin("fixture-echo").unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let product = lab.product(&lab.config(&[&folder], "fixture-echo", &service, ""));
    let output = std::process::Command::new(host)
        .args(["scan", "--format", "json"])
        .current_dir(product.folder())
        .env_remove("SCANHOST_CONFIG")
        .output()
        .expect("it was just built");
    let run = Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("results are text"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    let run = run.expect(0);
    lab.expect_unharmed(&run);
    assert_echoed(&run);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_plugin_is_that_file_or_none() {
    let lab = Lab::start().await;
    let file = fixtures::plugin("fixture-echo").unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let config = lab.config(&[&folder], "fixture-echo", &service, "");
    let product = lab.product(&config);
    let pin = |hash: &str| {
        let pin = format!("[plugins.pin]\nfixture-echo = \"sha256:{hash}\"\n");
        product.write("scanhost.toml", format!("{}{pin}", config.text()));
    };
    pin(&"0".repeat(64));
    let run = product
        .run(&["scan", "--fresh", "--format", "json"])
        .expect(3);
    lab.expect_unharmed(&run);
    assert_left_out(&run, "[hash_mismatch]");
    // The message tells the hash that the file has.
    let hash = run.stderr.split("the file is sha256:").nth(1);
    let hash = hash.and_then(|rest| rest.get(..64)).expect("both are told");
    pin(hash);
    assert_echoed(
        &product
            .run(&["scan", "--fresh", "--format", "json"])
            .expect(0),
    );
    // One byte more at its end is another file.
    let path = folder.join(file.file_name().expect("it is a file"));
    let mut bytes = fs::read(&path).expect("it was copied");
    bytes.push(0);
    fs::write(&path, bytes).expect("the folder is ours");
    let run = product
        .run(&["scan", "--fresh", "--format", "json"])
        .expect(3);
    lab.expect_unharmed(&run);
    assert_left_out(&run, "[hash_mismatch]");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_everyone_may_write_is_not_loaded() {
    let lab = Lab::start().await;
    let file = fixtures::plugin("fixture-echo").unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let path = folder.join(file.file_name().expect("it is a file"));
    let service = echo_service().await;
    let config = lab.config(&[&folder], "fixture-echo", &service, "");
    let set_mode = |path: &Path, mode: u32| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(path, mode).expect("it is ours");
    };
    set_mode(&path, 0o757);
    assert_left_out(&lab.scan(&config, 3), "[permissions]");
    set_mode(&path, 0o755);
    set_mode(&folder, 0o777);
    assert_left_out(&lab.scan(&config, 3), "[permissions]");
    set_mode(&folder, 0o755);
    assert_echoed(&lab.scan(&config, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_files_with_one_name_the_first_folder_has_the_right_one() {
    let lab = Lab::start().await;
    let file = fixtures::plugin("fixture-echo").unwrap_or_else(|error| panic!("{error}"));
    let first = lab.folder(&[&file]);
    let second = tempfile::tempdir().expect("a temporary folder");
    let name = file.file_name().expect("it is a file");
    fs::copy(&file, second.path().join(name)).expect("it is there");
    let service = echo_service().await;
    let folders = [&*first, second.path()];
    let config = lab.config(&folders, "fixture-echo", &service, "");
    let run = lab.scan(&config, 0);
    assert_echoed(&run);
    let shadowed = second.path().join(name);
    let told = |line: &str| {
        line.contains(&format!("`{}` is not used", shadowed.display()))
            && line.contains(&format!("`{}` comes first", first.join(name).display()))
    };
    assert!(run.stderr.lines().any(told), "{}", run.stderr);

    fs::copy(&file, first.join("again.so")).expect("it is there");
    let run = lab.product(&config).run(&["scan", "--format", "json"]);
    let run = run.expect(2);
    assert_eq!(run.stdout, "");
    let told = |line: &str| {
        line.contains("twice in one folder")
            && line.contains("again.so")
            && line.contains(&*name.to_string_lossy())
    };
    assert!(run.stderr.lines().any(told), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_options_are_all_told_with_their_lines_before_any_code_runs() {
    let lab = Lab::start().await;
    let file = fixtures::plugin("fixture-hangs").unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    // Its `open` would never come back.
    let more = "[providers.odd.options]\nhang = 'open'\nhangs = 1";
    let config = lab.config(&[&folder], "fixture-hangs", "http://127.0.0.1:1", more);
    let config = config.provider(
        "third",
        "bsc-rpc",
        "http://127.0.0.1:1",
        "[providers.third.options]\nbatch = 'many'\nrpc_batch = 0\nmulticall = 1",
    );
    let text = config.text();
    let run = lab.product(&config).run(&["scan", "--format", "json"]);
    let run = run.expect(2);
    assert_eq!(run.stdout, "");
    for option in [
        "hangs = 1",
        "batch = 'many'",
        "rpc_batch = 0",
        "multicall = 1",
    ] {
        let line = text.lines().position(|line| line == option);
        let place = format!("scanhost.toml:{}:", line.expect("it is there") + 1);
        assert!(run.stderr.contains(&place), "{option}:\n{}", run.stderr);
    }
    assert!(!run.stderr.contains("open_deadline"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_one_root_type_live_side_by_side() {
    let lab = Lab::start().await;
    let names = [
        "fixture-echo",
        "fixture-garbage",
        "fixture-hangs",
        "fixture-panics",
    ];
    let files = names.map(|name| fixtures::plugin(name).unwrap_or_else(|error| panic!("{error}")));
    let folder = lab.folder(&files.each_ref().map(PathBuf::as_path));
    let service = echo_service().await;
    let mut config = lab.beside(&[&folder]);
    for name in names {
        let chain = Chain {
            name,
            network: "mainnet",
            identity: Some("odd-1"),
            pool: &[name],
            assets: &[("ODD", None, 8)],
            list: Some("odd.txt"),
            more: "",
        };
        config = config.chain(&chain).provider(name, name, &service, "");
    }
    let run = lab.scan(&config, 0);
    for name in names {
        let rows = rows_of(&run, name);
        assert_eq!(rows.len(), ADDRESSES.len(), "{name}");
        for (row, address) in rows.iter().zip(ADDRESSES) {
            let expected = match name {
                "fixture-echo" => (1_000 * address.len()).to_string(),
                _ => "1".to_owned(),
            };
            assert_eq!(row["amount"], expected, "{name}: {row}");
        }
    }
}
