//! `scanhost plugins try`: one look through a built plugin, without any configuration.

use scanhost_tests::product::{Run, built};
use scanhost_tests::upstream::{BodyForm, Fault, Kind};
use serde_json::{Value, json};

use crate::lab::{API_KEY, Lab, Plugin};

/// The variable that has the key.
const KEY: &str = "A_KEY_OF_MINE";

/// A run in a folder without a configuration.
fn look(plugin: Plugin, arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = format!(
        "{}scanhost_plugin_{}{}",
        std::env::consts::DLL_PREFIX,
        plugin.name().replace('-', "_"),
        std::env::consts::DLL_SUFFIX
    );
    let output = std::process::Command::new(built().join("scanhost"))
        .args(["plugins", "try"])
        .arg(built().join(library))
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("SCANHOST_CONFIG")
        .env(KEY, API_KEY)
        .output()
        .expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    let run = Run {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    // Nothing is kept, and no key is told.
    let left = std::fs::read_dir(folder.path()).expect("the folder is there");
    assert_eq!(left.count(), 0);
    for said in [&run.stdout, &run.stderr] {
        assert!(!said.contains(API_KEY), "{said}");
    }
    run
}

/// The JSON lines of one kind.
fn lines(run: &Run, kind: &str) -> Vec<Value> {
    let rows = run.rows().into_iter();
    rows.filter(|row| row["line"] == kind).collect()
}

#[test]
fn every_plugin_tells_what_the_ledger_holds_with_its_requests() {
    for plugin in Plugin::ALL {
        let lab = Lab::new(plugin, 3);
        let endpoint = lab.upstream.endpoint("first");
        let identity = lab.truth().identity();
        let mut arguments = vec!["--endpoint", &endpoint, "--identity", &identity];
        arguments.extend(["--format", "json"]);
        for address in &lab.addresses {
            arguments.extend(["--address", address]);
        }
        let tokens: Vec<String> = lab
            .assets
            .iter()
            .filter_map(|it| Some(format!("{}:{}", it.contract.as_deref()?, it.decimals)))
            .collect();
        for token in &tokens {
            arguments.extend(["--asset", token]);
        }
        if plugin == Plugin::Bscscan {
            arguments.extend(["--key-env", KEY]);
        }
        let run = look(plugin, &arguments).expect(0);

        let told = &lines(&run, "plugin")[0];
        assert_eq!(told["name"], plugin.name(), "{told}");
        let told = &lines(&run, "identity")[0];
        assert_eq!(
            (&told["identity"], &told["checked"]),
            (&json!(identity), &json!(true))
        );
        let readings = lines(&run, "reading");
        let mut left = readings.iter();
        for address in &lab.addresses {
            for asset in &lab.assets {
                let reading = left.next().expect("each cell has its line");
                let held = lab.truth().amount_of(address, &asset.symbol);
                let held = held.expect("the asset is there").to_string();
                // As the plugin writes it.
                let told = reading["address"].as_str().expect("it is text");
                assert!(
                    told == address || told == address.to_lowercase(),
                    "{reading}"
                );
                assert_eq!(reading["contract"], json!(asset.contract), "{reading}");
                assert_eq!(reading["status"], "known", "{reading}");
                assert_eq!(reading["amount"], held, "{reading}");
            }
        }
        assert_eq!(left.next(), None);
        // As many as the other side has seen, none of them paced or asked twice.
        let seen = lab.upstream.log().len();
        let requests = lines(&run, "request");
        assert_eq!(requests.len(), seen, "{plugin:?}: {}", run.stdout);
        for request in requests {
            assert_eq!(request["status"], 200, "{request}");
            assert!(request["bytes"].as_u64() > Some(0), "{request}");
            let url = request["url"].as_str().expect("it is text");
            assert!(url.starts_with("http://127.0.0.1"), "{request}");
        }
    }
}

#[test]
fn people_get_one_table() {
    let lab = Lab::new(Plugin::Blockstream, 1);
    let (endpoint, address) = (lab.upstream.endpoint("first"), &*lab.addresses[0]);
    let run = look(
        Plugin::Blockstream,
        &["--endpoint", &endpoint, "--address", address],
    );
    let run = run.expect(0);
    let identity = lab.truth().identity();
    let amount = lab.truth().amount_of(address, "BTC").expect("it is there");
    for part in [
        "blockstream 0.1.0 at http://127.0.0.1".to_owned(),
        format!("/address/{address}"),
        format!("`--identity {identity}` checks it"),
        "smallest unit".to_owned(),
    ] {
        assert!(run.stdout.contains(&part), "no `{part}` in\n{}", run.stdout);
    }
    let row = run.stdout.lines().find(|line| line.starts_with(address));
    let row: Vec<&str> = row.expect("it has a row").split_whitespace().collect();
    assert_eq!(row[..3], [address, "native", &amount.to_string()]);
}

#[test]
fn what_is_not_answered_is_unknown() {
    let lab = Lab::new(Plugin::Blockstream, 1);
    let (endpoint, address) = (lab.upstream.endpoint("first"), &*lab.addresses[0]);
    let arguments = ["--endpoint", &endpoint, "--address", address];
    let json = [&arguments[..], &["--format", "json"]].concat();

    let another = "0".repeat(64);
    let wrong = [&json[..], &["--identity", &another]].concat();
    let run = look(Plugin::Blockstream, &wrong).expect(3);
    assert_eq!(lines(&run, "identity")[0]["error"]["class"], "wrong_chain");

    lab.fault(Fault::at(
        "first",
        Kind::Status {
            code: 503,
            body: BodyForm::default(),
        },
    ));
    let run = look(Plugin::Blockstream, &json).expect(3);
    let reading = &lines(&run, "reading")[0];
    assert_eq!(reading["status"], "unknown", "{reading}");
    assert_eq!(reading.get("amount"), None, "{reading}");
    assert_eq!(reading["error"]["class"], "server_error", "{reading}");
    assert_eq!(reading["error"]["http_status"], 503, "{reading}");

    // A port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let nowhere = format!("http://{}", nobody.local_addr().expect("it is bound"));
    drop(nobody);
    let run = look(
        Plugin::Blockstream,
        &["--endpoint", &nowhere, "--address", address],
    );
    let run = run.expect(3);
    assert!(
        run.stdout.contains("identity: unknown: transport"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains(&format!("{address}  native  unknown")),
        "{}",
        run.stdout
    );
}

#[test]
fn mistakes_are_told_before_anything_is_sent() {
    let lab = Lab::new(Plugin::Bscscan, 1);
    let (endpoint, address) = (lab.upstream.endpoint("first"), &*lab.addresses[0]);
    let with = |more: &[&'static str]| {
        let mut arguments = vec!["--endpoint", &endpoint, "--address", address];
        arguments.extend(more);
        look(Plugin::Bscscan, &arguments).expect(2).stderr
    };
    for (more, message) in [
        (&[][..], "`--key-env NAME`"),
        (
            &["--key-env", "NOBODY_SET_THIS"],
            "has no `NOBODY_SET_THIS`",
        ),
        (&["--key-env", KEY, "--option", "batch"], "NAME=VALUE"),
        (&["--key-env", KEY, "--option", "nope=1"], "no such option"),
        (
            &["--key-env", KEY, "--identity", "56", "--asset", "0x55d3"],
            "CONTRACT:DECIMALS",
        ),
        (
            &["--key-env", KEY, "--identity", "56", "--address", "0x12"],
            "is no address",
        ),
    ] {
        let said = with(more);
        assert!(said.contains(message), "{more:?}: {said}");
    }
    let abroad = ["--endpoint", "http://192.0.2.1/api", "--address", address];
    let said = look(Plugin::Blockstream, &abroad).expect(2).stderr;
    assert!(said.contains("`--allow-http`"), "{said}");
    assert!(lab.upstream.log().is_empty(), "{:?}", lab.upstream.log());
}
