//! Addresses of a key, by the first plugin of a pool that derives any.

use std::ops::Range;

use super::WatchKey;
use crate::plugin::DeriveError;
use crate::plugin::derive::{DERIVE_MAX, DeriveRequest, Derived, INDICES};
use crate::pool::Pool;

/// Why a key has no addresses. No text quotes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddresses {
    /// The key.
    #[error("{0}")]
    Key(String),
    /// Indices past the last.
    #[error("an index is from 0 to {}", INDICES - 1)]
    Index,
    /// Nobody derives any.
    #[error("no plugin of the pool derives addresses: {0}")]
    Nobody(String),
}

/// Addresses of one branch of a key, however many; nothing is sent.
///
/// # Errors
///
/// [`NoAddresses`].
pub async fn derive(
    pool: &Pool,
    key: &WatchKey,
    branch: u32,
    indices: Range<u32>,
) -> Result<Derived, NoAddresses> {
    if indices.is_empty() || indices.end > INDICES {
        return Err(NoAddresses::Index);
    }
    let mut reasons: Vec<String> = pool
        .unusable
        .iter()
        .map(|error| format!("{}: {}", error.provider, error.message))
        .collect();
    for member in &pool.members {
        let mut all: Option<Derived> = None;
        let refused = loop {
            let start = indices.start + all.as_ref().map_or(0, count);
            let request = DeriveRequest {
                key: key.clone(),
                branch,
                start,
                count: (indices.end - start).min(DERIVE_MAX),
            };
            let derived = match member.backend.derive(request).await {
                Ok(derived) => derived,
                Err(error) => break error,
            };
            match &mut all {
                None => all = Some(derived),
                Some(all) => all.addresses.extend(derived.addresses),
            }
            if let Some(all) = all.take_if(|all| count(all) as usize == indices.len()) {
                return Ok(all);
            }
        };
        match refused {
            DeriveError::Key(why) => return Err(NoAddresses::Key(why)),
            DeriveError::Unsupported(_) | DeriveError::Fault(_) => {
                reasons.push(format!("{}: {refused}", member.name));
            }
        }
    }
    Err(NoAddresses::Nobody(match reasons.as_slice() {
        [] => "it is empty".to_owned(),
        reasons => reasons.join("; "),
    }))
}

/// Below 2³¹, as indices are.
fn count(derived: &Derived) -> u32 {
    u32::try_from(derived.addresses.len()).unwrap_or(u32::MAX)
}
