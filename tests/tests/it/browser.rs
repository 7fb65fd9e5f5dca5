//! The dashboard in a real browser, against the built service and the simulator.
//!
//! Each test here starts them and lets a script of `tests/browser/` drive Chromium, which exits
//! with another code than 0 where something is not as it should be. Pictures are in
//! `target/screenshots`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use scanhost_tests::product::{Config, Product, built};
use scanhost_tests::upstream::{BodyForm, Demo, Fault, Kind, Upstream};
use tokio::runtime::Runtime;

use crate::served::Served;

const ADDRESSES: usize = 12;
/// Since when the simulated chains have grown.
const CHAINS_SINCE_MS: i64 = 1_790_000_000_000;

/// Three chains, seven simulated providers, and the service over them.
struct Stage {
    service: Served,
    upstream: Upstream,
    // What is behind them ends after them.
    _product: Product,
    _runtime: Runtime,
}

/// How a breaker of the stage behaves: what is open stays so while it is looked at.
const STEADY: &str = "10m";
/// What is open is tried again at once.
const QUICK: &str = "300ms";

// === impl Stage ===

impl Stage {
    fn new(cooldown: &str, faults: Vec<Fault>, variables: &[(&str, &str)]) -> Self {
        let _ = scripts();
        let demo = Demo::new(ADDRESSES, 11, CHAINS_SINCE_MS);
        let runtime = Runtime::new().expect("a runtime starts");
        let upstream = runtime.block_on(Upstream::start(demo.world.clone()));
        let upstream = upstream.expect("a port is free");
        for fault in faults {
            upstream.fault(fault);
        }
        let product = Product::new(&Config::new());
        let folder = product.folder();
        demo.write_to(folder, &|host| upstream.endpoint(host))
            .expect("the folder is ours");
        let file = folder.join("scanhost.toml");
        let text = std::fs::read_to_string(&file).expect("it was written");
        let mut text = text.replace("\"5s\"\n[[", &format!("\"{cooldown}\"\n[["));
        for chain in ["btc", "bsc", "sol"] {
            let scan = "every = \"30m\"\nbudget = \"2s\"\nmax_pool_failures = 2\n";
            let _ = write!(text, "\n[chains.{chain}.scan]\n{scan}");
        }
        std::fs::write(&file, text).expect("the folder is ours");
        Self {
            service: Served::with(&product, variables),
            upstream,
            _product: product,
            _runtime: runtime,
        }
    }

    /// Lets a script of `tests/browser/` play.
    #[track_caller]
    fn play(mut self, script: &str) {
        let target = built().parent().expect("it lies in target").to_owned();
        let played = Command::new("node")
            .arg(scripts().join(script))
            .env("SCANHOST_URL", format!("{}/", self.service.url))
            .env("UPSTREAM_URL", &self.upstream.base_url)
            .env("SCREENSHOTS", target.join("screenshots"))
            .output();
        let said = self.service.running().said();
        let played = played.expect("node is there, or `make tools` says how to get it");
        assert!(
            played.status.success(),
            "{script}:\n{}{}\nthe service:\n{said}",
            String::from_utf8_lossy(&played.stdout),
            String::from_utf8_lossy(&played.stderr),
        );
    }
}

/// The folder of the scripts, with what they need in it.
fn scripts() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        folder.join("node_modules").exists(),
        "`{}` has no `node_modules`; run `make tools` first, as `make test` does",
        folder.display()
    );
    folder
}

fn down(host: &str) -> Fault {
    let body = BodyForm::Html;
    Fault::at(host, Kind::Status { code: 503, body })
}

#[test]
fn the_first_view_names_who_fails_and_why_on_a_desk_and_on_a_phone() {
    Stage::new(STEADY, vec![down("bsc-a")], &[]).play("outage.js");
}

#[test]
fn what_happens_is_shown_without_loading_the_page_anew() {
    Stage::new(QUICK, vec![], &[]).play("live.js");
}

#[test]
fn a_breaker_is_forced_and_released_with_the_keyboard_alone() {
    Stage::new(STEADY, vec![], &[]).play("keyboard.js");
}

#[test]
fn whoever_holds_a_token_signs_in_below_a_base_path() {
    let variables = [
        ("SCANHOST__SERVICE__BASE_PATH", "/scan/host"),
        ("SCANHOST__SERVICE__TOKEN__ENV", "ADMIN_TOKEN"),
        ("SCANHOST__SERVICE__READ_TOKEN__ENV", "READ_TOKEN"),
        ("ADMIN_TOKEN", "admin-token-of-this-test"),
        ("READ_TOKEN", "read-token-of-this-test"),
    ];
    Stage::new(STEADY, vec![], &variables).play("login.js");
}

#[test]
fn an_unknown_balance_is_never_shown_as_a_zero() {
    let mut faults: Vec<_> = ["bsc-a", "bsc-b", "bscscan"].map(down).into();
    // These say which chain they serve, and no balance.
    faults.extend(["sol-a", "sol-b"].map(|host| down(host).on("getMultipleAccounts")));
    Stage::new(QUICK, faults, &[]).play("unknown.js");
}

#[test]
fn hostile_text_is_shown_as_text() {
    Stage::new(STEADY, vec![], &[]).play("hostile.js");
}
