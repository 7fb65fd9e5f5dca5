//! The conformance checks, over a service in good order.

use crate::Mempool;

scanhost_plugin_api::conformance! {
    Provider = Mempool,
    manifest = "plugin.json",
    sample = scanhost_esplora::bench::sample(),
}
