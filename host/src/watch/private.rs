//! Private keys, told by their form.
//!
//! Form alone, and no checksum: a key with a typing mistake is all but the key.

use std::borrow::Cow;

/// What is told in place of a private key.
pub const HIDDEN: &str = "(a private key, not shown)";

/// What is told to whoever gave one.
pub const WARNING: &str = "looks like a private key; it was neither used nor kept. Treat it as \
     exposed: move its funds to a new wallet, and give public keys or addresses only";

/// What an extended private key begins with, whatever its network and script.
const EXTENDED: [&str; 10] = [
    "xprv", "yprv", "zprv", "Yprv", "Zprv", "tprv", "uprv", "vprv", "Uprv", "Vprv",
];
/// Shorter ones are words of a sentence.
const EXTENDED_MIN: usize = 20;
/// Base58 characters of a key in wallet import format.
const WALLET_IMPORT: std::ops::RangeInclusive<usize> = 51..=52;
/// Base58 characters of a secret and its public key on ed25519.
const KEY_PAIR: std::ops::RangeInclusive<usize> = 86..=88;
/// How many words stand for a seed, BIP 39.
const SEED_WORDS: [usize; 5] = [12, 15, 18, 21, 24];
/// Bytes of a key pair in a file of Solana's tools.
const BYTES_MIN: usize = 32;

/// Whether the text holds a private key, whatever it should have been: an extended one or one in
/// wallet import format anywhere in it, or as a whole the words of a seed.
#[must_use]
pub fn is_private(text: &str) -> bool {
    words(text).any(is_private_word) || is_seed(text)
}

/// Whether a text that should be an address or a public key, and is none, may be a private key: also
/// 32 bytes in hexadecimal, or a key pair of ed25519.
#[must_use]
pub fn may_be_private(text: &str) -> bool {
    let text = text.trim();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let is_secret = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_pair = KEY_PAIR.contains(&text.len()) && is_base58(text);
    is_secret || is_pair || is_private(text) || is_bytes(text)
}

/// Whether a line of a list is one whole private key that its commas would part.
#[must_use]
pub fn is_private_line(line: &str) -> bool {
    is_seed(line) || is_bytes(line)
}

/// The text without the private keys in it.
#[must_use]
pub fn hide_private(text: &str) -> Cow<'_, str> {
    let mut hidden = Cow::Borrowed(text);
    for word in words(text).filter(|word| is_private_word(word)) {
        hidden = Cow::Owned(hidden.replace(word, HIDDEN));
    }
    hidden
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii_alphanumeric())
}

fn is_private_word(word: &str) -> bool {
    let is_extended =
        word.len() >= EXTENDED_MIN && EXTENDED.iter().any(|prefix| word.starts_with(prefix));
    let is_wallet_import = WALLET_IMPORT.contains(&word.len())
        && word.starts_with(['5', 'K', 'L', '9', 'c'])
        && is_base58(word);
    is_extended || is_wallet_import
}

fn is_base58(word: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() && !matches!(byte, b'0' | b'O' | b'I' | b'l');
    word.bytes().all(fits)
}

fn is_seed(text: &str) -> bool {
    let separator = |char: char| char.is_whitespace() || char == ',';
    let words = || text.split(separator).filter(|word| !word.is_empty());
    let fits = |word: &str| {
        (3..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    words().all(fits) && SEED_WORDS.contains(&words().count())
}

/// `[12,34,…]`, also cut short.
fn is_bytes(text: &str) -> bool {
    let Some(list) = text.strip_prefix('[') else {
        return false;
    };
    let numbers = list.trim_end_matches(']').split(',');
    numbers
        .map(|number| number.trim().parse::<u8>())
        .take_while(Result::is_ok)
        .count()
        >= BYTES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From BIP 32, vector 1, and from the Bitcoin wiki.
    const EXTENDED_KEY: &str = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
    const WALLET_IMPORT_KEY: &str = "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ";
    const SEED: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                        abandon abandon about";

    #[test]
    fn private_keys_are_known_by_their_form() {
        for text in [
            EXTENDED_KEY,
            &EXTENDED_KEY[..60],
            WALLET_IMPORT_KEY,
            "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617",
            SEED,
            &SEED.replace(' ', ","),
            &SEED.to_uppercase(),
            &format!("{SEED} {SEED}"),
            &format!("wpkh([d34db33f/84h]{EXTENDED_KEY}/0/*)"),
            &format!("list of {WALLET_IMPORT_KEY}, 7"),
        ] {
            assert!(is_private(text), "{text}");
            assert!(may_be_private(text), "{text}");
        }
        let hex = "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4ac";
        let pair = "4".repeat(88);
        let bytes = format!("[{}", vec!["174"; 64].join(","));
        for text in [
            hex,
            &format!(" 0x{hex}"),
            &pair,
            &bytes,
            &format!("{bytes}]"),
        ] {
            assert!(!is_private(text), "{text}");
            assert!(may_be_private(text), "{text}");
        }
        for line in [SEED, &SEED.replace(' ', ", "), &bytes] {
            assert!(is_private_line(line), "{line}");
        }
        assert!(!is_private_line(
            "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu,7,cold"
        ));
    }

    #[test]
    fn what_is_public_is_none() {
        for text in [
            "",
            "xprv",
            "a b c",
            "the words of a seed are twelve, and these are just twelve words",
            "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
            "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk",
            "0x12",
            "[1,2,3]",
        ] {
            assert!(!may_be_private(text), "{text}");
        }
        // The hash of Bitcoin's block 0 has the form of a secret; only an address may not.
        assert!(!is_private(
            "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
        ));
    }

    #[test]
    fn a_text_is_told_without_its_private_keys() {
        let text = format!("unexpected argument '{EXTENDED_KEY}' found, {WALLET_IMPORT_KEY} too");
        let told = format!("unexpected argument '{HIDDEN}' found, {HIDDEN} too");
        assert_eq!(hide_private(&text), told);
        assert_eq!(hide_private("no key"), "no key");
    }
}
