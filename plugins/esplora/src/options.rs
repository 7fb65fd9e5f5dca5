//! What the operator may set.

use schemars::JsonSchema;
use serde::Deserialize;

/// Options of a provider that speaks Esplora.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Addresses in one call; each is a request of its own, one after the other.
    #[schemars(range(min = 1, max = 25))]
    pub batch: u32,
    /// Seconds for which the tip, once read, is the height of balances.
    #[schemars(range(min = 1, max = 3600))]
    pub tip_max_age_secs: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch: 1,
            tip_max_age_secs: 30,
        }
    }
}
