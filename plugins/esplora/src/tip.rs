//! The chain's tip, read seldom.

use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use futures_util::future::{Either, select};
use scanhost_plugin_api::prelude::*;

use crate::service::{Service, ask};
use crate::wire;

/// Requests of a first look: the height, and the hash at it.
pub(crate) const TIP_REQUESTS: u32 = 2;
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
    /// Held while the tip is looked at, so that calls that start together look once.
    turn: futures_util::lock::Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    /// Before the request: the mark was true at this time or later.
    at_ms: u64,
    mark: Mark,
}

/// A tip whose block is known for certain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sure {
    height: u64,
    hash: [u8; 32],
}

impl Tip {
    pub(crate) fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            last: Mutex::default(),
            turn: futures_util::lock::Mutex::default(),
        }
    }

    /// The mark of balances read from now on; empty when the tip cannot be read.
    pub(crate) async fn mark<S: Service>(&self, cx: &Cx) -> Mark {
        if let Some(mark) = self.fresh(self.last(), cx.host().monotonic_ms()) {
            return mark;
        }
        let _turn = self.turn(cx).await;
        let at_ms = cx.host().monotonic_ms();
        let last = self.last();
        if let Some(mark) = self.fresh(last, at_ms) {
            return mark;
        }
        let known = last.map(|look| look.mark).unwrap_or_default();
        let mark = match look::<S>(cx, known).await {
            Ok((height, hash)) => {
                if let Err(error) = &hash {
                    let message = format!("failed to read the hash of the tip {height}: {error}");
                    cx.host().log(LogLevel::WARN, &message);
                }
                Mark {
                    height: Some(height),
                    block_hash: hash.ok(),
                }
            }
            Err(error) => {
                let message =
                    format!("failed to read the tip, balances go without a height: {error}");
                cx.host().log(LogLevel::WARN, &message);
                Mark::default()
            }
        };
        self.remember(Some(Look { at_ms, mark }));
        mark
    }

    /// The tip with its hash, at `min_height` or above; what is read after it is to be judged by
    /// [`is_still`](Self::is_still).
    pub(crate) async fn sure<S: Service>(&self, cx: &Cx, min_height: u64) -> Result<Sure, Error> {
        let remembered = |now_ms| {
            let sure = self.fresh(self.last(), now_ms).and_then(Sure::of);
            sure.filter(|sure| sure.height >= min_height)
        };
        if let Some(sure) = remembered(cx.host().monotonic_ms()) {
            return Ok(sure);
        }
        let _turn = self.turn(cx).await;
        let at_ms = cx.host().monotonic_ms();
        if let Some(sure) = remembered(at_ms) {
            return Ok(sure);
        }
        let known = self.last().map(|look| look.mark).unwrap_or_default();
        let (height, hash) = look::<S>(cx, known).await.map_err(unsure)?;
        if height < min_height {
            let message = format!("the tip is {height}, not yet {min_height}");
            return Err(Error::new(ErrorKind::Lagging, message));
        }
        let hash = hash.map_err(unsure)?;
        let sure = Sure { height, hash };
        let mark = sure.mark();
        self.remember(Some(Look { at_ms, mark }));
        Ok(sure)
    }

    /// Fails unless the tip is the same block as before: then no balance read in between is of
    /// another.
    pub(crate) async fn is_still<S: Service>(&self, cx: &Cx, before: Sure) -> Result<(), Error> {
        let at_ms = cx.host().monotonic_ms();
        let tip = ask::<S>(cx, get(cx, "/blocks/tip/hash")).await;
        let hash = tip.and_then(|response| wire::block_hash(&response).and_then(bytes));
        let hash = hash.map_err(unsure)?;
        if hash == before.hash {
            let mark = before.mark();
            self.remember(Some(Look { at_ms, mark }));
            return Ok(());
        }
        self.remember(None);
        let message = "a block arrived while reading; ask again";
        Err(Error::new(ErrorKind::Lagging, message))
    }

    /// Who waits in vain looks by itself, long before its deadline.
    async fn turn(&self, cx: &Cx) -> Option<futures_util::lock::MutexGuard<'_, ()>> {
        let patience = pin!(cx.sleep(WAIT_MAX.min(cx.deadline() / 4)));
        match select(self.turn.lock(), patience).await {
            Either::Left((turn, _)) => Some(turn),
            Either::Right(_) => None,
        }
    }

    /// What is remembered, unless it is too old.
    fn fresh(&self, last: Option<Look>, now_ms: u64) -> Option<Mark> {
        let look = last?;
        let age = Duration::from_millis(now_ms.saturating_sub(look.at_ms));
        (age < self.max_age).then_some(look.mark)
    }

    fn last(&self) -> Option<Look> {
        *self.last.lock().expect("no panic while it is held")
    }

    fn remember(&self, look: Option<Look>) {
        *self.last.lock().expect("no panic while it is held") = look;
    }
}

impl Sure {
    fn of(mark: Mark) -> Option<Self> {
        Some(Self {
            height: mark.height?,
            hash: mark.block_hash?,
        })
    }

    /// As a reading bears it.
    pub(crate) fn mark(self) -> Mark {
        Mark {
            height: Some(self.height),
            block_hash: Some(self.hash),
        }
    }
}

/// Without the tip no height is sure, and so no amount that was asked for with one.
fn unsure(error: Error) -> Error {
    Error {
        message: format!("failed to read the tip, which a lowest height needs: {error}"),
        ..error
    }
}

/// The tip must leave the balance its time.
fn get(cx: &Cx, path: &str) -> Request {
    Request {
        timeout: Some(WAIT_MAX.min(cx.deadline() / 4)),
        ..Request::get(path)
    }
}

/// Reads the height, and the hash when the height is not that of `known`.
///
/// A block replaced at the same height keeps the replaced one's hash until the next block. Who
/// compares hashes then takes the reading for older than it is, never for newer.
async fn look<S: Service>(cx: &Cx, known: Mark) -> Result<(u64, Result<[u8; 32], Error>), Error> {
    let height = wire::height(&ask::<S>(cx, get(cx, "/blocks/tip/height")).await?)?;
    if let (Some(known), Some(hash)) = (known.height, known.block_hash)
        && known == height
    {
        return Ok((height, Ok(hash)));
    }
    let hash = ask::<S>(cx, get(cx, &format!("/block-height/{height}"))).await;
    let hash = hash.and_then(|response| wire::block_hash(&response).and_then(bytes));
    Ok((height, hash))
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
