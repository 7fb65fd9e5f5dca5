//! Address lists as people write them, and what is told of their mistakes.

use scanhost_tests::product::{Chain, Config, Product, Run};
use serde_json::Value;

use crate::lab::{Lab, Plugin};

/// The command's words with this list, as rows.
#[track_caller]
fn scan(lab: &Lab, list: &[u8]) -> (Run, Vec<Value>) {
    lab.product.write("given.csv", list);
    let native = &*lab.assets[0].symbol;
    let run = lab.scan(&["--addresses", "given.csv", "--asset", native]);
    let run = run.expect(0);
    let rows = run.rows();
    (run, rows)
}

fn bsc() -> Lab {
    Lab::new(Plugin::BscRpc, 5)
}

/// Address, index, status of each row.
fn brief(rows: &[Value]) -> Vec<(&str, Option<u64>, &str)> {
    let text = |row: &'_ Value, key: &str| -> &'static str {
        String::leak(row[key].as_str().unwrap_or_default().to_owned())
    };
    rows.iter()
        .map(|row| {
            (
                text(row, "address"),
                row["index"].as_u64(),
                text(row, "status"),
            )
        })
        .collect()
}

#[track_caller]
fn check_known(lab: &Lab, list: &str, expected: &[usize]) {
    let (run, rows) = scan(lab, list.as_bytes());
    let expected: Vec<_> = expected
        .iter()
        .enumerate()
        .map(|(index, at)| (&*lab.addresses[*at], Some(index as u64), "known"))
        .collect();
    assert_eq!(brief(&rows), expected, "{list:?}\n{}", run.stderr);
    for row in &rows {
        let held = lab.truth();
        let address = row["address"].as_str().expect("it is text");
        let amount = held.amount_of(address, "BNB").expect("BNB is there");
        assert_eq!(row["amount"], amount.to_string());
    }
}

#[test]
fn lists_are_taken_as_people_write_them() {
    let lab = bsc();
    let [a, b, c] = [0, 1, 2].map(|at| lab.addresses[at].clone());
    check_known(&lab, &format!("{a}\n{b}\n"), &[0, 1]);
    check_known(&lab, &format!("{b}\n{a}"), &[1, 0]);
    check_known(
        &lab,
        &format!("\u{feff}address\r\n{a}\r\n\r\n{b}\r\n"),
        &[0, 1],
    );
    check_known(&lab, &format!("\n# mine\n\n  {c}  \n\t{a}\n\n"), &[2, 0]);
    check_known(
        &lab,
        &format!("Label, ADDRESS\ncold,{a}\n\"hot, deep\",{b}\n"),
        &[0, 1],
    );
    check_known(&lab, "address\n", &[]);
    check_known(&lab, "", &[]);
}

#[test]
fn index_and_label_of_the_list_come_back() {
    let lab = bsc();
    let list = format!(
        "address,index,label\n{},7,cold\n{},3,\n",
        lab.addresses[0], lab.addresses[1]
    );
    let (_, rows) = scan(&lab, list.as_bytes());
    let told = |row: &Value| (row["index"].clone(), row["label"].clone());
    assert_eq!(told(&rows[0]), (7.into(), "cold".into()));
    assert_eq!(told(&rows[1]), (3.into(), Value::Null));
}

#[test]
fn malformed_lines_are_told_with_their_place_and_change_no_exit_code() {
    let lab = bsc();
    let [a, b] = [0, 1].map(|at| lab.addresses[at].clone());
    let list = format!("\u{feff}address\r\n{a}\r\n\r\n0x12\r\nnonsense\r\n{b}\r\n\"{b}0\r\n");
    let (run, rows) = scan(&lab, list.as_bytes());
    let quoted = format!("{b}0");
    let expected = [
        (&*a, Some(0), "known"),
        ("0x12", None, "invalid"),
        ("nonsense", None, "invalid"),
        (&*b, Some(1), "known"),
        (&*quoted, None, "invalid"),
    ];
    assert_eq!(brief(&rows), expected);
    for (row, line) in [(1, 4), (2, 5), (4, 7)] {
        let row = &rows[row];
        assert_eq!((&row["line"], &row["asset"]), (&line.into(), &Value::Null));
        assert_eq!(row["error"]["class"], "invalid_address");
        assert!(
            row["error"]["message"]
                .as_str()
                .is_some_and(|it| !it.is_empty())
        );
        let place = format!("given.csv:{line}: ");
        assert!(run.stderr.contains(&place), "{place}\n{}", run.stderr);
    }
    assert!(run.stderr.contains("3 invalid lines"), "{}", run.stderr);
}

#[test]
fn a_list_of_invalid_lines_alone_asks_nobody() {
    let lab = bsc();
    let (_, rows) = scan(&lab, b"0x12\n0x34\n");
    assert_eq!(
        brief(&rows),
        [("0x12", None, "invalid"), ("0x34", None, "invalid")]
    );
    assert!(lab.asked("first").is_empty());
}

#[test]
fn a_doubled_address_is_scanned_and_printed_once() {
    let lab = bsc();
    let [a, b] = [0, 1].map(|at| lab.addresses[at].clone());
    let lower = a.to_lowercase();
    let upper = format!("0x{}", lower[2..].to_uppercase());
    let list = format!("{a}\n{b}\n{lower}\n{a}\n{upper}\n");
    let (run, rows) = scan(&lab, list.as_bytes());
    assert_eq!(
        brief(&rows),
        [(&*a, Some(0), "known"), (&*b, Some(1), "known")]
    );
    for line in [3, 4, 5] {
        let place = format!("given.csv:{line}: ");
        assert!(run.stderr.contains(&place), "{place}\n{}", run.stderr);
    }
    assert!(run.stderr.contains("3 doubled"), "{}", run.stderr);
    let cells: usize = lab.asked("first").iter().map(|it| it.native).sum();
    assert_eq!(cells, 2);
}

#[test]
fn an_evm_checksum_that_does_not_match_is_invalid() {
    let lab = bsc();
    let good = &lab.addresses[0];
    let letter = good[2..]
        .find(|c: char| c.is_ascii_alphabetic())
        .expect("one has")
        + 2;
    let mut bad = good.clone();
    let flipped = if bad.as_bytes()[letter].is_ascii_lowercase() {
        bad[letter..=letter].to_uppercase()
    } else {
        bad[letter..=letter].to_lowercase()
    };
    bad.replace_range(letter..=letter, &flipped);
    let (_, rows) = scan(&lab, format!("{bad}\n{good}\n").as_bytes());
    assert_eq!(
        brief(&rows),
        [(&*bad, None, "invalid"), (&**good, Some(0), "known")]
    );
}

#[test]
fn bitcoin_lists_know_networks_and_cases() {
    let lab = Lab::new(Plugin::Blockstream, 20);
    let is_bech32 = |address: &&String| address.starts_with("bc1");
    let bech32 = lab.addresses.iter().find(is_bech32).expect("a quarter is");
    let upper = bech32.to_uppercase();
    let list = format!(
        "{upper}\n{bech32}\ntb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx\nmipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn\n"
    );
    let (run, rows) = scan(&lab, list.as_bytes());
    let expected = [
        (&*upper, Some(0), "known"),
        (
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
            None,
            "invalid",
        ),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", None, "invalid"),
    ];
    assert_eq!(brief(&rows), expected);
    let held = lab.truth().amount_of(bech32, "BTC").expect("BTC is there");
    assert_eq!(rows[0]["amount"], held.to_string());
    assert!(run.stderr.contains("given.csv:2: "), "{}", run.stderr);
    assert!(run.stderr.contains("testnet"), "{}", run.stderr);
}

#[test]
fn a_dash_is_standard_input() {
    let lab = bsc();
    let arguments = [
        "scan",
        "--format",
        "json",
        "--addresses",
        "-",
        "--asset",
        "BNB",
    ];
    let list = format!("{}\n0x12\n", lab.addresses[3]);
    let run = lab
        .product
        .run_with_input(&arguments, list.as_bytes())
        .expect(0);
    let expected = [
        (&*lab.addresses[3], Some(0), "known"),
        ("0x12", None, "invalid"),
    ];
    assert_eq!(brief(&run.rows()), expected);
}

#[test]
fn what_cannot_be_meant_is_told_once_and_exits_2() {
    #[track_caller]
    fn check(lab: &Lab, arguments: &[&str], expected: &str) {
        let run = lab.scan(arguments).expect(2);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        assert_eq!(run.stdout, "");
        let said = run.stderr.lines().filter(|line| line.contains(expected));
        assert_eq!(said.count(), 1, "{}", run.stderr);
    }
    let lab = bsc();
    check(&lab, &["--addresses", "none.csv"], "`none.csv`");
    check(&lab, &["--addresses", "."], "`.`");
    check(
        &lab,
        &["--chain", "bcs"],
        "unknown chain `bcs`; did you mean `bsc`?",
    );
    check(
        &lab,
        &["--addresses", "bcs=list.csv"],
        "did you mean `bsc`?",
    );
    check(
        &lab,
        &["--asset", "USDX"],
        "unknown asset `USDX`; did you mean",
    );
    check(&lab, &["--provider", "frist"], "did you mean `first`?");
    check(&lab, &["--bogus"], "'--bogus'");
    check(&lab, &["--budget", "10"], "--budget");
    check(
        &lab,
        &["--output", "no/such/folder/out"],
        "no/such/folder/out",
    );
    check(
        &lab,
        &["--addresses", "-", "--addresses", "-"],
        "standard input can be read once",
    );
    assert!(lab.upstream.log().is_empty());
}

#[test]
fn output_never_overwrites_what_is_read() {
    let lab = bsc();
    let before = lab.scan(&[]).expect(0).rows();
    let file = |name: &str| std::fs::read(lab.product.folder().join(name));
    for name in ["scanhost.db", "scanhost.db.lock", "scanhost.toml"] {
        let held = file(name).expect("it is there");
        let run = lab.scan(&["--output", name]).expect(2);
        assert!(run.stderr.contains("would overwrite"), "{}", run.stderr);
        assert_eq!(file(name).expect("it is there"), held, "{name}");
    }
    assert_eq!(lab.scan(&[]).expect(0).rows().len(), before.len());
    // A result that could not be completed leaves what was there.
    lab.product.write("rows.json", "earlier");
    let refused = lab.scan(&["--output", "rows.json", "--chain", "none"]);
    assert_eq!(refused.code, 2);
    assert_eq!(file("rows.json").expect("it is there"), b"earlier");
}

#[test]
fn several_chains_take_a_list_each() {
    let [btc, bsc, sol] =
        [Plugin::Mempool, Plugin::BscRpc, Plugin::SolanaRpc].map(|plugin| Lab::new(plugin, 3));
    let mut config = Config::new();
    for lab in [&btc, &bsc, &sol] {
        let identity = lab.truth().identity();
        let assets: Vec<_> = lab
            .assets
            .iter()
            .map(|it| (&*it.symbol, it.contract.as_deref(), it.decimals))
            .collect();
        let name = lab.plugin.chain();
        config = config
            .chain(&Chain {
                name,
                network: "mainnet",
                identity: Some(&identity),
                pool: &[name],
                assets: &assets,
                list: None,
                more: "",
            })
            .provider(name, lab.plugin.name(), &lab.upstream.endpoint("first"), "");
    }
    let product = Product::new(&config);
    for lab in [&btc, &bsc, &sol] {
        product.write(
            &format!("{}.txt", lab.plugin.chain()),
            lab.addresses.join("\n"),
        );
    }
    let run = product.run(&[
        "scan",
        "--format",
        "json",
        "--addresses",
        "bsc=bsc.txt",
        "--addresses",
        "btc=btc.txt",
        "--addresses",
        "sol=sol.txt",
    ]);
    let rows = run.expect(0).rows();
    for lab in [&btc, &bsc, &sol] {
        let chain = lab.plugin.chain();
        let (mine, truth): (Vec<_>, _) = (
            rows.iter().filter(|row| row["chain"] == chain).collect(),
            lab.truth(),
        );
        assert_eq!(mine.len(), 3 * lab.assets.len());
        for row in mine {
            let [address, asset] = ["address", "asset"].map(|key| row[key].as_str().expect("text"));
            let held = truth.amount_of(address, asset).expect("it is there");
            assert_eq!(row["amount"], held.to_string(), "{row}");
        }
    }
    let run = product.run(&["scan", "--addresses", "bsc.txt"]).expect(2);
    assert!(
        run.stderr.contains("--addresses CHAIN=bsc.txt"),
        "{}",
        run.stderr
    );
    // Only the chain that was given a list is scanned.
    let run = product.run(&["scan", "--format", "json", "--addresses", "bsc=bsc.txt"]);
    let rows = run.expect(0).rows();
    assert_eq!(rows.len(), 9);
}

#[test]
fn assets_and_providers_are_picked_by_name() {
    let lab = bsc();
    let rows = lab.scan(&["--asset", "usdc"]).expect(0).rows();
    assert_eq!(rows.len(), lab.addresses.len());
    assert!(
        rows.iter()
            .all(|row| row["asset"] == "USDC" && row["status"] == "known")
    );
    let setup = crate::lab::Setup::of(&["first", "second"]);
    lab.set_up(&setup);
    let rows = lab.scan(&["--provider", "second"]).expect(0).rows();
    assert!(rows.iter().all(|row| row["provider"] == "second"));
}

#[test]
fn csv_has_a_header_and_a_record_per_cell() {
    let lab = bsc();
    lab.product
        .write("given.csv", format!("{}\n0x12\n", lab.addresses[1]));
    let run = lab
        .product
        .run(&["scan", "--addresses", "given.csv", "--format", "csv"])
        .expect(0);
    let mut reader = csv::Reader::from_reader(run.stdout.as_bytes());
    let header = reader.headers().expect("it is CSV").clone();
    let at = |name: &str| {
        header
            .iter()
            .position(|it| it == name)
            .expect("it is a column")
    };
    let records: Vec<csv::StringRecord> = reader.records().map(|it| it.expect("CSV")).collect();
    assert_eq!(records.len(), lab.assets.len() + 1);
    for (record, asset) in records.iter().zip(&lab.assets) {
        let held = lab
            .truth()
            .amount_of(&lab.addresses[1], &asset.symbol)
            .expect("there");
        assert_eq!(record[at("amount")], held.to_string());
        assert_eq!(record[at("asset")], asset.symbol);
        assert_eq!(&record[at("status")], "known");
    }
    let invalid = &records[lab.assets.len()];
    assert_eq!(
        (&invalid[at("status")], &invalid[at("amount")]),
        ("invalid", "")
    );
}

#[test]
fn a_table_shows_totals_and_what_is_not_zero() {
    let lab = Lab::new(Plugin::BscRpc, 40);
    let run = lab.product.run(&["scan", "--asset", "BNB"]).expect(0);
    let truth = lab.truth();
    let held = |address: &String| truth.amount_of(address, "BNB").expect("BNB is there");
    for address in &lab.addresses {
        let shown = run.stdout.contains(&**address);
        assert_eq!(shown, !held(address).is_zero(), "{}", run.stdout);
    }
    let funded = lab
        .addresses
        .iter()
        .filter(|it| !held(it).is_zero())
        .count();
    let total = run.stdout.lines().last().expect("a line of totals");
    let words: Vec<&str> = total.split_whitespace().collect();
    let funded = funded.to_string();
    assert_eq!(words[..2], ["bsc", "BNB"], "{}", run.stdout);
    assert_eq!(words[3..], ["40", &*funded, "0"], "{}", run.stdout);
    let run = lab
        .product
        .run(&["scan", "--asset", "BNB", "--all"])
        .expect(0);
    assert!(
        lab.addresses
            .iter()
            .all(|address| run.stdout.contains(&**address))
    );
}

#[test]
fn output_goes_to_the_file_that_is_named() {
    let lab = bsc();
    let run = lab.scan(&["--output", "rows.json"]).expect(0);
    assert_eq!(run.stdout, "");
    let stdout = std::fs::read_to_string(lab.product.folder().join("rows.json"));
    lab.expect_all_known(&Run {
        stdout: stdout.expect("it was written"),
        ..run
    });
}

#[test]
fn a_list_without_any_address_is_told_with_its_name_and_what_to_do() {
    let lab = bsc();
    for (list, invalid) in [("", 0), ("address,label\n", 0), ("nonsense\nmore\n", 2)] {
        let (run, rows) = scan(&lab, list.as_bytes());
        assert_eq!(rows.len(), invalid);
        let expected = format!(
            "warning: bsc: no valid address in `given.csv` ({invalid} invalid lines), so nothing is \
             asked; write one address per line"
        );
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
    }
    let arguments = ["scan", "--addresses", "-"];
    let run = lab.product.run_with_input(&arguments, b"").expect(0);
    assert!(
        run.stderr.contains("no valid address in standard input"),
        "{}",
        run.stderr
    );
    // The configured list is told as well, and so is that there is none.
    lab.product.write("list.csv", "");
    let run = lab.scan(&[]).expect(0);
    assert!(run.stderr.contains("list.csv`"), "{}", run.stderr);
    let config = std::fs::read_to_string(lab.product.folder().join("scanhost.toml"));
    let config = config.expect("it is there");
    let without = config.replace("[[chains.bsc.addresses]]\nfile = \"list.csv\"\n", "");
    assert_ne!(config, without);
    lab.product.write("scanhost.toml", without);
    let run = lab.scan(&[]).expect(0);
    assert!(
        run.stderr.contains("there is no address list"),
        "{}",
        run.stderr
    );
}
