//! Private keys, told by what they decode to.

use bitcoin::base58;
use scanhost_plugin_api::{Error, ErrorKind};

/// What an extended private key begins with, whatever its network and script.
const PREFIXES: [&str; 10] = [
    "xprv", "yprv", "zprv", "Yprv", "Zprv", "tprv", "uprv", "vprv", "Uprv", "Vprv",
];

/// Refuses a text that has a private key in it, alone or within a descriptor: an extended one, also
/// with a typing mistake, or one in wallet import format.
///
/// # Errors
///
/// [`PrivateKey`](scanhost_plugin_api::ErrorKind::PrivateKey); the message does not quote it.
pub fn refuse_private(text: &str) -> Result<(), Error> {
    let mut words = text.split(|char: char| !char.is_ascii_alphanumeric());
    if words.any(|word| is_extended(word) || is_wallet_import(word)) {
        return Err(Error::new(
            ErrorKind::PrivateKey,
            "a private key, where a public one belongs; it was not used. Treat it as exposed: move \
             its funds to a new wallet, and give the extended public key instead",
        ));
    }
    Ok(())
}

fn is_extended(word: &str) -> bool {
    PREFIXES.iter().any(|prefix| word.starts_with(prefix))
}

/// The version, 32 bytes, and a 1 if the public key is compressed.
fn is_wallet_import(word: &str) -> bool {
    (51..=52).contains(&word.len())
        && base58::decode_check(word).is_ok_and(|bytes| {
            matches!(bytes.first(), Some(0x80 | 0xef)) && (33..=34).contains(&bytes.len())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_refused_and_not_quoted() {
        // From BIP 32 (vector 1) and the Bitcoin wiki's page of the wallet import format.
        let extended = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
        let uncompressed = "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ";
        let compressed = "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617";
        for text in [
            extended.to_owned(),
            format!("wpkh([d34db33f/84h/0h/0h]{extended}/0/*)"),
            // Mistyped, and still all but the key.
            extended[..100].to_owned(),
            uncompressed.to_owned(),
            compressed.to_owned(),
            format!("pkh({compressed})"),
        ] {
            let error = refuse_private(&text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::PrivateKey, "{text}");
            assert!(!error.message.contains(&text[..20]), "{error}");
            assert!(error.message.contains("was not used"), "{error}");
        }
    }

    #[test]
    fn what_is_public_is_not() {
        for text in [
            "",
            "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
            // One letter of the checksum is wrong: nobody knows what it is.
            "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTK",
        ] {
            refuse_private(text).unwrap();
        }
    }
}
