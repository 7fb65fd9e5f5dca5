//! The `[providers.NAME.options]` table.

use scanhost_plugin_api::prelude::*;

/// There is nothing to set: the chain comes from the chain's `identity`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {}
