//! What may be loaded: pins, owners, modes, imports.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use scanhost_tests::fixtures;

use super::{
    ADDRESSES, Lab, assert_echoed, assert_left_out, built_fixture, echo_service, known_of,
};

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
async fn locked_plugins_are_those_files_or_none() {
    let lab = Lab::start().await;
    let file = built_fixture("fixture-echo");
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let config = lab.config(&[&folder], "fixture-echo", &service, "");
    let product = lab.product(&config);
    let scan = |code| {
        product
            .run(&["scan", "--fresh", "--format", "json"])
            .expect(code)
    };
    let lock = product.run(&["plugins", "lock"]).expect(0);
    assert!(
        lock.stdout.contains("`fixture-echo` is new"),
        "{}",
        lock.stdout
    );
    let written = fs::read_to_string(product.folder().join("scanhost.lock")).expect("it is there");
    assert!(written.contains("fixture-echo = \"sha256:"), "{written}");
    assert!(written.contains("bsc-rpc = \"sha256:"), "{written}");
    assert_echoed(&scan(0));
    let check = product.run(&["plugins", "lock", "--check"]).expect(0);
    assert!(check.stdout.contains("as locked"), "{}", check.stdout);

    let path = folder.join(file.file_name().expect("it is a file"));
    let mut bytes = fs::read(&path).expect("it was copied");
    bytes.push(0);
    fs::write(&path, bytes).expect("the folder is ours");
    let run = scan(3);
    lab.expect_unharmed(&run);
    assert_left_out(&run, "[hash_mismatch]");
    assert!(
        run.stderr.contains("scanhost plugins lock"),
        "{}",
        run.stderr
    );
    let check = product.run(&["plugins", "lock", "--check"]).expect(2);
    assert!(
        check.stderr.contains("`fixture-echo` has changed"),
        "{}",
        check.stderr
    );
    // The operator's own change.
    let lock = product.run(&["plugins", "lock"]).expect(0);
    assert!(
        lock.stdout.contains("`fixture-echo` has changed"),
        "{}",
        lock.stdout
    );
    assert_echoed(&scan(0));

    product.write("scanhost.lock", "nonsense");
    let run = product.run(&["scan"]).expect(2);
    assert!(run.stderr.contains("scanhost.lock"), "{}", run.stderr);
    fs::remove_file(product.folder().join("scanhost.lock")).expect("it is there");
    let _ = product.run(&["plugins", "lock"]).expect(0);
    assert_echoed(&scan(0));

    // One that is away for the moment keeps its pin: else any file would be taken when it is back.
    let bytes = fs::read(&path).expect("it is there");
    fs::remove_file(&path).expect("the folder is ours");
    let lock = product.run(&["plugins", "lock"]).expect(0);
    assert!(lock.stderr.contains("its pin stays"), "{}", lock.stderr);
    fs::write(&path, [&bytes[..], &[0]].concat()).expect("the folder is ours");
    assert_left_out(&scan(3), "[hash_mismatch]");
    fs::remove_file(&path).expect("it is there");
    let lock = product.run(&["plugins", "lock", "--prune"]).expect(0);
    assert!(
        lock.stdout.contains("`fixture-echo` is gone"),
        "{}",
        lock.stdout
    );
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
async fn a_plugin_with_a_network_of_its_own_is_named_and_not_loaded() {
    let lab = Lab::start().await;
    let file = built_fixture("fixture-reaches");
    let folder = lab.folder(&[&file]);
    let config = lab.config(&[&folder], "fixture-reaches", "http://127.0.0.1:1", "");
    let run = lab.scan(&config, 3);
    assert_left_out(&run, "[imports]");
    for imported in [
        "`connect`",
        "`socket`",
        "(network)",
        "`posix_spawnp`",
        "(processes)",
    ] {
        assert_left_out(&run, imported);
    }

    let product = lab.product(&config);
    let named = |run: &scanhost_tests::product::Run, next: &str| {
        let told = |line: &str| line.contains("`socket`") && line.contains(next);
        assert!(run.stderr.lines().any(told), "{}", run.stderr);
    };
    named(
        &product.run(&["config", "check"]).expect(0),
        "imports = \"warn\"",
    );
    let listed = product
        .run(&["plugins", "list", "--format", "json"])
        .expect(0);
    let rows = listed.rows();
    let row = rows.iter().find(|row| row["error_code"] == "imports");
    let row = row.unwrap_or_else(|| panic!("{}", listed.stdout));
    assert_eq!(row["state"], "refused");
    let path = folder.join(file.file_name().expect("it is a file"));
    let path = path.display().to_string();
    let inspected = product.run(&["plugins", "inspect", &path]).expect(0);
    assert!(
        inspected.stdout.contains("`socket`"),
        "{}",
        inspected.stdout
    );

    // Loaded where the operator wants it, and told at every start.
    let text = config
        .text()
        .replacen("[plugins]", "[plugins]\nimports = \"warn\"", 1);
    product.write("scanhost.toml", text);
    let run = product
        .run(&["scan", "--fresh", "--format", "json"])
        .expect(0);
    assert_eq!(known_of(&run), ADDRESSES.len());
    named(&run, "fixture-reaches");
    let listed = product
        .run(&["plugins", "list", "--format", "json"])
        .expect(0);
    let rows = listed.rows();
    let row = rows.iter().find(|row| row["name"] == "fixture-reaches");
    let row = row.unwrap_or_else(|| panic!("{}", listed.stdout));
    assert_eq!(row["state"], "usable", "{row}");
    let imports = row["imports"].as_array().expect("it is a list");
    assert!(imports.iter().any(|it| it == "socket"), "{row}");
}

/// What is delivered with Scanhost passes its own rule.
#[tokio::test(flavor = "multi_thread")]
async fn no_plugin_of_ours_imports_what_the_host_does_for_it() {
    let lab = Lab::start().await;
    let product = lab.product(&lab.beside(&[]));
    let listed = product
        .run(&["plugins", "list", "--format", "json"])
        .expect(0);
    let rows = listed.rows();
    for name in [
        "blockstream",
        "mempool",
        "bscscan",
        "bsc-rpc",
        "solana-rpc",
        "litecoin-space",
    ] {
        let row = rows.iter().find(|row| row["name"] == name);
        let row = row.unwrap_or_else(|| panic!("{name}: {}", listed.stdout));
        assert_eq!(row["state"], "usable", "{row}");
        assert_eq!(row["imports"], serde_json::json!([]), "{row}");
    }
}
