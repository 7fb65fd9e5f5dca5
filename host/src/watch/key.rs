//! A public key, shown shortened: whoever has the whole sees all addresses of a wallet.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::private::{WARNING, may_be_private};

/// Words this long are keys, and are shown shortened.
const LONG: usize = 40;
/// How much of a key is shown, at its beginning and its end.
const HEAD: usize = 8;
const TAIL: usize = 4;

/// An extended public key or an output descriptor, as the operator wrote it. What it means is for
/// the chain's plugin.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WatchKey(Arc<str>);

impl WatchKey {
    /// Takes a key.
    ///
    /// # Errors
    ///
    /// [`WARNING`]: it is a private one.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if may_be_private(text) {
            return Err(WARNING);
        }
        Ok(Self(text.into()))
    }

    /// The whole key.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What tells it apart, and lets nobody find it: the start of its hash.
    #[must_use]
    pub fn id(&self) -> String {
        const BYTES: usize = 8;
        hex::encode(&Sha256::digest(self.0.as_bytes())[..BYTES])
    }

    /// A text in which a plugin may have quoted the key.
    #[must_use]
    pub fn shorten_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for word in long_words(&self.0) {
            text = text.replace(word, &shortened(word));
        }
        text
    }
}

impl fmt::Display for WatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shorten_in(&self.0))
    }
}

impl fmt::Debug for WatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WatchKey({self})")
    }
}

fn long_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii_alphanumeric())
        .filter(|word| word.len() >= LONG)
}

fn shortened(word: &str) -> String {
    format!("{}…{}", &word[..HEAD], &word[word.len() - TAIL..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V";

    #[test]
    fn a_key_is_shown_shortened() {
        let key = WatchKey::new(&format!(" {KEY}\n")).unwrap();
        assert_eq!(key.expose(), KEY);
        assert_eq!(key.to_string(), "xpub6Cat…PW6V");
        let descriptor = WatchKey::new(&format!("wpkh([73c5da0a/84h/0h/0h]{KEY}/0/*)")).unwrap();
        let told = "wpkh([73c5da0a/84h/0h/0h]xpub6Cat…PW6V/0/*)";
        assert_eq!(descriptor.to_string(), told);
        assert_eq!(format!("{descriptor:?}"), format!("WatchKey({told})"));
        assert_eq!(
            key.shorten_in(&format!("bad key {KEY}!")),
            "bad key xpub6Cat…PW6V!"
        );
        assert_ne!(key.id(), descriptor.id());
    }

    #[test]
    fn a_private_key_is_none_of_these() {
        for text in [&KEY.replace("xpub", "xprv"), &"ab".repeat(32)] {
            assert_eq!(WatchKey::new(text), Err(WARNING));
        }
    }
}
