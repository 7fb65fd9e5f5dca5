//! The conformance checks, over a service in good order.

use crate::Blockstream;

scanhost_plugin_api::conformance! {
    Provider = Blockstream,
    manifest = "plugin.json",
    sample = scanhost_esplora::bench::sample(),
}
