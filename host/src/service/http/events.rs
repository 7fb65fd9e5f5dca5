//! `events`: what happens, as it happens, and what happened since an id.
//!
//! A stream is pulled: it reads the next frames when the connection takes more. Whoever does not
//! read costs one place in the order; nothing is dropped, since the store has it all.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use futures_util::stream::unfold;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Params;
use super::guard;
use super::paging::{Page, wanted};
use super::problem::Problem;
use super::views;
use crate::clock::rfc3339;
use crate::ledger::{EventFilter, LedgerError, StoredEvent};
use crate::model::{ChainName, EVENTS, PassId};
use crate::service::app::App;
use crate::service::event;
use crate::service::feed::Frame;
use crate::service::setup::Setup;

/// From one sign of life to the next.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What it looks like; a comment, which clients pass over.
const ALIVE: &[u8] = b": keep-alive\n\n";
/// What comes first: how soon to come back after a broken connection, in milliseconds.
const HELLO: &[u8] = b"retry: 2000\n\n";
/// Ended scans that a stream remembers.
const ENDED_MAX: usize = 64;
/// The one event that is not stored.
const PROGRESS: &str = "scan_progress";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(stream))
        .routes(routes!(log))
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct StreamQuery {
    /// Only these chains', with commas between them.
    chain: Option<String>,
    /// Only these events, with commas between them.
    types: Option<String>,
}

/// What a stream lets through; an empty set is all.
#[derive(Debug, Default)]
struct Filter {
    chains: HashSet<ChainName>,
    kinds: HashSet<String>,
}

struct Stream {
    app: App,
    filter: Filter,
    /// Everything up to here was sent, or was not asked for.
    sent: i64,
    newest: watch::Receiver<i64>,
    setups: watch::Receiver<Arc<Setup>>,
    /// What let it in.
    credential: HeaderMap,
    progress: broadcast::Receiver<Frame>,
    /// Progress that is ahead of what was sent.
    early: Vec<Frame>,
    /// The scans that ended last, of which no progress is told any more.
    ended: VecDeque<PassId>,
    ready: VecDeque<Bytes>,
    alive_at: Instant,
}

/// Events as they happen. `Last-Event-ID` replays what came after that id; without it, or where it
/// is older than what is kept, one `scan_state` per chain comes first.
#[utoipa::path(get, path = "/events", tag = "events",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header,)),
    responses(
        (status = 200, description = "a stream without an end", content_type = "text/event-stream", body = String),
        (status = "4XX", body = Problem)))]
async fn stream(
    State(app): State<App>,
    Params(query): Params<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = Filter::of(&app, query.chain.as_deref(), query.types.as_deref())?;
    let last = last_event_id(&headers)?;
    let mut stream = Stream {
        newest: app.feed().newest(),
        setups: app.setups(),
        credential: guard::credential(&headers),
        progress: app.feed().progress(),
        early: Vec::new(),
        ended: VecDeque::new(),
        filter,
        sent: last.unwrap_or(0),
        ready: VecDeque::from([Bytes::from_static(HELLO)]),
        alive_at: app.clock().now() + KEEP_ALIVE,
        app,
    };
    if !stream.can_go_on_from(last).await? {
        // Of a gap everybody is told, whatever else they asked for.
        stream.begin_with_states(last.is_some()).await?;
    }
    let body = unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), stream))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, "text/event-stream");
    // A proxy that gathers what it forwards would hold events back.
    set(header::HeaderName::from_static("x-accel-buffering"), "no");
    Ok(response)
}

/// Which stored events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    /// Only these chains', with commas between them.
    chain: Option<String>,
    /// Only these events, with commas between them.
    types: Option<String>,
    /// Rows of the page, 1 to 1000; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A stored event.
#[derive(Debug, Serialize, ToSchema)]
struct EventView {
    /// As in the stream.
    id: String,
    /// `scan_started`, `provider_state`, …
    r#type: String,
    /// The chain it belongs to.
    chain: Option<String>,
    /// The scan it belongs to.
    scan: Option<String>,
    /// When it was committed.
    at: String,
    /// What the stream has as `data`.
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

/// What happened, newest first, as far back as it is kept.
#[utoipa::path(get, path = "/events/log", tag = "events", params(LogQuery),
    responses((status = 200, body = Page<EventView>), (status = "4XX", body = Problem)))]
async fn log(
    State(app): State<App>,
    Params(query): Params<LogQuery>,
) -> Result<Json<Page<EventView>>, Problem> {
    let page = wanted::<i64>(query.limit, query.cursor.as_deref())?;
    let filter = Filter::of(&app, query.chain.as_deref(), query.types.as_deref())?;
    let filter = EventFilter {
        chains: filter.chains.into_iter().collect(),
        kinds: filter.kinds.into_iter().collect(),
    };
    let before = page.after.unwrap_or(i64::MAX);
    let rows = app
        .ledger()
        .events_before(before, &filter, page.limit + 1)
        .await?;
    let view = |event: StoredEvent| EventView {
        id: event.id.to_string(),
        r#type: event.kind,
        chain: event.chain.map(|name| name.to_string()),
        scan: event.scan.map(|id| id.to_string()),
        at: rfc3339(event.at),
        data: event.data,
    };
    Ok(Json(Page::of(rows, page.limit, |event| event.id, view)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("?").trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id >= 0 => Ok(Some(id)),
        _ => Err(Problem::bad_request(
            "invalid_last_event_id",
            "`Last-Event-ID` is the `id` of an event, a number; leave it out to begin now",
        )),
    }
}

// === impl Filter ===

impl Filter {
    fn of(app: &App, chains: Option<&str>, kinds: Option<&str>) -> Result<Self, Problem> {
        fn words(list: Option<&str>) -> impl Iterator<Item = &str> {
            let words = list.into_iter().flat_map(|list| list.split(','));
            words.map(str::trim).filter(|word| !word.is_empty())
        }
        let setup = app.setup();
        let mut filter = Self::default();
        for name in words(chains) {
            filter
                .chains
                .insert(views::chain(&setup, name)?.chain.name.clone());
        }
        for kind in words(kinds) {
            if kind != PROGRESS && !EVENTS.contains(&kind) {
                let kinds = EVENTS.into_iter().chain([PROGRESS]);
                let unknown = crate::config::UnknownName::new("event", kind, kinds);
                return Err(Problem::bad_request("unknown_event", unknown.to_string()));
            }
            filter.kinds.insert(kind.to_owned());
        }
        Ok(filter)
    }

    fn lets_chain(&self, frame: &Frame) -> bool {
        match &frame.chain {
            Some(chain) => self.chains.is_empty() || self.chains.contains(chain),
            None => self.chains.is_empty(),
        }
    }

    fn lets(&self, frame: &Frame) -> bool {
        self.lets_chain(frame) && (self.kinds.is_empty() || self.kinds.contains(&*frame.kind))
    }
}

// === impl Stream ===

impl Stream {
    /// Whether everything after `last` is kept still.
    async fn can_go_on_from(&self, last: Option<i64>) -> Result<bool, LedgerError> {
        let Some(last) = last else {
            return Ok(false);
        };
        // The store knows of commits before the feed does.
        let newest = *self.app.ledger().newest_event().borrow();
        if last > newest {
            return Ok(false);
        }
        let oldest = self.app.ledger().oldest_event().await?;
        Ok(oldest.map_or(last == newest, |oldest| last >= oldest - 1))
    }

    /// How each chain stands now, and from there on what happens.
    ///
    /// They take the last ids before the next event: ids grow, and none is given twice. The service
    /// stored one event per chain when it started, so there are as many.
    async fn begin_with_states(&mut self, is_gap: bool) -> Result<(), LedgerError> {
        let newest = *self.app.ledger().newest_event().borrow();
        let setup = self.app.setup();
        let mut frames = Vec::new();
        for name in setup.chains.keys() {
            let data = event::scan_state(self.app.ledger(), name).await?;
            frames.push((name.clone(), data));
        }
        let count = i64::try_from(frames.len()).unwrap_or(0);
        for ((chain, data), place) in frames.into_iter().zip(1..) {
            let id = (newest - count + place).max(0);
            let frame = Frame::new(Some(id), event::SCAN_STATE, Some(chain), &data);
            if self.filter.lets(&frame) || (is_gap && self.filter.lets_chain(&frame)) {
                self.ready.push_back(frame.bytes);
            }
        }
        self.sent = newest;
        Ok(())
    }

    /// What goes out next; `None` at the end of the service.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.take_ready() {
                return Some(bytes);
            }
            if *self.newest.borrow_and_update() > self.sent {
                self.read_on().await?;
                continue;
            }
            tokio::select! {
                biased;
                () = self.app.shutdown().cancelled() => return None,
                // Another configuration may have another token.
                changed = self.setups.changed() => {
                    changed.ok()?;
                    self.may_look()?;
                }
                changed = self.newest.changed() => changed.ok()?,
                told = self.progress.recv() => match told {
                    Ok(frame) if self.filter.lets(&frame) => {
                        self.early.push(frame);
                        self.tell_progress();
                    }
                    // What was missed is out of date.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(self.alive_at) => {
                    self.may_look()?;
                    self.ready.push_back(Bytes::from_static(ALIVE));
                }
            }
        }
    }

    /// `None` where what let the stream in would do so no more: its token was changed, its session
    /// is over.
    fn may_look(&self) -> Option<()> {
        let setup = self.app.setup();
        let service = &setup.loaded.config.service;
        guard::role_of(service, &self.credential, self.app.clock().unix_ms()).map(drop)
    }

    /// Reads the next page of frames and keeps those that were asked for.
    async fn read_on(&mut self) -> Option<()> {
        let newest = *self.newest.borrow();
        let frames = match self.app.feed().frames_after(self.sent).await {
            Ok(frames) => frames,
            Err(error) => {
                // The client comes back with its last id.
                tracing::warn!(
                    "a stream of events ends, since the store cannot be read: {}",
                    crate::causes::with_causes(&error)
                );
                return None;
            }
        };
        let Some(last) = frames.last().and_then(|frame| frame.id) else {
            // The store has nothing more: retention took what was to come.
            self.sent = newest;
            return Some(());
        };
        self.sent = last;
        for frame in frames {
            if frame.ends_scan() {
                self.ended.extend(frame.scan.clone());
            }
            if self.filter.lets(&frame) {
                self.ready.push_back(frame.bytes);
            }
        }
        let too_many = self.ended.len().saturating_sub(ENDED_MAX);
        self.ended.drain(..too_many);
        self.tell_progress();
        Some(())
    }

    /// Sends the progress that has its place behind what was sent: a scan is told to have begun
    /// before how far it is, and nothing comes after its end.
    fn tell_progress(&mut self) {
        let sent = self.sent;
        for frame in self.early.extract_if(.., |frame| frame.after <= sent) {
            if !frame
                .scan
                .as_ref()
                .is_some_and(|scan| self.ended.contains(scan))
            {
                self.ready.push_back(frame.bytes);
            }
        }
    }

    fn take_ready(&mut self) -> Option<Bytes> {
        const TOGETHER: usize = 16 << 10;
        let first = self.ready.pop_front()?;
        self.alive_at = self.app.clock().now() + KEEP_ALIVE;
        if self.ready.is_empty() || first.len() >= TOGETHER {
            return Some(first);
        }
        // Small frames go out together.
        let mut bytes = first.to_vec();
        while let Some(next) = self.ready.front()
            && bytes.len() + next.len() <= TOGETHER
        {
            bytes.extend_from_slice(next);
            self.ready.pop_front();
        }
        Some(bytes.into())
    }
}
