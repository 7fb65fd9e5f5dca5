//! A private key is refused wherever it is met, and stands nowhere afterwards.

use std::fs;
use std::path::Path;

use scanhost_tests::product::{Product, Run};

use super::{PLAIN, derive, product};
use crate::lab::{Lab, Plugin, Setup};

/// Of the words `abandon … about`, which are worth nothing.
const EXTENDED: &str = "xprv9ybY78BftS5UGANki6oSifuQEjkpyAC8ZmBvBNTshQnCBcxnefjHS7buPMkkqhcRzmoGZ5bokx7GuyDAiktd5HemohAU4wV1ZPMDRmLpBMm";
const SINGLE: &str = "KyZpNDKnfs94vbrwhJneDi77V6jF64PWPF8x5cdJb8ifgg2DUc9d";
const SECRET: &str = "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4ac";
const SEED: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const WARNING: &str = "looks like a private key; it was neither used nor kept";

/// Fails if any of them is anywhere in what was told or kept.
#[track_caller]
fn assert_nowhere(product: &Product, run: &Run, given: &[&str]) {
    let mut places = vec![
        ("stdout".to_owned(), run.stdout.clone().into_bytes()),
        ("stderr".to_owned(), run.stderr.clone().into_bytes()),
    ];
    for file in files_of(product.folder()) {
        let name = file.file_name().expect("it is a file").to_string_lossy();
        if !given.contains(&&*name) {
            places.push((name.into_owned(), fs::read(&file).expect("it is there")));
        }
    }
    for (place, bytes) in places {
        for secret in [EXTENDED, SINGLE, SECRET, SEED] {
            let part = &secret.as_bytes()[..16];
            let found = bytes.windows(part.len()).any(|window| window == part);
            assert!(!found, "{place} tells {secret}");
        }
    }
}

fn files_of(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files_of(&path),
            false => vec![path],
        })
        .collect()
}

#[test]
fn as_an_argument_or_a_file() {
    let product = product();
    let descriptor = format!("wpkh([73c5da0a/84h/0h/0h]{EXTENDED}/0/*)");
    for key in [EXTENDED, SINGLE, SECRET, SEED, &descriptor, &EXTENDED[..80]] {
        product.write("key.txt", key);
        for arguments in [
            ["--key", key],
            ["--descriptor", key],
            ["--key-file", "key.txt"],
        ] {
            let run = derive(&product, "btc", &arguments).expect(2);
            assert!(run.stderr.contains(WARNING), "{}", run.stderr);
            assert_nowhere(&product, &run, &["key.txt"]);
        }
    }
    for arguments in [
        &["addresses", "derive", EXTENDED][..],
        &["scan", "--addresses", SINGLE],
        &["balances", "--address", SEED],
        &["--config", EXTENDED, "scan"],
    ] {
        let run = product.run(arguments).expect(2);
        assert!(run.stderr.contains(WARNING), "{}", run.stderr);
        assert_nowhere(&product, &run, &["key.txt"]);
    }
}

#[test]
fn in_an_address_list() {
    let lab = Lab::new(Plugin::Blockstream, 2);
    lab.set_up(&Setup::of(&["first"]));
    let [first, second] = [&lab.addresses[0], &lab.addresses[1]];
    let bytes = format!("[{}]", vec!["174"; 64].join(","));
    let list = format!(
        "address,index,label\n{first},0,cold\n{EXTENDED},1,\n{SINGLE}\n{SECRET}\n0x{SECRET},2,x\n\
         {SEED}\n{}\n{bytes}\nwpkh({EXTENDED}/0/*)\n{second},3,{SINGLE}\nnonsense\n",
        SEED.replace(' ', ","),
    );
    lab.product.write("mixed.csv", &list);
    for format in ["json", "csv", "table"] {
        let run = lab.product.run(&[
            "scan",
            "--fresh",
            "--all",
            "--format",
            format,
            "--addresses",
            "mixed.csv",
        ]);
        let run = run.expect(0);
        assert_eq!(run.stderr.matches(WARNING).count(), 9, "{}", run.stderr);
        assert!(
            run.stderr.contains("`nonsense` is no address"),
            "{}",
            run.stderr
        );
        assert!(run.stdout.contains(&**first), "{}", run.stdout);
        assert_nowhere(&lab.product, &run, &["mixed.csv"]);
    }
    let import = [
        "addresses",
        "import",
        "--chain",
        lab.plugin.chain(),
        "mixed.csv",
    ];
    let run = lab.product.run(&import).expect(0);
    assert!(run.stderr.contains(WARNING), "{}", run.stderr);
    assert_nowhere(&lab.product, &run, &["mixed.csv"]);
}

#[test]
fn in_the_configuration() {
    let product = product();
    let text = fs::read_to_string(product.folder().join("scanhost.toml")).expect("it is there");
    for value in [EXTENDED, SINGLE, SEED] {
        let more = format!("[[chains.sol.addresses]]\nfile = \"{value}\"\n");
        product.write("scanhost.toml", format!("{text}{more}"));
        let line = format!("scanhost.toml:{}:", text.lines().count() + 2);
        for command in [&["config", "check"][..], &["config", "show"], &["scan"]] {
            let run = product.run(command).expect(2);
            assert!(run.stderr.contains(WARNING), "{}", run.stderr);
            assert!(run.stderr.contains(&line), "{line}:\n{}", run.stderr);
            assert_nowhere(&product, &run, &["scanhost.toml"]);
        }
    }
    product.write("scanhost.toml", &text);
    let mut command = product.command(&["config", "check"]);
    command.env("SCANHOST__LOG__LEVEL", EXTENDED);
    let output = command.output().expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains(WARNING) && !told.contains(&EXTENDED[..16]),
        "{told}"
    );
    // A public key is nobody's secret, but not everybody's business.
    assert!(!told.contains(PLAIN), "{told}");
}
