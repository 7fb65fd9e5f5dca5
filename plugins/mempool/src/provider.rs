//! What sets mempool.space apart.

use std::time::Duration;

use scanhost_esplora::{Esplora, Service};

/// The provider.
pub type Mempool = Esplora<MempoolSpace>;

/// mempool.space.
///
/// The 429 is an HTML page. There is no key, so that a 403 is a ban, which ends by itself. Bursts
/// of parallel connections are neither refused nor answered, they time out: the manifest allows
/// two connections, and a timeout stays a timeout, since one cannot be told from an outage.
#[derive(Debug)]
pub struct MempoolSpace;

impl Service for MempoolSpace {
    const RATE_ADVICE: &'static str = "mempool.space does not publish its limits and bans who \
        ignores them: lower the provider's `limits`, or use an instance of your own";
    // How long a ban lasts is not published; one look in ten minutes does not feed it.
    const BAN: Option<Duration> = Some(Duration::from_mins(10));
}
