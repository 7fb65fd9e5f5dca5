//! Configurations that cannot be meant: exit code 2, and every mistake with its place.

use scanhost_tests::product::{Config, Product, Run};

use crate::lab::{Lab, Plugin, Setup};

/// A configuration of one good EVM chain, into which tests put a mistake.
fn good() -> (Lab, String) {
    let lab = Lab::new(Plugin::BscRpc, 1);
    let text = lab.config(&Setup::of(&["first"])).text();
    (lab, text)
}

/// The line of the file, from 1, that holds this text.
#[track_caller]
fn line_of(text: &str, part: &str) -> usize {
    let at = text.lines().position(|line| line.contains(part));
    at.unwrap_or_else(|| panic!("no `{part}` in {text}")) + 1
}

/// Runs with the file changed; every one of the parts must be told, with the line of its text.
#[track_caller]
fn check(mend: impl Fn(String) -> String, expected: &[(&str, &str)]) -> Run {
    let (lab, text) = good();
    let text = mend(text);
    lab.product.write("scanhost.toml", &text);
    let run = lab.scan(&[]).expect(2);
    assert_eq!(run.stdout, "");
    for (part, message) in expected {
        let place = format!("scanhost.toml:{}:", line_of(&text, part));
        let told = run
            .stderr
            .lines()
            .any(|line| line.contains(&place) && line.contains(message));
        assert!(told, "{place} {message}\n{}", run.stderr);
    }
    assert!(lab.upstream.log().is_empty(), "nothing is sent");
    run
}

#[test]
fn a_good_configuration_is_no_mistake() {
    let (lab, text) = good();
    lab.product.write("scanhost.toml", text);
    lab.expect_all_known(&lab.scan(&[]).expect(0));
}

#[test]
fn an_unknown_plugin_is_told_with_what_it_may_be() {
    let mend = |text: String| text.replacen("plugin = \"bsc-rpc\"", "plugin = \"bsc-rcp\"", 1);
    check(mend, &[("bsc-rcp", "bsc-rpc")]);
}

#[test]
fn a_plugin_that_is_a_text_file_is_told() {
    let lab = Lab::new(Plugin::BscRpc, 1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("libscanhost_plugin_bsc_rpc.so");
    std::fs::write(&file, "this is no library\n").expect("the folder is ours");
    let text = lab.config(&Setup::of(&["first"])).text();
    let own = Config::new().text();
    let other = Config::new().plugins(&[folder.path()]).text();
    assert!(text.starts_with(&own));
    lab.product
        .write("scanhost.toml", text.replacen(&own, &other, 1));
    let run = lab.scan(&[]).expect(2);
    assert!(
        run.stderr.contains("libscanhost_plugin_bsc_rpc.so"),
        "{}",
        run.stderr
    );
    assert!(lab.upstream.log().is_empty());
}

#[test]
fn a_wrong_type_is_told_with_its_line() {
    let mend = |text: String| text.replacen("network = \"mainnet\"", "network = 7", 1);
    check(mend, &[("network = 7", "network")]);
    let mend = |text: String| text.replacen("cooldown = \"300ms\"", "cooldown = 300", 1);
    check(mend, &[("cooldown = 300", "cooldown")]);
    let mend = |text: String| text.replacen("cooldown = \"300ms\"", "cooldown = \"300\"", 1);
    check(mend, &[("cooldown = \"300\"", "cooldown")]);
}

#[test]
fn an_unknown_key_is_told_with_what_it_may_be() {
    let mend = |text: String| text.replacen("pool =", "poool =", 1);
    check(mend, &[("poool", "did you mean `pool`?")]);
    let mend = |text: String| text.replacen("pool = [\"first\"]", "pool = [\"frist\"]", 1);
    check(mend, &[("frist", "did you mean `first`?")]);
}

#[test]
fn no_toml_is_told_with_its_line() {
    let mend = |text: String| format!("{text}\n[half\n");
    check(mend, &[("[half", "")]);
}

#[test]
fn all_bad_options_are_told_at_once() {
    let mend = |text: String| {
        let options = "[providers.first.options]\nbatch = 0\nmulticall = 7\nrpc_batch = \"many\"\nbacth = 5\n";
        format!("{text}{options}")
    };
    let expected = [
        ("batch = 0", "batch"),
        ("multicall = 7", "multicall"),
        ("rpc_batch = \"many\"", "rpc_batch"),
        ("bacth = 5", "bacth"),
    ];
    check(mend, &expected);
}

#[test]
fn mistakes_of_different_kinds_are_told_at_once() {
    let mend = |text: String| {
        let text = text.replacen("poool", "pool", 1);
        let text = text.replacen("network = \"mainnet\"", "network = \"mainet\"", 1);
        text.replacen("cooldown = \"300ms\"", "cooldown = \"soon\"", 1)
    };
    check(mend, &[("mainet", "network"), ("soon", "cooldown")]);
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let mend = |text: String| {
        text.replacen(
            "plugin = \"bsc-rpc\"\n",
            "plugin = \"bsc-rpc\"\napi_key = { env = \"SCANHOST_TEST_NOT_SET\" }\n",
            1,
        )
    };
    check(mend, &[("SCANHOST_TEST_NOT_SET", "SCANHOST_TEST_NOT_SET")]);
    let mend = |text: String| {
        text.replacen(
            "plugin = \"bsc-rpc\"\n",
            "plugin = \"bsc-rpc\"\napi_key = { file = \"no-such.key\" }\n",
            1,
        )
    };
    check(mend, &[("no-such.key", "no-such.key")]);
}

#[test]
fn a_plugin_that_needs_a_key_says_so() {
    let lab = Lab::new(Plugin::Bscscan, 1);
    let text = lab.config(&Setup::of(&["first"])).text();
    let text: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("api_key"))
        .collect();
    lab.product.write("scanhost.toml", text);
    let run = lab.scan(&[]).expect(2);
    assert!(run.stderr.contains("needs a key"), "{}", run.stderr);
}

#[test]
fn a_configuration_that_is_not_there_is_told() {
    let product = Product::new(&Config::new());
    let run = product.run(&["--config", "none.toml", "scan"]).expect(2);
    assert!(run.stderr.contains("none.toml"), "{}", run.stderr);
}
