//! Addresses of public keys; private keys, wherever somebody puts one.

mod gap;
mod private;

use std::path::Path;

use scanhost_tests::fixtures::{self, Abi};
use scanhost_tests::product::{Chain, Config, Product, Run};
use serde_json::json;

/// Accounts of the words `abandon … about`: BIP 84, and BIP 44 of an EVM chain.
pub(crate) const SEGWIT: &str = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";
pub(crate) const PLAIN: &str = "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V";
pub(crate) const EVM: &str = "xpub6DCoCpSuQZB2jawqnGMEPS63ePKWkwWPH4TU45Q7LPXWuNd8TMtVxRrgjtEshuqpK3mdhaWHPFsBngh5GFZaM6si3yZdUsT8ddYM3PwnATt";
/// Nobody listens there, and nothing is sent.
const NOWHERE: &str = "http://127.0.0.1:1";

fn chain<'a>(
    name: &'a str,
    pool: &'a [&'a str],
    asset: &'a [(&'a str, Option<&'a str>, u8)],
) -> Chain<'a> {
    Chain {
        name,
        network: "mainnet",
        identity: None,
        pool,
        assets: asset,
        list: None,
        more: "",
    }
}

fn product() -> Product {
    let config = Config::new()
        .chain(&chain("btc", &["esplora"], &[("BTC", None, 8)]))
        .chain(&chain("bsc", &["node"], &[("BNB", None, 18)]))
        .chain(&chain("sol", &["rpc"], &[("SOL", None, 9)]))
        .provider("esplora", "blockstream", NOWHERE, "")
        .provider("node", "bsc-rpc", NOWHERE, "")
        .provider("rpc", "solana-rpc", NOWHERE, "");
    Product::new(&config)
}

fn derive(product: &Product, chain: &str, more: &[&str]) -> Run {
    let command = ["addresses", "derive", "--chain", chain];
    product.run(&[&command[..], more].concat())
}

#[test]
fn a_key_becomes_a_list_that_a_scan_takes() {
    let product = product();
    let run = derive(&product, "btc", &["--key", SEGWIT, "--count", "2"]).expect(0);
    assert_eq!(
        run.stdout,
        "address,index,label\n\
         bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu,0,0/0\n\
         bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g,1,0/1\n"
    );
    let descriptor = format!("wpkh([73c5da0a/84h/0h/0h]{PLAIN}/<0;1>/*)#qf45pmyh");
    let change = ["--branch", "1", "--count", "1"];
    let run = derive(
        &product,
        "btc",
        &[&["--descriptor", &descriptor][..], &change].concat(),
    );
    assert_eq!(
        run.expect(0).stdout,
        "address,index,label\n\
         bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el,0,m/84'/0'/0'/1/0\n"
    );
    product.write("key.txt", format!("{EVM}\n"));
    let last = ["--start", "999", "--count", "1", "--format", "json"];
    let run = derive(
        &product,
        "bsc",
        &[&["--key-file", "key.txt"][..], &last].concat(),
    );
    assert_eq!(
        run.expect(0).rows(),
        [json!({
            "chain": "bsc", "branch": 0, "index": 999, "path": "0/999",
            "address": "0x262C9D608051E007832C0978e2100d6EA690227C",
        })]
    );
    // What was printed is what a scan reads, and nobody was asked.
    let many = derive(&product, "bsc", &["--key", EVM, "--count", "2500"]).expect(0);
    product.write("bsc.csv", &many.stdout);
    let plan = product.run(&["plan", "--chain", "bsc", "--addresses", "bsc.csv"]);
    let plan = plan.expect(0).stdout;
    assert!(plan.contains("2,500") || plan.contains("2500"), "{plan}");
    assert!(!Path::new(&product.folder().join("scanhost.db")).exists());
}

#[test]
fn what_cannot_be_derived_is_told_without_the_key() {
    let product = product();
    let vpub = "vpub5Y6cjg78GGuNLsaPhmYsiw4gYX3HoQiRBiSwDaBXKUafCt9bNwWQiitDk5VZ5BVxYnQdwoTyXSs2JHRPAgjAvtbBrf8ZhDYe2jWAqvZVnsc";
    let range = ["--start", "2147483647", "--count", "2"];
    for (chain, arguments, expected) in [
        ("btc", vec!["--key", vpub], "a key of a test network (vpub)"),
        (
            "btc",
            vec!["--key", &SEGWIT[..100]],
            "its checksum is wrong",
        ),
        (
            "btc",
            vec!["--key", SEGWIT, "--branch", "2"],
            "there is no branch 2",
        ),
        (
            "btc",
            [&["--key", SEGWIT][..], &range].concat(),
            "from 0 to 2147483647",
        ),
        (
            "btc",
            vec!["--descriptor", "wsh(multi(1,a/0/*,b/0/*))"],
            "understood are pkh(KEY)",
        ),
        (
            "btc",
            vec!["--key-file", "none.txt"],
            "failed to read `none.txt`",
        ),
        (
            "btc",
            vec!["--key", SEGWIT, "--descriptor", "x"],
            "cannot be used with",
        ),
        ("btc", vec![], "--key <KEY>"),
        ("bsc", vec!["--key", SEGWIT], "is an xpub, not zpub"),
        ("sol", vec!["--key", PLAIN], "hardened children only"),
        ("btx", vec!["--key", SEGWIT], "did you mean"),
    ] {
        let run = derive(&product, chain, &arguments).expect(2);
        assert!(run.stderr.contains(expected), "{expected}:\n{}", run.stderr);
        assert_eq!(run.stdout.lines().nth(1), None, "{}", run.stdout);
        for key in [SEGWIT, PLAIN, vpub] {
            assert!(!run.stderr.contains(&key[..40]), "{}", run.stderr);
        }
    }
}

/// A plugin of the first minor has no derivation, which is told by its version.
#[test]
fn a_plugin_of_the_first_minor_derives_nothing() {
    let run = |file: &Path| {
        let folder = file.parent().expect("it lies in a folder");
        let config = Config::new()
            .plugins(&[folder])
            .chain(&chain("odd", &["odd"], &[("ODD", None, 8)]))
            .provider("odd", "fixture-echo", NOWHERE, "");
        derive(
            &Product::new(&config),
            "odd",
            &[
                "--key", "seed", "--branch", "1", "--start", "7", "--count", "1",
            ],
        )
    };
    let today = fixtures::plugin("fixture-echo").unwrap_or_else(|error| panic!("{error}"));
    let told = run(&today).expect(0).stdout;
    assert_eq!(told, "address,index,label\nseed1x7,7,1/7\n");
    let first = fixtures::echo_built_for(Abi::First).unwrap_or_else(|error| panic!("{error}"));
    let told = run(&first).expect(2).stderr;
    assert!(
        told.contains("built for ABI 1.0, which has no derivation"),
        "{told}"
    );
}
