//! What happens while a library is loaded: constructors that misbehave, layouts and stamps that lie,
//! and the one line of the log that each attempt leaves.

use std::fs;
use std::path::{Path, PathBuf};

use scanhost_tests::fixtures::{self, Abi};
use scanhost_tests::product::Run;
use serde_json::Value;

use super::{Lab, assert_echoed, assert_left_out, built_fixture, echo_service, hash_of};

/// A copy of `fixture-echo` whose stamp tells another version than its root module.
fn echo_with_another_stamp(folder: &Path) -> PathBuf {
    let mut bytes = fs::read(built_fixture("fixture-echo")).expect("it is built");
    let at = |bytes: &[u8], wanted: &[u8], from: usize| {
        let found = bytes[from..].windows(wanted.len());
        let found = found.into_iter().position(|window| window == wanted);
        from + found.expect("it is in the file")
    };
    let stamp = at(&bytes, b"SCANHST1", 0);
    let version = at(&bytes, b"\"version\": \"0.1.0\"", stamp);
    bytes[version..][..18].copy_from_slice(b"\"version\": \"0.9.0\"");
    let path = folder.join("liblying.so");
    fs::write(&path, bytes).expect("the folder is ours");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_survive_being_loaded_is_told_and_the_rest_goes_on() {
    let lab = Lab::start().await;
    for (misbehaves, messages) in [
        ("hangs", ["[load_deadline]", "did not end within 10 s"]),
        ("exits", ["[load_crash]", "exited with code 0"]),
        ("crashes", ["[load_crash]", "signal 11 (SIGSEGV)"]),
        ("lies", ["[load_crash]", "signal 11 (SIGSEGV)"]),
    ] {
        let file = fixtures::one_that(misbehaves).unwrap_or_else(|error| panic!("{error}"));
        let folder = lab.folder(&[&file]);
        let config = lab.config(&[&folder], "fixture-constructs", "http://127.0.0.1:1", "");
        let run = lab.scan(&config, 3);
        for message in messages {
            assert_left_out(&run, message);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_whose_stamp_tells_something_else_is_refused() {
    let lab = Lab::start().await;
    let other = tempfile::tempdir().expect("a temporary folder");
    let file = echo_with_another_stamp(other.path());
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let run = lab.scan(&lab.config(&[&folder], "fixture-echo", &service, ""), 3);
    assert_left_out(&run, "[descriptor]");
}

#[tokio::test(flavor = "multi_thread")]
async fn types_with_their_fields_in_another_order_are_refused() {
    let lab = Lab::start().await;
    let file = fixtures::echo_built_for(Abi::Reordered).unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let run = lab.scan(&lab.config(&[&folder], "fixture-echo", &service, ""), 3);
    assert_left_out(&run, "[layout]");
    assert!(run.stderr.contains("rebuild it"), "{}", run.stderr);
}

/// The lines of the log that tell of attempts to load `plugin`.
fn attempts(run: &Run, plugin: &str) -> Vec<Value> {
    let lines = run.stderr.lines().map(|line| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let told =
        |line: &Value| line["target"] == "scanhost::plugin::load" && line["plugin"] == plugin;
    lines.filter(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_to_load_a_plugin_leaves_one_line() {
    let lab = Lab::start().await;
    let echo = built_fixture("fixture-echo");
    let service = echo_service().await;
    let folder = lab.folder(&[&echo]);
    // Two providers of one plugin are one attempt.
    let config = lab
        .config(&[&folder], "fixture-echo", &service, "")
        .provider("twin", "fixture-echo", &service, "");
    let text = config
        .text()
        .replacen("pool = [\"odd\"]", "pool = [\"odd\", \"twin\"]", 1)
        .replacen("level = \"warn\"", "level = \"info\"\nformat = \"json\"", 1);
    let product = lab.product(&config);
    product.write("scanhost.toml", &text);
    let run = product.run(&["scan", "--fresh", "--format", "json"]);
    let run = run.expect(0);
    assert_echoed(&run);
    let told = attempts(&run, "fixture-echo");
    assert_eq!(told.len(), 1, "{told:?}");
    for (field, value) in [
        ("level", "INFO"),
        ("version", "0.1.0"),
        ("imports", "none"),
        ("isolation", "none"),
        ("result", "loaded"),
    ] {
        assert_eq!(told[0][field], value, "{told:?}");
    }
    assert_eq!(told[0]["sha256"], hash_of(&product, &echo), "{told:?}");
    assert!(told[0]["abi"].as_str().unwrap().starts_with("1."));
    assert!(told[0]["rustc"].as_str().unwrap().starts_with("rustc 1."));
    let path = folder.join(echo.file_name().expect("it is a file"));
    assert_eq!(told[0]["path"], path.display().to_string());
    assert_eq!(attempts(&run, "bsc-rpc").len(), 1);

    // One that fails when it is loaded, and one that is not even tried.
    let broken = fixtures::one_that("crashes").unwrap_or_else(|error| panic!("{error}"));
    lab.folder(&[&broken]);
    let crashing = text.replace(
        "plugin = \"fixture-echo\"",
        "plugin = \"fixture-constructs\"",
    );
    product.write("scanhost.toml", &crashing);
    let run = product.run(&["scan", "--fresh", "--format", "json"]);
    let run = run.expect(3);
    let told = attempts(&run, "fixture-constructs");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["result"], "load_crash", "{told:?}");
    assert_eq!(told[0]["sha256"], hash_of(&product, &broken), "{told:?}");

    let pinned = format!(
        "{text}[plugins.pin]\nfixture-echo = \"sha256:{}\"\n",
        "0".repeat(64)
    );
    product.write("scanhost.toml", pinned);
    let run = product.run(&["scan", "--fresh", "--format", "json"]);
    let told = attempts(&run.expect(3), "fixture-echo");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["result"], "hash_mismatch", "{told:?}");
}
