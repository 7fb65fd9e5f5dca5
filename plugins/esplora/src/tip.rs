//! The chain's tip, read seldom.

use std::sync::Mutex;
use std::time::Duration;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use scanhost_plugin_api::prelude::*;

use crate::service::{Service, ask};
use crate::wire;

/// Longest wait for the tip; a tip that hangs must leave the balance its time.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// The tip as it was last looked at.
///
/// A failed look is remembered as long as a good one: a service that is short of requests is not
/// asked for the tip before every balance.
#[derive(Debug)]
pub(crate) struct Tip {
    max_age: Duration,
    last: Mutex<Option<Look>>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    /// Before the request: the mark was true at this time or later.
    at_ms: u64,
    mark: Mark,
}

impl Tip {
    pub(crate) fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            last: Mutex::default(),
        }
    }

    /// The mark of balances read from now on; empty when the tip cannot be read.
    ///
    /// A remembered tip below `min_height` is looked at anew.
    pub(crate) async fn mark<S: Service>(&self, cx: &Cx, min_height: u64) -> Mark {
        let last = *self.last.lock().expect("no panic while it is held");
        let at_ms = cx.host().monotonic_ms();
        if let Some(Look {
            at_ms: then_ms,
            mark,
        }) = last
        {
            let age = Duration::from_millis(at_ms.saturating_sub(then_ms));
            let behind = mark.height.is_some_and(|height| height < min_height);
            if age < self.max_age && !behind {
                return mark;
            }
        }
        let known = last.map(|look| look.mark).unwrap_or_default();
        let mark = look::<S>(cx, known).await.unwrap_or_else(|error| {
            let message = format!("failed to read the tip, balances go without a height: {error}");
            cx.host().log(LogLevel::WARN, &message);
            Mark::default()
        });
        *self.last.lock().expect("no panic while it is held") = Some(Look { at_ms, mark });
        mark
    }
}

/// Reads the height, and the hash when the height is not that of `known`.
///
/// A block replaced at the same height keeps the replaced one's hash until the next block. Who
/// compares hashes then takes the reading for older than it is, never for newer.
async fn look<S: Service>(cx: &Cx, known: Mark) -> Result<Mark, Error> {
    let timeout = Some(WAIT_MAX.min(cx.deadline() / 4));
    let get = |path: &str| Request {
        timeout,
        ..Request::get(path)
    };
    let height = wire::height(&ask::<S>(cx, get("/blocks/tip/height")).await?)?;
    if known.height == Some(height) && known.block_hash.is_some() {
        return Ok(known);
    }
    let hash = match ask::<S>(cx, get(&format!("/block-height/{height}"))).await {
        Ok(response) => wire::block_hash(&response).and_then(bytes),
        Err(error) => Err(error),
    };
    if let Err(error) = &hash {
        let message = format!("failed to read the hash of the tip {height}: {error}");
        cx.host().log(LogLevel::WARN, &message);
    }
    Ok(Mark {
        height: Some(height),
        block_hash: hash.ok(),
    })
}

/// The bytes in the order in which they are printed.
fn bytes(hash: &str) -> Result<[u8; 32], Error> {
    let hash: BlockHash = hash
        .parse()
        .map_err(|_| Error::malformed("not a block hash"))?;
    let mut bytes = hash.to_byte_array();
    bytes.reverse();
    Ok(bytes)
}
