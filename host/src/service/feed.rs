//! The newest events in memory, as the bytes that go to every stream.
//!
//! One task follows the ledger and keeps the newest events as ready frames. A stream reads them
//! from here; one that is further behind reads the ledger itself, page by page. So a thousand
//! streams cost one read per commit, and a stream that is not read costs its place in the order
//! and nothing else. `scan_progress` is not stored: it goes to whoever listens at that moment.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::rfc3339;
use crate::ledger::{EventFilter, Ledger, LedgerError, StoredEvent};
use crate::model::{ChainName, PassId};

/// Frames held in memory.
const FRAMES_MAX: usize = 8_192;
/// Bytes of them.
const BYTES_MAX: usize = 8 << 20;
/// Events read from the ledger at once.
pub(super) const PAGE: u32 = 500;
/// Progress that waits for a stream; what is older is out of date.
const PROGRESS_MAX: usize = 64;

/// One event as it goes out.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Grows with every commit; `None` for what is not stored.
    pub(super) id: Option<i64>,
    /// `scan_started`, `balance_changed`.
    pub(super) kind: Arc<str>,
    /// The chain it belongs to.
    pub(super) chain: Option<ChainName>,
    /// The pass it belongs to.
    pub(super) scan: Option<PassId>,
    /// What is not stored comes behind the stored event with this id.
    pub(super) after: i64,
    /// The whole frame with its empty line.
    pub(super) bytes: Bytes,
}

/// Where streams read; clones are the same feed.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ledger: Ledger,
    tail: Mutex<Tail>,
    /// The newest id in the tail.
    newest: watch::Sender<i64>,
    progress: broadcast::Sender<Frame>,
}

/// The newest frames, without a gap: every stored event above `after` is here.
#[derive(Debug)]
struct Tail {
    after: i64,
    frames: VecDeque<Frame>,
    bytes: usize,
}

// === impl Frame ===

impl Frame {
    pub(super) fn new(id: Option<i64>, kind: &str, chain: Option<ChainName>, data: &Value) -> Self {
        let scan = data.get("scan").and_then(Value::as_str);
        // JSON in one line needs no second `data:`.
        let id_line = id.map_or_else(String::new, |id| format!("id: {id}\n"));
        let text = format!("{id_line}event: {kind}\ndata: {data}\n\n");
        Self {
            id,
            kind: kind.into(),
            chain,
            scan: scan.map(PassId::from),
            after: 0,
            bytes: text.into(),
        }
    }

    /// Whether it is the last event of its pass.
    pub(super) fn ends_scan(&self) -> bool {
        matches!(&*self.kind, "scan_complete" | "scan_error")
    }

    fn stored(mut event: StoredEvent) -> Self {
        // Whoever replays wants to know when it was.
        if let Value::Object(fields) = &mut event.data
            && !fields.contains_key("at")
        {
            fields.insert("at".to_owned(), rfc3339(event.at).into());
        }
        Self::new(Some(event.id), &event.kind, event.chain, &event.data)
    }
}

// === impl Feed ===

impl Feed {
    /// A feed that begins with what happens from now on.
    pub(super) fn new(ledger: Ledger) -> Self {
        let newest = *ledger.newest_event().borrow();
        let tail = Tail {
            after: newest,
            frames: VecDeque::new(),
            bytes: 0,
        };
        Self {
            shared: Arc::new(Shared {
                ledger,
                tail: Mutex::new(tail),
                newest: watch::Sender::new(newest),
                progress: broadcast::Sender::new(PROGRESS_MAX),
            }),
        }
    }

    /// Follows the ledger until it is told to stop.
    pub(super) async fn follow(&self, stop: CancellationToken) {
        let mut committed = self.shared.ledger.newest_event();
        loop {
            if let Err(error) = self.catch_up().await {
                // The next commit, or the next look, tries again; streams read the ledger meanwhile.
                tracing::warn!(
                    "the event feed cannot read the store: {}",
                    crate::causes::with_causes(&error)
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = committed.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn catch_up(&self) -> Result<(), LedgerError> {
        loop {
            let after = *self.shared.newest.borrow();
            let filter = EventFilter::default();
            let events = self
                .shared
                .ledger
                .events_after(after, &filter, PAGE)
                .await?;
            let Some(newest) = events.last().map(|event| event.id) else {
                return Ok(());
            };
            {
                let mut tail = self.tail();
                for event in events {
                    tail.push(Frame::stored(event));
                }
            }
            self.shared.newest.send_replace(newest);
        }
    }

    /// Tells the newest id that can be read, and of each newer one.
    pub(super) fn newest(&self) -> watch::Receiver<i64> {
        self.shared.newest.subscribe()
    }

    /// At most a page of frames behind `after`, oldest first, whatever they are about.
    pub(super) async fn frames_after(&self, after: i64) -> Result<Vec<Frame>, LedgerError> {
        if let Some(frames) = self.tail().frames_after(after) {
            return Ok(frames);
        }
        let filter = EventFilter::default();
        let events = self
            .shared
            .ledger
            .events_after(after, &filter, PAGE)
            .await?;
        Ok(events.into_iter().map(Frame::stored).collect())
    }

    /// Tells whoever listens how far a pass is.
    pub(super) fn tell_progress(&self, chain: &ChainName, data: &Value) {
        let frame = Frame {
            after: *self.shared.ledger.newest_event().borrow(),
            ..Frame::new(None, "scan_progress", Some(chain.clone()), data)
        };
        // Nobody listens: fine.
        let _ = self.shared.progress.send(frame);
    }

    /// Whether anybody hears of progress.
    pub(super) fn has_listeners(&self) -> bool {
        self.listeners() > 0
    }

    /// Streams that are open.
    pub(super) fn listeners(&self) -> usize {
        self.shared.progress.receiver_count()
    }

    /// Hears of progress from now on.
    pub(super) fn progress(&self) -> broadcast::Receiver<Frame> {
        self.shared.progress.subscribe()
    }

    fn tail(&self) -> std::sync::MutexGuard<'_, Tail> {
        let tail = self.shared.tail.lock();
        tail.unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Tail ===

impl Tail {
    fn push(&mut self, frame: Frame) {
        self.bytes += frame.bytes.len();
        self.frames.push_back(frame);
        while self.frames.len() > FRAMES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.frames.pop_front() else {
                return;
            };
            self.bytes -= oldest.bytes.len();
            self.after = oldest.id.unwrap_or(self.after);
        }
    }

    /// `None` where the ledger has to be asked.
    fn frames_after(&self, after: i64) -> Option<Vec<Frame>> {
        if after < self.after {
            return None;
        }
        let from = self.frames.partition_point(|frame| frame.id <= Some(after));
        let frames = self.frames.range(from..).take(PAGE as usize);
        Some(frames.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tail_of(after: i64, ids: std::ops::RangeInclusive<i64>) -> Tail {
        let mut tail = Tail {
            after,
            frames: VecDeque::new(),
            bytes: 0,
        };
        for id in ids {
            tail.push(Frame::new(Some(id), "tx_state", None, &json!({})));
        }
        tail
    }

    fn ids(frames: Option<Vec<Frame>>) -> Option<Vec<i64>> {
        frames.map(|frames| frames.iter().filter_map(|frame| frame.id).collect())
    }

    #[test]
    fn what_the_tail_holds_is_read_from_it_and_the_rest_from_the_ledger() {
        let tail = tail_of(10, 11..=13);
        assert_eq!(ids(tail.frames_after(9)), None);
        assert_eq!(ids(tail.frames_after(10)), Some(vec![11, 12, 13]));
        assert_eq!(ids(tail.frames_after(12)), Some(vec![13]));
        assert_eq!(ids(tail.frames_after(13)), Some(vec![]));
    }

    #[test]
    fn the_tail_is_bounded_and_never_has_a_gap() {
        let last = i64::try_from(FRAMES_MAX).unwrap() + 100;
        let tail = tail_of(0, 1..=last);
        assert_eq!(tail.frames.len(), FRAMES_MAX);
        assert_eq!(tail.after, 100);
        assert_eq!(ids(tail.frames_after(99)), None);
        assert_eq!(ids(tail.frames_after(100)).unwrap().first(), Some(&101));
    }

    #[test]
    fn a_frame_is_one_event_of_the_stream() {
        let frame = Frame::new(Some(7), "scan_started", None, &json!({ "label": "a\nb" }));
        let text = std::str::from_utf8(&frame.bytes).unwrap();
        assert_eq!(
            text,
            "id: 7\nevent: scan_started\ndata: {\"label\":\"a\\nb\"}\n\n"
        );
    }
}
