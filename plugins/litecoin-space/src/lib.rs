//! Litecoin balances from litecoinspace.org, or from any Esplora host that serves Litecoin.
//!
//! The protocol is in [`scanhost_esplora`]; what is Litecoin's own is the form of its addresses, in
//! `address`.
//!
//! litecoinspace.org is a mempool instance for Litecoin: `https://litecoinspace.org/api`, testnet at
//! `/testnet/api`. Its limits are not published; the manifest assumes those of mempool.space. The
//! service itself was not asked when this was written: paths and bodies are those of the software.
//!
//! Sources: litecoin-project/litecoin `src/chainparams.cpp` (prefixes, genesis hashes),
//! litecoin-foundation/mempool, BIP 173, BIP 350.

mod address;
#[cfg(test)]
mod tests;

use std::time::Duration;

use scanhost_esplora::{Esplora, Service};
use scanhost_plugin_api::prelude::*;

/// The provider.
pub type Litecoin = Esplora<LitecoinSpace>;

/// litecoinspace.org.
#[derive(Debug)]
pub struct LitecoinSpace;

impl Service for LitecoinSpace {
    const RATE_ADVICE: &'static str = "litecoinspace.org does not publish its limits: lower the \
        provider's `limits`, or use an instance of your own";
    const BAN: Option<Duration> = Some(Duration::from_mins(10));
    const DERIVES: bool = false;

    fn canonical(address: &str, network: &str) -> Result<String, Error> {
        address::canonical(address, address::network(network)?)
    }

    fn check_network(network: &str) -> Result<(), Error> {
        address::network(network).map(|_| ())
    }
}

scanhost_plugin_api::export_plugin!(Litecoin, "plugin.json");
