//! Files in plugin folders, before any code of them runs.

use std::fs;
use std::path::PathBuf;

use scanhost_tests::fixtures;
use scanhost_tests::product::{Chain, built};

use super::{ADDRESSES, Lab, assert_echoed, echo_service, rows_of};

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
