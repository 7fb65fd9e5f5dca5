//! Addresses of public keys, as a plugin makes them.

use scanhost_abi::types as abi;

use super::CallError;
use super::backend::{canonical_of, class_of, clean};
use crate::model::Class;
use crate::watch::{WatchKey, hide_private};

/// Most addresses of one request.
pub const DERIVE_MAX: u32 = abi::DERIVE_MAX;
/// Indices of a branch, whose last has no hardened sibling.
pub const INDICES: u32 = 1 << 31;
/// More branches than any key that makes sense.
const BRANCHES_MAX: u32 = 256;
/// Longest path that is kept, in bytes.
const PATH_MAX: usize = 128;

/// Which addresses to derive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeriveRequest {
    /// The key.
    pub key: WatchKey,
    /// Which of its branches, from 0.
    pub branch: u32,
    /// The first index.
    pub start: u32,
    /// How many, 1 to [`DERIVE_MAX`]; the last index is below [`INDICES`].
    pub count: u32,
}

/// The addresses of a [`DeriveRequest`], one per index in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// How many branches the key has; at least 1.
    pub branches: u32,
    /// The addresses.
    pub addresses: Vec<DerivedAddress>,
}

/// An address of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedAddress {
    /// Its index within the branch.
    pub index: u32,
    /// As the plugin spells it for people.
    pub address: String,
    /// The path of its key: from the master key, or from the key that was given.
    pub path: String,
}

/// Why there are no addresses. No text quotes the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// The key is a private one, or is not understood, or is another network's.
    #[error("{0}")]
    Key(String),
    /// The plugin derives nothing.
    #[error("{0}")]
    Unsupported(String),
    /// The plugin's own fault.
    #[error("{0}")]
    Fault(CallError),
}

// === impl DeriveRequest ===

impl DeriveRequest {
    pub(super) fn to_abi(&self) -> abi::DeriveRequest {
        abi::DeriveRequest {
            key: self.key.expose().into(),
            branch: self.branch,
            start: self.start,
            count: self.count,
            reserved: [0; 4],
        }
    }

    /// What the plugin said, held against what it was asked.
    pub(super) fn settle(
        &self,
        said: Result<abi::Derived, abi::AbiError>,
    ) -> Result<Derived, DeriveError> {
        let derived = said.map_err(|error| self.error_of(&error))?;
        let fault = |why: String| DeriveError::Fault(CallError::new(Class::PluginFault, why));
        if !(1..=BRANCHES_MAX).contains(&derived.branches) {
            return Err(fault(format!("a key with {} branches", derived.branches)));
        }
        let given = derived.addresses.len();
        if given != self.count as usize {
            let asked = self.count;
            return Err(fault(format!("{given} addresses for {asked} indices")));
        }
        let address = |(index, derived): (u32, abi::DerivedAddress)| {
            let path = clean(&derived.path);
            if path.len() > PATH_MAX {
                return Err(fault(format!("a path of {} bytes", path.len())));
            }
            Ok(DerivedAddress {
                index,
                address: canonical_of(&derived.address).map_err(DeriveError::Fault)?,
                path,
            })
        };
        Ok(Derived {
            branches: derived.branches,
            addresses: (self.start..)
                .zip(derived.addresses)
                .map(address)
                .collect::<Result<_, _>>()?,
        })
    }

    fn error_of(&self, error: &abi::AbiError) -> DeriveError {
        // Before it is cut short, so that no part of the key is left at its end.
        let message = clean(&hide_private(&self.key.shorten_in(&error.message)));
        match error.kind {
            abi::ErrorKind::INVALID_KEY | abi::ErrorKind::PRIVATE_KEY => DeriveError::Key(message),
            abi::ErrorKind::UNSUPPORTED => DeriveError::Unsupported(message),
            kind => DeriveError::Fault(CallError::new(class_of(kind), message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V";

    fn request() -> DeriveRequest {
        DeriveRequest {
            key: WatchKey::new(KEY).unwrap(),
            branch: 0,
            start: 7,
            count: 2,
        }
    }

    fn said(branches: u32, addresses: &[&str]) -> abi::Derived {
        let address = |address: &&str| abi::DerivedAddress {
            address: (*address).into(),
            path: "0/7\n".into(),
            reserved: [0; 2],
        };
        abi::Derived {
            branches,
            addresses: addresses.iter().map(address).collect(),
            reserved: [0; 4],
        }
    }

    #[test]
    fn an_answer_has_an_address_for_each_index() {
        let derived = request().settle(Ok(said(2, &["a", "b"]))).unwrap();
        let told: Vec<_> = derived
            .addresses
            .iter()
            .map(|it| (it.index, &*it.address, &*it.path))
            .collect();
        assert_eq!(told, [(7, "a", "0/7 "), (8, "b", "0/7 ")]);
        for wrong in [
            said(0, &["a", "b"]),
            said(u32::MAX, &["a", "b"]),
            said(1, &["a"]),
            said(1, &["a", "b", "c"]),
            said(1, &["a", ""]),
            said(1, &["a", "b\n"]),
        ] {
            let error = request().settle(Ok(wrong)).unwrap_err();
            assert!(matches!(error, DeriveError::Fault(_)), "{error:?}");
        }
    }

    #[test]
    fn a_plugin_that_quotes_the_key_is_told_without_it() {
        for kind in [
            abi::ErrorKind::INVALID_KEY,
            abi::ErrorKind::UNSUPPORTED,
            abi::ErrorKind::PLUGIN_FAULT,
        ] {
            let error = abi::AbiError::new(kind, format!("no key: {KEY}"));
            let error = request().settle(Err(error)).unwrap_err();
            assert_eq!(error.to_string(), "no key: xpub6Cat…PW6V");
        }
    }
}
