//! Addresses of an account's public key.

use alloy::primitives::Address;
use scanhost_keys::{Children, ExtendedKey};
use scanhost_plugin_api::{Derive, Derived, DerivedAddress, Error, ErrorKind};

/// What accounts receive on; there is no change.
const EXTERNAL: u32 = 0;

/// The addresses `0/index` below an extended public key, BIP 44; the paths are from that key.
///
/// Every EVM chain has the same addresses and the same keys, `xpub`; what wallets call accounts is
/// often one more index of one account, and sometimes a hardened step, which no public key takes.
///
/// # Errors
///
/// [`PrivateKey`](ErrorKind::PrivateKey), or [`InvalidKey`](ErrorKind::InvalidKey) with the reason.
pub fn derive(request: &Derive) -> Result<Derived, Error> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidKey, message);
    if request.key.contains('(') {
        scanhost_keys::refuse_private(&request.key)?;
        let message = "a descriptor, which is Bitcoin's; give the account's xpub";
        return Err(invalid(message.to_owned()));
    }
    let key = ExtendedKey::parse(request.key.trim())?;
    if key.name != "xpub" {
        let message = format!("the key of an EVM account is an xpub, not {}", key.name);
        return Err(invalid(message));
    }
    if request.branch != EXTERNAL {
        let message = format!(
            "an EVM account has one branch, which is 0; there is no branch {}",
            request.branch
        );
        return Err(invalid(message));
    }
    let children = Children::below(&key.key, &[EXTERNAL])?;
    let address = |index| {
        let child = children.get(index)?;
        let point = child.public_key.serialize_uncompressed();
        // Without the byte that says that it is not compressed.
        let address = Address::from_raw_public_key(&point[1..]);
        Ok(DerivedAddress {
            address: address.to_checksum(None),
            path: format!("{EXTERNAL}/{index}"),
        })
    };
    let addresses = request.indices.clone().map(address);
    Ok(Derived {
        branches: 1,
        addresses: addresses.collect::<Result<_, Error>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `m/44'/60'/0'` of the words `test … junk`, whose addresses every development node has.
    const JUNK: &str = "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP";
    /// The same of `abandon … about`.
    const ABANDON: &str = "xpub6DCoCpSuQZB2jawqnGMEPS63ePKWkwWPH4TU45Q7LPXWuNd8TMtVxRrgjtEshuqpK3mdhaWHPFsBngh5GFZaM6si3yZdUsT8ddYM3PwnATt";

    fn derived(key: &str, branch: u32, indices: std::ops::Range<u32>) -> Result<Derived, Error> {
        derive(&Derive::new(key, branch, indices))
    }

    #[test]
    fn bip_44_with_checksums() {
        let addresses = |key, indices| {
            let derived = derived(key, 0, indices).unwrap();
            assert_eq!(derived.branches, 1);
            let addresses = derived.addresses.into_iter();
            addresses
                .map(|it| (it.address, it.path))
                .collect::<Vec<_>>()
        };
        let told = |address: &str, path: &str| (address.to_owned(), path.to_owned());
        assert_eq!(
            addresses(JUNK, 0..3),
            [
                told("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0/0"),
                told("0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "0/1"),
                told("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", "0/2"),
            ]
        );
        // The last one is `bip-utils`'.
        for (index, address) in [
            (0, "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"),
            (999, "0x262C9D608051E007832C0978e2100d6EA690227C"),
        ] {
            let path = format!("0/{index}");
            assert_eq!(addresses(ABANDON, index..index + 1), [told(address, &path)]);
            crate::parse_address(address).unwrap();
        }
    }

    #[test]
    fn nothing_but_an_xpub_is_a_key() {
        let segwit = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";
        let private = "xprv9ybY78BftS5UGANki6oSifuQEjkpyAC8ZmBvBNTshQnCBcxnefjHS7buPMkkqhcRzmoGZ5bokx7GuyDAiktd5HemohAU4wV1ZPMDRmLpBMm";
        for (key, branch, kind, expected) in [
            (segwit.to_owned(), 0, ErrorKind::InvalidKey, "not zpub"),
            (
                format!("pkh({JUNK}/0/*)"),
                0,
                ErrorKind::InvalidKey,
                "a descriptor",
            ),
            (JUNK.to_owned(), 1, ErrorKind::InvalidKey, "no branch 1"),
            (
                "0x12".to_owned(),
                0,
                ErrorKind::InvalidKey,
                "not an extended",
            ),
            (private.to_owned(), 0, ErrorKind::PrivateKey, "was not used"),
            (
                format!("pkh({private}/0/*)"),
                0,
                ErrorKind::PrivateKey,
                "was not used",
            ),
        ] {
            let error = derived(&key, branch, 0..1).unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.message.contains(expected), "{error}");
            assert!(!error.message.contains(&private[..12]), "{error}");
        }
    }
}
