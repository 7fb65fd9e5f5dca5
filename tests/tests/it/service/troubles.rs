//! What the machine does to the service.

use std::process::Command;

use scanhost_tests::product::built;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

use crate::lab::{Lab, Plugin, Setup};
use crate::served::Served;

fn lab() -> Lab {
    let lab = Lab::new(Plugin::BscRpc, 300);
    lab.set_up(&Setup::of(&["first"]));
    lab
}

/// A limit of the size of files, for a process that runs.
fn limit_files(served: &mut Served, bytes: &str) {
    let pid = served.running().pid().to_string();
    let limit = format!("--fsize={bytes}:");
    let done = Command::new("prlimit")
        .args(["--pid", &pid, &limit])
        .status();
    assert!(done.expect("util-linux is there").success());
}

#[test]
fn a_full_disk_is_told_and_what_can_be_read_is_read() {
    let lab = lab();
    // A process that ignores the signal gets an error from the write, as from a full disk.
    let mut command = Command::new("sh");
    let serve = "trap '' XFSZ; exec \"$0\" serve";
    command.args(["-c", serve]).arg(built().join("scanhost"));
    command
        .current_dir(lab.product.folder())
        .env_remove("SCANHOST_CONFIG");
    let mut served = Served::of(command);
    served.ended(&served.scan("bsc"));
    let before = served.items("balances?chain=bsc");
    lab.grow();
    limit_files(&mut served, "4096");
    let ready = || served.get("/readyz");
    lab.wait_until(|| ready().status == 503);
    let told = ready().expect(503);
    assert_eq!(
        (&told["status"], &told["store"]["ok"]),
        (&json!("not_ready"), &json!(false))
    );
    assert!(
        told["store"]["problem"].as_str().unwrap().contains("store"),
        "{told}"
    );
    assert_eq!(served.get("/livez").status, 200);
    let problem = served.post("scans", &json!({ "chain": "bsc" })).expect(503);
    assert_eq!(problem["code"], "no_temporary_space", "{problem}");
    let force = json!({ "state": "open", "reason": "x" });
    let refused = served.post("chains/bsc/providers/first/breaker", &force);
    refused.problem(503, "store_unavailable");
    let amounts =
        |items: &[Value]| -> Vec<Value> { items.iter().map(|it| it["amount"].clone()).collect() };
    assert_eq!(
        amounts(&served.items("balances?chain=bsc")),
        amounts(&before)
    );
    limit_files(&mut served, "unlimited");
    lab.wait_until(|| served.get("/readyz").status == 200);
    let scan = served.ended(&served.scan("bsc"));
    assert_eq!(scan["status"], "complete", "{scan}");
    assert_eq!(served.stop().code, 0);
    lab.book().check();
}

#[test]
fn a_database_that_somebody_locks_is_told_until_it_is_free_again() {
    let lab = lab();
    let served = Served::start(&lab.product);
    served.ended(&served.scan("bsc"));
    let options = SqliteConnectOptions::new().filename(lab.product.folder().join("scanhost.db"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut stranger = runtime
        .block_on(SqliteConnection::connect_with(&options))
        .unwrap();
    runtime
        .block_on(sqlx::query("BEGIN IMMEDIATE").execute(&mut stranger))
        .unwrap();
    let told = served.get("/readyz").expect(503);
    assert_eq!(told["store"]["ok"], false, "{told}");
    assert_eq!(served.get("/livez").status, 200);
    served.get("balances").expect(200);
    runtime
        .block_on(sqlx::query("ROLLBACK").execute(&mut stranger))
        .unwrap();
    lab.wait_until(|| served.get("/readyz").status == 200);
    let scan = served.ended(&served.scan("bsc"));
    assert_eq!(scan["status"], "complete", "{scan}");
}

#[test]
fn plugins_that_vanish_stay_loaded_and_their_folder_is_told() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    let file = "libscanhost_plugin_bsc_rpc.so";
    std::fs::copy(built().join(file), plugins.join(file)).unwrap();
    let config = lab.config(&Setup::of(&["first"])).plugins(&[&plugins]);
    lab.product.configure(&config);
    let served = Served::start(&lab.product);
    std::fs::remove_dir_all(&plugins).unwrap();
    let told = served.get("/readyz").expect(200);
    let missing = told["missing_plugin_folders"].to_string();
    assert!(missing.contains("plugins"), "{told}");
    let scan = served.ended(&served.scan("bsc"));
    assert_eq!(scan["status"], "complete", "{scan}");
    served
        .post("reload", &Value::Null)
        .problem(422, "invalid_configuration");
    let scan = served.ended(&served.scan("bsc"));
    assert_eq!(scan["status"], "complete", "{scan}");
}

#[test]
fn a_change_that_the_store_did_not_take_is_told_when_it_does() {
    let lab = lab();
    let mut served = Served::start(&lab.product);
    let force = json!({ "state": "open", "reason": "for a moment", "for": "1s" });
    served
        .post("chains/bsc/providers/first/breaker", &force)
        .expect(200);
    let options = SqliteConnectOptions::new().filename(lab.product.folder().join("scanhost.db"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stranger = SqliteConnection::connect_with(&options);
    let mut stranger = runtime.block_on(stranger).unwrap();
    runtime
        .block_on(sqlx::query("BEGIN IMMEDIATE").execute(&mut stranger))
        .unwrap();
    let running = std::cell::RefCell::new(served.running());
    let failed = || running.borrow().said().contains("could not be written");
    lab.wait_until(failed);
    assert!(
        running.borrow().said().contains("locked"),
        "the cause is told"
    );
    runtime
        .block_on(sqlx::query("ROLLBACK").execute(&mut stranger))
        .unwrap();
    let changes = || -> Vec<Value> {
        let events = served.items("events/log?types=provider_state");
        events
            .iter()
            .rev()
            .map(|it| it["data"]["to"].clone())
            .collect()
    };
    lab.wait_until(|| changes() == ["forced_open", "closed"]);
}
