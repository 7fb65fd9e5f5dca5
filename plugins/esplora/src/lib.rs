//! The Esplora REST API, shared by the Bitcoin provider plugins.
//!
//! [`Esplora`] is the whole provider; a plugin adds a [`Service`], which holds what sets one
//! operator of the API apart from another, and a manifest.
//!
//! # What is asked
//!
//! | request | answer |
//! |---|---|
//! | `GET /address/:address` | JSON: `address`, `chain_stats`, `mempool_stats` |
//! | `GET /blocks/tip/height` | text: a number |
//! | `GET /blocks/tip/hash` | text: 64 hex digits |
//! | `GET /block-height/:height` | text: the block's hash; of height 0 it is the identity |
//!
//! Errors are plain text (`Invalid Bitcoin address`), and JSON, HTML or nothing where a gateway
//! sends them: the status is read first. Source: Blockstream/esplora `API.md`, mempool/electrs
//! `src/rest.rs`.
//!
//! # What an amount is
//!
//! The amount is the confirmed balance in satoshis, `chain_stats.funded_txo_sum −
//! spent_txo_sum`: what the newest block of the server says. The same difference of
//! `mempool_stats` is `pending`, which is negative while confirmed coins are being spent. `latest`
//! is answered with the same amount. `finalized` is refused: the API does not sum at a depth.
//!
//! # What a height is
//!
//! The API stamps no balance with a height. The mark is the tip as it was read **before** the
//! balance, at most 30 s before (the option `tip_max_age_secs`): the balance is at least as new as
//! the mark, as far as the servers behind one address agree. A tip that cannot be read costs the
//! mark, never the balance.
//!
//! With a lowest height the mark is certain instead: the tip is at that height or above, and the
//! tip's hash is read again when the call's addresses were. The same hash, and every balance
//! between is of that block; another one, and the balances are `lagging`, to be asked for again. A
//! tip that cannot be read is then the failure of the call. It costs one request per call, since
//! the tip after one call is the tip before the next. A call cannot be pinned to one height: no
//! balance of an older block is kept, so that a pinned pass has nothing older than its pin.

mod address;
#[cfg(feature = "bench")]
pub mod bench;
mod derive;
mod options;
mod provider;
mod service;
mod tip;
mod wire;

#[cfg(test)]
mod tests;

pub use options::Options;
pub use provider::Esplora;
pub use service::Service;
