//! Published addresses of the words `abandon … about`, checked with `embit`.

use super::*;

const BIP_44: &str = "xpub6BosfCnifzxcFwrSzQiqu2DBVTshkCXacvNsWGYJVVhhawA7d4R5WSWGFNbi8Aw6ZRc1brxMyWMzG3DSSSSoekkudhUd9yLb6qx39T9nMdj";
const BIP_49: &str = "ypub6Ww3ibxVfGzLrAH1PNcjyAWenMTbbAosGNB6VvmSEgytSER9azLDWCxoJwW7Ke7icmizBMXrzBx9979FfaHxHcrArf3zbeJJJUZPf663zsP";
const BIP_49_TEST: &str = "upub5EFU65HtV5TeiSHmZZm7FUffBGy8UKeqp7vw43jYbvZPpoVsgU93oac7Wk3u6moKegAEWtGNF8DehrnHtv21XXEMYRUocHqguyjknFHYfgY";
const BIP_84: &str = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";
/// The same key under the version of BIP 32, as descriptors have it.
const BIP_84_PLAIN: &str = "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V";
const BIP_84_TEST: &str = "vpub5Y6cjg78GGuNLsaPhmYsiw4gYX3HoQiRBiSwDaBXKUafCt9bNwWQiitDk5VZ5BVxYnQdwoTyXSs2JHRPAgjAvtbBrf8ZhDYe2jWAqvZVnsc";
const BIP_86: &str = "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ";
const MULTISIG: &str = "Zpub74Jru6aftwwHxCUCWEvP6DgrfFsdA4U6ZRtQ5i8qJpMcC39yZGv3egBhQfV3MS9pZtH5z8iV5qWkJsK6ESs6mSzt4qvGhzJxPeeVS2e1zUG";

fn derived(key: &str, branch: u32, indices: std::ops::Range<u32>) -> Result<Derived, Error> {
    derive(&Derive::new(key, branch, indices), Network::Bitcoin)
}

#[track_caller]
fn check(key: &str, network: Network, branch: u32, start: u32, expected: &[&str]) {
    let count = u32::try_from(expected.len()).unwrap();
    let request = Derive::new(key, branch, start..start + count);
    let derived = derive(&request, network).unwrap();
    let addresses: Vec<_> = derived.addresses.iter().map(|it| &*it.address).collect();
    assert_eq!(addresses, expected, "{branch}/{start}");
    for address in addresses {
        crate::address::canonical(address, network).unwrap();
    }
}

#[track_caller]
fn refused(key: &str, expected: &str) {
    let error = derived(key, 0, 0..1).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidKey, "{key}");
    assert!(error.message.contains(expected), "{key}: {error}");
    assert!(!error.message.contains("xpub6"), "{error}");
}

#[test]
fn bip_44_49_84_and_86() {
    let main = Network::Bitcoin;
    check(
        BIP_44,
        main,
        0,
        0,
        &[
            "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA",
            "1Ak8PffB2meyfYnbXZR9EGfLfFZVpzJvQP",
        ],
    );
    check(BIP_44, main, 1, 0, &["1J3J6EvPrv8q6AC3VCjWV45Uf3nssNMRtH"]);
    check(
        BIP_44,
        main,
        0,
        2_147_483_647,
        &["12PyCxyiKLJc6WewJd173MRDVVdR6VpJ2j"],
    );
    check(
        BIP_49,
        main,
        0,
        0,
        &[
            "37VucYSaXLCAsxYyAPfbSi9eh4iEcbShgf",
            "3LtMnn87fqUeHBUG414p9CWwnoV6E2pNKS",
        ],
    );
    check(BIP_49, main, 1, 0, &["34K56kSjgUCUSD8GTtuF7c9Zzwokbs6uZ7"]);
    check(
        BIP_84,
        main,
        0,
        0,
        &[
            "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
            "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g",
        ],
    );
    check(
        BIP_84,
        main,
        1,
        0,
        &["bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el"],
    );
    let taproot = format!("tr([73c5da0a/86'/0'/0']{BIP_86}/<0;1>/*)");
    check(
        &taproot,
        main,
        0,
        0,
        &[
            "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
            "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh",
        ],
    );
    check(
        &taproot,
        main,
        1,
        0,
        &["bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7"],
    );
}

#[test]
fn networks_have_their_own_keys_and_addresses() {
    let (p2sh, bech32, regtest) = (
        "2Mww8dCYPUpKHofjgcXcBCEGmniw9CoaiD2",
        "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl",
        "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk",
    );
    for network in [Network::Testnet, Network::Testnet4, Network::Signet] {
        check(BIP_49_TEST, network, 0, 0, &[p2sh]);
        check(BIP_84_TEST, network, 0, 0, &[bech32]);
    }
    check(BIP_84_TEST, Network::Regtest, 0, 0, &[regtest]);
    for (key, network, expected) in [
        (
            BIP_84,
            Network::Signet,
            "a key of mainnet (zpub), but the chain's network is signet",
        ),
        (
            BIP_84_TEST,
            Network::Bitcoin,
            "a key of a test network (vpub), but the chain's network is mainnet",
        ),
    ] {
        let error = derive(&Derive::new(key, 0, 0..1), network).unwrap_err();
        assert_eq!(
            (error.kind, &*error.message),
            (ErrorKind::InvalidKey, expected)
        );
    }
}

#[test]
fn descriptors_say_what_their_addresses_are() {
    let main = Network::Bitcoin;
    let first = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu";
    let plain = BIP_84_PLAIN;
    // The checksum is `embit`'s.
    let receive = format!("wpkh([73c5da0a/84h/0h/0h]{plain}/<0;1>/*)#qf45pmyh");
    check(&receive, main, 0, 0, &[first]);
    check(
        &receive,
        main,
        1,
        0,
        &["bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el"],
    );
    check(&format!("wpkh({plain}/0/*)"), main, 0, 0, &[first]);
    check(&format!("wpkh({plain}/<7;0>/*)"), main, 1, 0, &[first]);
    check(
        &format!("pkh({BIP_44}/0/*)"),
        main,
        0,
        0,
        &["1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA"],
    );
    // The account of BIP 49 under another script, and under its own.
    let nested = derived(&format!("sh(wpkh({plain}/0/*))"), 0, 0..1).unwrap();
    assert!(nested.addresses[0].address.starts_with('3'), "{nested:?}");
    assert_eq!(derived(&receive, 0, 0..1).unwrap().branches, 2);
    assert_eq!(
        derived(&format!("wpkh({plain}/*)"), 0, 0..1)
            .unwrap()
            .branches,
        1
    );
}

#[test]
fn a_path_begins_at_the_master_key_where_its_place_is_known() {
    let path = |key: &str, branch| {
        let derived = derived(key, branch, 7..8).unwrap();
        derived.addresses[0].path.clone()
    };
    let plain = BIP_84_PLAIN;
    assert_eq!(path(BIP_84, 1), "1/7");
    assert_eq!(path(&format!("wpkh({plain}/*)"), 0), "7");
    assert_eq!(path(&format!("wpkh([73c5da0a]{plain}/0/*)"), 0), "m/0/7");
    let origin = format!("wpkh([73c5da0a/84h/0'/0]{plain}/<0;1>/*)");
    assert_eq!(path(&origin, 1), "m/84'/0'/0/1/7");
}

#[test]
fn what_is_not_understood_is_refused_with_what_is() {
    let plain = BIP_84_PLAIN;
    for (key, expected) in [
        (format!("wpkh({plain})"), "without a range"),
        (format!("wpkh({plain}/0/1)"), "without a range"),
        (
            format!("wsh(multi(1,{plain}/0/*,{plain}/1/*))"),
            "not understood",
        ),
        (format!("sh({plain}/0/*)"), "not understood"),
        (format!("combo({plain}/0/*)"), "not understood"),
        (
            format!("tr({plain}/0/*,pk({plain}/1/*))"),
            "more than one key",
        ),
        (format!("pkh(multi(1,{plain}/0/*))"), "more than one key"),
        (format!("wpkh({plain}/0/*) "), ""),
        (format!("wpkh({plain}/0/*"), "not understood"),
        (format!("wpkh({plain}/0/*))"), "more than one key"),
        (format!("wpkh({plain}/0/*)#qf45pmyh"), "checksum behind `#`"),
        (format!("wpkh({plain}/0/*)#"), "checksum behind `#`"),
        (format!("wpkh({plain}/0h/*)"), "hardened"),
        (format!("wpkh({plain}/0/*h)"), "hardened"),
        (format!("wpkh({plain}/0/*')"), "hardened"),
        (format!("wpkh({plain}/<0h;1h>/*)"), "hardened"),
        (format!("wpkh({plain}/*/0)"), "not the last"),
        (format!("wpkh({plain}//*)"), "not a number"),
        (format!("wpkh({plain}/+1/*)"), "not a number"),
        (format!("wpkh({plain}/2147483648/*)"), "not a number"),
        (format!("wpkh({plain}/<0>/*)"), "one number alone"),
        (format!("wpkh({plain}/<>/*)"), "not a number"),
        (format!("wpkh({plain}/<0;0>/*)"), "twice"),
        (
            format!("wpkh({plain}/<0;1>/<2;3>/*)"),
            "two steps of several",
        ),
        (format!("wpkh([d34db33/84h]{plain}/*)"), "8 hex digits"),
        (format!("wpkh([d34db33g/84h]{plain}/*)"), "8 hex digits"),
        (format!("wpkh([d34db33f/84x]{plain}/*)"), "8 hex digits"),
        (format!("wpkh([d34db33f/84h{plain}/*)"), "8 hex digits"),
        (
            format!("wpkh([d34db33f][d34db33f]{plain}/*)"),
            "not an extended public key",
        ),
        (
            format!("wpkh({BIP_84}/0/*)"),
            "says itself what its addresses are",
        ),
        ("wpkh(é)".to_owned(), "character that none has"),
        ("wpkh()".to_owned(), "too short"),
        (format!("tr({}/*)", "a".repeat(64)), "a single public key"),
        (format!("pkh(02{})", "a".repeat(64)), "a single public key"),
        (MULTISIG.to_owned(), "one key of several"),
        ("abandon abandon".to_owned(), "not an extended public key"),
    ] {
        if expected.is_empty() {
            derived(&key, 0, 0..1).unwrap();
        } else {
            refused(&key, expected);
        }
    }
    for (key, branch) in [
        (BIP_84.to_owned(), 2),
        (format!("wpkh({plain}/0/*)"), 1),
        (format!("wpkh({plain}/<0;1>/*)"), 2),
    ] {
        let error = derived(&key, branch, 0..1).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidKey);
        assert!(
            error.message.contains(&format!("no branch {branch}")),
            "{error}"
        );
    }
}

#[test]
fn a_private_key_is_refused_wherever_it_stands() {
    // Of the same words; it is worth nothing.
    let plain = "xprv9ybY78BftS5UGANki6oSifuQEjkpyAC8ZmBvBNTshQnCBcxnefjHS7buPMkkqhcRzmoGZ5bokx7GuyDAiktd5HemohAU4wV1ZPMDRmLpBMm";
    let segwit = "zprvAdG4iTXWBoARxkkzNpNh8r6Qag3irQB8PzEMkAFeTRXxHpbF9z4QgEvBRmfvqWvGp42t42nvgGpNgYSJA9iefm1yYNZKEm7z6qUWCroSQnE";
    let single = "KyZpNDKnfs94vbrwhJneDi77V6jF64PWPF8x5cdJb8ifgg2DUc9d";
    for key in [
        plain.to_owned(),
        segwit.to_owned(),
        single.to_owned(),
        format!("wpkh([73c5da0a/84h/0h/0h]{plain}/0/*)"),
        format!("wsh(multi(1,{BIP_84_PLAIN}/0/*,{plain}/1/*))"),
        format!("pkh({single})"),
    ] {
        let error = derived(&key, 0, 0..1).unwrap_err();
        assert_eq!(error.kind, ErrorKind::PrivateKey, "{error}");
        for secret in [plain, segwit, single] {
            assert!(!error.message.contains(&secret[..12]), "{error}");
        }
    }
}
