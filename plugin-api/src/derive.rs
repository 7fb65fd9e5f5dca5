//! Addresses out of public keys.

use std::fmt;
use std::ops::Range;

use scanhost_abi::types as abi;

use crate::{Error, ErrorKind};

/// Which addresses to derive, see [`Provider::derive`](crate::Provider::derive).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Derive {
    /// An extended public key or an output descriptor, as the operator wrote it.
    pub key: String,
    /// Which branch of the key, from 0: those of a multipath descriptor in their order; of an
    /// account's key 0 is what it receives on, 1 its change.
    pub branch: u32,
    /// The indices; not empty, all below 2³¹.
    pub indices: Range<u32>,
}

impl Derive {
    /// Most indices of one request.
    pub const MAX: u32 = abi::DERIVE_MAX;

    /// A request, as the host makes them; for tests.
    #[must_use]
    pub fn new(key: impl Into<String>, branch: u32, indices: Range<u32>) -> Self {
        Self {
            key: key.into(),
            branch,
            indices,
        }
    }

    pub(crate) fn from_abi(request: &abi::DeriveRequest) -> Result<Self, Error> {
        let end = request.start.checked_add(request.count);
        let fits = (1..=Self::MAX).contains(&request.count);
        match end {
            Some(end) if fits && end <= 1 << 31 => Ok(Self {
                key: request.key.to_string(),
                branch: request.branch,
                indices: request.start..end,
            }),
            _ => Err(Error::new(
                ErrorKind::PluginFault,
                format!(
                    "asked for {} addresses from index {} on; 1 to {} at once, below 2147483648",
                    request.count,
                    request.start,
                    Self::MAX
                ),
            )),
        }
    }
}

impl fmt::Debug for Derive {
    /// Without the key: whoever has it sees all addresses of a wallet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derive")
            .field("branch", &self.branch)
            .field("indices", &self.indices)
            .finish_non_exhaustive()
    }
}

/// The answer to [`Derive`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// How many branches the key has, whichever was asked for; at least 1.
    pub branches: u32,
    /// One per index, in the order of the indices.
    pub addresses: Vec<DerivedAddress>,
}

/// One address of [`Derived`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedAddress {
    /// In the spelling for people: one that `validate_address` takes.
    pub address: String,
    /// The path of its key for a person: from the master key where the origin is told,
    /// `m/84'/0'/0'/0/7`, else from the key that was given, `0/7`.
    pub path: String,
}

impl Derived {
    /// An author who miscounts must not make the host put an address under another index.
    pub(crate) fn check(&self, request: &Derive) -> Result<(), Error> {
        if self.branches > 0 && self.addresses.len() == request.indices.len() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::PluginFault,
            format!(
                "`derive` gave {} addresses for {} indices, of {} branches",
                self.addresses.len(),
                request.indices.len(),
                self.branches
            ),
        ))
    }

    pub(crate) fn into_abi(self) -> abi::Derived {
        let address = |derived: DerivedAddress| abi::DerivedAddress {
            address: derived.address.into(),
            path: derived.path.into(),
            reserved: [0; 2],
        };
        abi::Derived {
            branches: self.branches,
            addresses: self.addresses.into_iter().map(address).collect(),
            reserved: [0; 4],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(start: u32, count: u32) -> Result<Derive, Error> {
        Derive::from_abi(&abi::DeriveRequest {
            key: "xpub".into(),
            branch: 1,
            start,
            count,
            reserved: [0; 4],
        })
    }

    #[test]
    fn a_request_is_bounded() {
        assert_eq!(asked(7, 3).unwrap(), Derive::new("xpub", 1, 7..10));
        let last = (1 << 31) - 1;
        assert_eq!(asked(last, 1).unwrap().indices, last..1 << 31);
        for (start, count) in [(0, 0), (0, 1_001), (last, 2), (u32::MAX, 1)] {
            let error = asked(start, count).unwrap_err();
            assert_eq!(error.kind, ErrorKind::PluginFault, "{start} {count}");
        }
    }

    #[test]
    fn an_answer_has_an_address_for_each_index() {
        let request = asked(0, 1).unwrap();
        let address = DerivedAddress {
            address: "a".to_owned(),
            path: "0/0".to_owned(),
        };
        let answer = |branches, times| Derived {
            branches,
            addresses: vec![address.clone(); times],
        };
        answer(1, 1).check(&request).unwrap();
        for wrong in [answer(0, 1), answer(1, 0), answer(1, 2)] {
            let error = wrong.check(&request).unwrap_err();
            assert_eq!(error.kind, ErrorKind::PluginFault, "{wrong:?}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", asked(0, 1).unwrap());
        assert!(!shown.contains("xpub"), "{shown}");
    }
}
