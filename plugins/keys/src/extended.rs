//! A key as people write it, and its children.

use bitcoin::base58;
use bitcoin::bip32::{ChildNumber, Xpub};
use bitcoin::secp256k1::{Secp256k1, VerifyOnly};
use scanhost_plugin_api::{Error, ErrorKind};

use crate::private::refuse_private;

/// Bytes of an extended key.
const LENGTH: usize = 78;
/// The version that BIP 32 gives a public key of the main network, and of the test networks.
const XPUB: [u8; 4] = [0x04, 0x88, 0xb2, 0x1e];
const TPUB: [u8; 4] = [0x04, 0x35, 0x87, 0xcf];

/// The versions of SLIP-132.
const VERSIONS: [([u8; 4], &str, Purpose, bool); 10] = [
    (XPUB, "xpub", Purpose::Plain, true),
    (
        [0x04, 0x9d, 0x7c, 0xb2],
        "ypub",
        Purpose::NestedSegwit,
        true,
    ),
    ([0x04, 0xb2, 0x47, 0x46], "zpub", Purpose::Segwit, true),
    ([0x02, 0x95, 0xb4, 0x3f], "Ypub", Purpose::Shared, true),
    ([0x02, 0xaa, 0x7e, 0xd3], "Zpub", Purpose::Shared, true),
    (TPUB, "tpub", Purpose::Plain, false),
    (
        [0x04, 0x4a, 0x52, 0x62],
        "upub",
        Purpose::NestedSegwit,
        false,
    ),
    ([0x04, 0x5f, 0x1c, 0xf6], "vpub", Purpose::Segwit, false),
    ([0x02, 0x42, 0x89, 0xef], "Upub", Purpose::Shared, false),
    ([0x02, 0x57, 0x54, 0x83], "Vpub", Purpose::Shared, false),
];

/// What the version of a key says that its addresses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `xpub`, `tpub`: nothing in a descriptor; alone, addresses by BIP 44.
    Plain,
    /// `ypub`, `upub`: P2WPKH within P2SH, BIP 49.
    NestedSegwit,
    /// `zpub`, `vpub`: P2WPKH, BIP 84.
    Segwit,
    /// `Ypub` and the like: one key of several.
    Shared,
}

/// An extended public key with what its version says.
#[derive(Clone)]
pub struct ExtendedKey {
    /// The key.
    pub key: Xpub,
    /// What its addresses are.
    pub purpose: Purpose,
    /// Of the main network, else of the test networks.
    pub is_main: bool,
    /// The version's name: `xpub`.
    pub name: &'static str,
}

impl std::fmt::Debug for ExtendedKey {
    /// Without the key: whoever has it sees all addresses of a wallet.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExtendedKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ExtendedKey {
    /// Reads a key in base58.
    ///
    /// # Errors
    ///
    /// [`PrivateKey`](ErrorKind::PrivateKey), or [`InvalidKey`](ErrorKind::InvalidKey) with the
    /// reason; neither quotes the text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        refuse_private(text)?;
        let bytes = base58::decode_check(text).map_err(|error| {
            let why = match error {
                base58::Error::Decode(_) => "it has characters that base58 lacks",
                base58::Error::IncorrectChecksum(_) => {
                    "its checksum is wrong: a character is mistyped or left out"
                }
                _ => "it is too short",
            };
            invalid(&format!("not an extended public key: {why}"))
        })?;
        let (Some(version), LENGTH) = (bytes.first_chunk::<4>(), bytes.len()) else {
            return Err(invalid("not an extended public key: it has another length"));
        };
        let known = VERSIONS.iter().find(|(known, ..)| known == version);
        let Some(&(_, name, purpose, is_main)) = known else {
            return Err(invalid(
                "an extended key of another kind; xpub, ypub and zpub are known, of test networks \
                 tpub, upub and vpub",
            ));
        };
        // The library reads the versions of BIP 32 alone; what the others say is kept here.
        let mut plain = bytes;
        plain[..4].copy_from_slice(if is_main { &XPUB } else { &TPUB });
        let key = Xpub::decode(&plain)
            .map_err(|error| invalid(&format!("not an extended public key: {error}")))?;
        check_root(&key)?;
        Ok(Self {
            key,
            purpose,
            is_main,
            name,
        })
    }
}

/// BIP 32: a key of depth 0 has no parent and no number.
fn check_root(key: &Xpub) -> Result<(), Error> {
    let is_root = key.depth == 0;
    let has_parent = key.parent_fingerprint.to_bytes() != [0; 4];
    let is_first = u32::from(key.child_number) == 0;
    if is_root && (has_parent || !is_first) {
        return Err(invalid(
            "not an extended public key: one of depth 0 that has a parent",
        ));
    }
    Ok(())
}

/// The children of a key, one after the other.
#[derive(Debug)]
pub struct Children {
    context: Secp256k1<VerifyOnly>,
    parent: Xpub,
}

impl Children {
    /// Children below `steps` of a key; none of them is hardened.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`](ErrorKind::InvalidKey): a step is past 2³¹, or one of the few that have no
    /// key.
    pub fn below(key: &Xpub, steps: &[u32]) -> Result<Self, Error> {
        let context = Secp256k1::verification_only();
        let mut parent = *key;
        for step in steps {
            parent = child(&context, &parent, *step)?;
        }
        Ok(Self { context, parent })
    }

    /// The child of this index.
    ///
    /// # Errors
    ///
    /// As for [`below`](Self::below).
    pub fn get(&self, index: u32) -> Result<Xpub, Error> {
        child(&self.context, &self.parent, index)
    }

    /// What signatures are checked with; taproot's tweak needs it too.
    #[must_use]
    pub fn context(&self) -> &Secp256k1<VerifyOnly> {
        &self.context
    }
}

fn child(context: &Secp256k1<VerifyOnly>, parent: &Xpub, index: u32) -> Result<Xpub, Error> {
    let number = ChildNumber::from_normal_idx(index)
        .map_err(|_| invalid(&format!("index {index} is past 2147483647")))?;
    parent
        .ckd_pub(context, number)
        .map_err(|error| invalid(&format!("there is no key of index {index}: {error}")))
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidKey, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From BIP 32: a key, the path from it, and the key that is there.
    const PUBLIC: [(&str, &[u32], &str); 5] = [
        (
            "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
            &[1],
            "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
        ),
        (
            "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5",
            &[2, 1_000_000_000],
            "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
        ),
        (
            "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
            &[0],
            "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
        ),
        (
            "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a",
            &[1],
            "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon",
        ),
        (
            "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL",
            &[2],
            "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
        ),
    ];

    /// BIP 32, vectors 3 and 4: keys whose numbers begin with zeros.
    const LEADING_ZEROS: [&str; 5] = [
        "xpub661MyMwAqRbcEZVB4dScxMAdx6d4nFc9nvyvH3v4gJL378CSRZiYmhRoP7mBy6gSPSCYk6SzXPTf3ND1cZAceL7SfJ1Z3GC8vBgp2epUt13",
        "xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y",
        "xpub661MyMwAqRbcGczjuMoRm6dXaLDEhW1u34gKenbeYqAix21mdUKJyuyu5F1rzYGVxyL6tmgBUAEPrEz92mBXjByMRiJdba9wpnN37RLLAXa",
        "xpub69AUMk3qDBi3uW1sXgjCmVjJ2G6WQoYSnNHyzkmdCHEhSZ4tBok37xfFEqHd2AddP56Tqp4o56AePAgCjYdvpW2PU2jbUPFKsav5ut6Ch1m",
        "xpub6BJA1jSqiukeaesWfxe6sNK9CCGaujFFSJLomWHprUL9DePQ4JDkM5d88n49sMGJxrhpjazuXYWdMf17C9T5XnxkopaeS7jGk1GyyVziaMt",
    ];

    #[test]
    fn the_public_vectors_of_bip_32() {
        for (parent, path, expected) in PUBLIC {
            let parent = ExtendedKey::parse(parent).unwrap();
            assert_eq!((parent.name, parent.is_main), ("xpub", true));
            let (last, before) = path.split_last().unwrap();
            let children = Children::below(&parent.key, before).unwrap();
            assert_eq!(children.get(*last).unwrap().to_string(), expected);
        }
        for text in LEADING_ZEROS {
            assert_eq!(ExtendedKey::parse(text).unwrap().key.to_string(), text);
        }
    }

    /// One account of the words `abandon … about` under each version, made by `embit`.
    #[test]
    fn a_version_tells_script_and_network() {
        for (text, purpose, is_main) in [
            (
                "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs",
                Purpose::Segwit,
                true,
            ),
            (
                "ypub6Ww3ibxVfGzLrAH1PNcjyAWenMTbbAosGNB6VvmSEgytSER9azLDWCxoJwW7Ke7icmizBMXrzBx9979FfaHxHcrArf3zbeJJJUZPf663zsP",
                Purpose::NestedSegwit,
                true,
            ),
            (
                "vpub5Y6cjg78GGuNLsaPhmYsiw4gYX3HoQiRBiSwDaBXKUafCt9bNwWQiitDk5VZ5BVxYnQdwoTyXSs2JHRPAgjAvtbBrf8ZhDYe2jWAqvZVnsc",
                Purpose::Segwit,
                false,
            ),
            (
                "upub5EFU65HtV5TeiSHmZZm7FUffBGy8UKeqp7vw43jYbvZPpoVsgU93oac7Wk3u6moKegAEWtGNF8DehrnHtv21XXEMYRUocHqguyjknFHYfgY",
                Purpose::NestedSegwit,
                false,
            ),
            (
                "tpubDC8msFGeGuwnKG9Upg7DM2b4DaRqg3CUZa5g8v2SRQ6K4NSkxUgd7HsL2XVWbVm39yBA4LAxysQAm397zwQSQoQgewGiYZqrA9DsP4zbQ1M",
                Purpose::Plain,
                false,
            ),
            (
                "Zpub74Jru6aftwwHxCUCWEvP6DgrfFsdA4U6ZRtQ5i8qJpMcC39yZGv3egBhQfV3MS9pZtH5z8iV5qWkJsK6ESs6mSzt4qvGhzJxPeeVS2e1zUG",
                Purpose::Shared,
                true,
            ),
        ] {
            let key = ExtendedKey::parse(text).unwrap();
            assert_eq!((key.purpose, key.is_main), (purpose, is_main));
            assert_eq!(key.name, &text[..4]);
            let shown = format!("{key:?}");
            assert!(!shown.contains(&text[4..20]), "{shown}");
        }
    }

    #[test]
    fn nothing_else_is_a_key() {
        let good = "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8";
        let bytes = base58::decode_check(good).unwrap();
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            base58::encode_check(&bytes)
        };
        for (text, expected) in [
            (String::new(), "too short"),
            ("0x12".to_owned(), "characters that base58 lacks"),
            (good.replace("gS5s", "gS5t"), "checksum is wrong"),
            (good[..100].to_owned(), "checksum is wrong"),
            (base58::encode_check(&bytes[..77]), "another length"),
            (
                "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa".to_owned(),
                "another length",
            ),
            (with(0, 9), "of another kind"),
            // Of depth 0 with a parent, and with a number.
            (with(5, 1), "of depth 0"),
            (with(12, 1), "of depth 0"),
            // Neither an even nor an odd point; a secret behind a public version.
            (with(45, 0), "not an extended public key"),
            (with(45, 4), "not an extended public key"),
            // No point of the curve has this number: BIP 32's vector 5 has one of these too.
            (
                base58::encode_check(&[&bytes[..46], &[0; 31], &[7]].concat()),
                "not an extended public key",
            ),
        ] {
            let error = ExtendedKey::parse(&text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidKey, "{text}");
            assert!(error.message.contains(expected), "{text}: {error}");
            assert!(
                text.len() < 20 || !error.message.contains(&text[..20]),
                "{error}"
            );
        }
    }

    #[test]
    fn an_index_past_the_last_is_refused() {
        let key = ExtendedKey::parse(LEADING_ZEROS[0]).unwrap().key;
        let children = Children::below(&key, &[]).unwrap();
        children.get((1 << 31) - 1).unwrap();
        for error in [
            children.get(1 << 31).unwrap_err(),
            Children::below(&key, &[0, u32::MAX]).unwrap_err(),
        ] {
            assert_eq!(error.kind, ErrorKind::InvalidKey);
            assert!(error.message.contains("2147483647"), "{error}");
        }
    }
}
