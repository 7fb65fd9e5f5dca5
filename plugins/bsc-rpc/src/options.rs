//! The `[providers.NAME.options]` table.

use alloy::primitives::Address;
use scanhost_evm::parse_address;
use scanhost_plugin_api::prelude::*;

const MULTICALL3: &str = "0xcA11bde05977b3631167028862bE2a173976CA11";

/// What an operator may set.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Most cells in one call; canaries and decimals come on top. Default 1000.
    #[schemars(range(min = 1, max = 4000))]
    pub(crate) batch: u32,
    /// Address of the Multicall3 contract, or `off`.
    pub(crate) multicall: String,
    /// Most calls in one JSON-RPC batch, where there is no Multicall3; two of them are canaries.
    /// Below 3 the calls are sent one by one. Default 100.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) rpc_batch: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch: 1000,
            multicall: MULTICALL3.to_owned(),
            rpc_batch: 100,
        }
    }
}

impl Options {
    /// Where Multicall3 is; `None` is off.
    pub(crate) fn multicall(&self) -> Result<Option<Address>, Error> {
        if self.multicall == "off" {
            return Ok(None);
        }
        parse_address(&self.multicall).map(Some).map_err(|error| {
            Error::new(
                ErrorKind::PluginFault,
                format!(
                    "option `multicall` is `{}`: {error}; give the contract's address or \"off\"",
                    self.multicall
                ),
            )
        })
    }
}
