//! Bitcoin balances from blockstream.info, its enterprise API, or any other Esplora.
//!
//! The protocol is in [`scanhost_esplora`]; what is this service's own is in [`BlockstreamInfo`].
//!
//! - Public: `https://blockstream.info/api`, `/testnet/api` (testnet3), `/signet/api`; no testnet4.
//!   700 requests an hour and 500,000 a month for each IP address since 2025-07-15.
//! - Enterprise: `https://enterprise.blockstream.info/api` with `Authorization: Bearer`. The token
//!   lives for 300 s; `oauth2` of the provider's configuration has the host fetch and renew it.
//!
//! Sources: github.com/Blockstream/esplora `API.md`; help.blockstream.com article 52415086089369.

mod provider;

#[cfg(test)]
mod tests;

pub use provider::{Blockstream, BlockstreamInfo};

scanhost_plugin_api::export_plugin!(Blockstream, "plugin.json");
