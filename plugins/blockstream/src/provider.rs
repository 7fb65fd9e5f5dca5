//! What sets blockstream.info apart.

use std::time::Duration;

use scanhost_esplora::{Esplora, Service};

/// The provider.
pub type Blockstream = Esplora<BlockstreamInfo>;

/// blockstream.info and its enterprise API.
///
/// The 429 is JSON with a notice of the allowance, and has no `Retry-After`: how long to wait is
/// the host's choice. A 403 is about the key.
#[derive(Debug)]
pub struct BlockstreamInfo;

impl Service for BlockstreamInfo {
    const RATE_ADVICE: &'static str = "blockstream.info is free for 700 requests an hour and \
        500,000 a month: lower the provider's `limits`, or use its enterprise API with `oauth2`";
    const BAN: Option<Duration> = None;
}
