//! Bitcoin balances from mempool.space or a mempool instance of one's own.
//!
//! The protocol is in [`scanhost_esplora`]; what is this service's own is in [`MempoolSpace`].
//!
//! - Public: `https://mempool.space/api`, `/testnet/api` (testnet3), `/testnet4/api`,
//!   `/signet/api`. The limits are not published; who ignores them is banned.
//! - An instance with `BACKEND=electrum` answers the same paths below `/api/v1`.
//!
//! Sources: github.com/mempool/mempool `production/nginx/location-*.conf` and
//! `backend/src/api/bitcoin/bitcoin.routes.ts`; issue mempool/mempool#4106.

mod provider;

#[cfg(test)]
mod tests;

pub use provider::{Mempool, MempoolSpace};

scanhost_plugin_api::export_plugin!(Mempool, "plugin.json");
