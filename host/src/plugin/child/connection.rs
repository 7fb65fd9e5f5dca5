//! One child that runs: its calls under way, its requests, and its end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scanhost_abi::types as abi;
use scanhost_abi::{HostServices as _, RResult};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::frames::{Confinement, FRAME_MAX, Launch, Refused, ToChild, ToHost};
use super::link::{Inbox, Link, LinkError};
use super::process::{End, Process};
use crate::model::Class;
use crate::plugin::CallError;
use crate::plugin::runtime::POLL_MAX;
use crate::plugin::services::Services;

/// Requests that a child may have open at once; more is no translator of anything.
const REQUESTS_MAX: usize = 1_024;

/// The host's side of a child.
#[derive(Debug)]
pub(super) struct Connection {
    link: Link,
    services: Arc<Services>,
    io: Handle,
    state: Mutex<State>,
    is_good: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, Waiting>,
    requests: HashMap<u64, Request>,
    /// The ping that is not answered yet.
    pinged: Option<Instant>,
    /// A call was called back since the last ping: its drop may hang.
    called_back: bool,
    confined: Option<oneshot::Sender<Confinement>>,
    opened: Option<oneshot::Sender<RResult<abi::Caps, Refused>>>,
    death: Option<Death>,
}

/// A call that waits for its answer.
#[derive(Debug)]
struct Waiting {
    /// The call that its requests name.
    call: Option<u64>,
    answer: oneshot::Sender<Result<ToHost, CallError>>,
}

/// A request of a call, under way.
#[derive(Debug)]
struct Request {
    call: u64,
    task: AbortHandle,
}

/// How a child ended.
#[derive(Clone, Debug)]
pub(super) struct Death {
    /// When.
    pub(super) at: Instant,
    /// How, for a person.
    pub(super) message: String,
    /// It had answered a call before.
    pub(super) was_good: bool,
}

/// What a child says before it can be asked.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) confined: oneshot::Receiver<Confinement>,
    pub(super) opened: oneshot::Receiver<RResult<abi::Caps, Refused>>,
}

// === impl Connection ===

impl Connection {
    /// Launches a plugin in a child that was just started, and tends it until it ends or `stop`.
    pub(super) fn begin(
        (process, stream): (Process, UnixStream),
        launch: Launch,
        services: Arc<Services>,
        io: &Handle,
        stop: CancellationToken,
    ) -> (Arc<Self>, Beginning) {
        let (confined, when_confined) = oneshot::channel();
        let (opened, when_opened) = oneshot::channel();
        let state = State {
            confined: Some(confined),
            opened: Some(opened),
            ..State::default()
        };
        let connection = Arc::new(Self {
            link: Link::new(stream),
            services,
            io: io.clone(),
            state: Mutex::new(state),
            is_good: AtomicBool::new(false),
        });
        let memory_max = launch.memory_max;
        let is_short = connection.link.send(&ToChild::Launch { launch }).is_ok();
        debug_assert!(is_short, "options and manifest are read from small files");
        io.spawn(connection.clone().tend(process, memory_max, stop));
        let beginning = Beginning {
            confined: when_confined,
            opened: when_opened,
        };
        (connection, beginning)
    }

    /// How it ended, if it has.
    pub(super) fn death(&self) -> Option<Death> {
        self.lock().death.clone()
    }

    /// Takes note of a good answer.
    pub(super) fn answered_well(&self) {
        self.is_good.store(true, Ordering::Release);
    }

    /// Asks the child, and calls the question back when the future is dropped.
    pub(super) async fn ask(
        &self,
        call: Option<u64>,
        question: impl FnOnce(u64) -> ToChild,
    ) -> Result<ToHost, CallError> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut state = self.lock();
            if let Some(death) = &state.death {
                return Err(CallError::new(Class::PluginFault, &*death.message));
            }
            state.next += 1;
            let id = state.next;
            state.waiting.insert(id, Waiting { call, answer });
            id
        };
        let _question = Question {
            connection: self,
            id,
            call,
        };
        if self.link.send(&question(id)).is_err() {
            let message = format!("the call is larger than {} MiB", FRAME_MAX / (1024 * 1024));
            return Err(CallError::new(Class::TooLarge, message));
        }
        answered.await.unwrap_or_else(|_| {
            let message = "the plugin's process is no longer needed";
            Err(CallError::new(Class::Cancelled, message))
        })
    }

    async fn tend(self: Arc<Self>, process: Process, memory_max: u64, stop: CancellationToken) {
        let end = tokio::select! {
            end = self.follow() => End::Link(end),
            end = self.link.drive() => End::Link(end),
            () = self.watch() => End::Hung,
            () = stop.cancelled() => End::Dropped,
        };
        let message = process.end(&end, memory_max).await;
        if !matches!(end, End::Dropped) {
            let provider = self.services.provider.as_str();
            tracing::warn!(provider, "provider `{provider}`: {message}");
        }
        self.die(message);
    }

    async fn follow(self: &Arc<Self>) -> LinkError {
        let mut inbox = Inbox::default();
        loop {
            let frame = match inbox.next(&self.link).await {
                Ok(frame) => frame,
                Err(error) => return error,
            };
            match frame {
                ToHost::Confined { confinement } => {
                    let confined = self.lock().confined.take();
                    let _ = confined.map(|confined| confined.send(confinement));
                }
                ToHost::Opened { outcome } => {
                    let opened = self.lock().opened.take();
                    let _ = opened.map(|opened| opened.send(outcome));
                }
                ToHost::Validated { id, .. }
                | ToHost::Identified { id, .. }
                | ToHost::Balanced { id, .. }
                | ToHost::Derived { id, .. } => {
                    let waiting = self.lock().waiting.remove(&id);
                    // One that was called back a moment ago is answered by nobody's wish.
                    if let Some(waiting) = waiting {
                        let _ = waiting.answer.send(Ok(frame));
                    }
                }
                ToHost::Http { id, call, request } => self.request(id, call, request),
                ToHost::HttpDropped { id } => {
                    if let Some(request) = self.lock().requests.remove(&id) {
                        request.task.abort();
                    }
                }
                ToHost::Log { level, message } => self.services.log(level, &message),
                ToHost::Pong {} => self.lock().pinged = None,
            }
        }
    }

    /// Returns when the child does not get to its frames for as long as a poll may take.
    async fn watch(&self) {
        let mut ticks = tokio::time::interval(POLL_MAX / 10);
        loop {
            ticks.tick().await;
            let is_asked = {
                let mut state = self.lock();
                match state.pinged {
                    Some(pinged) if pinged.elapsed() > POLL_MAX => return,
                    Some(_) => false,
                    None if state.waiting.is_empty() && !state.called_back => false,
                    None => {
                        state.pinged = Some(Instant::now());
                        state.called_back = false;
                        true
                    }
                }
            };
            if is_asked {
                // It has no fields to be too long by.
                let _ = self.link.send(&ToChild::Ping {});
            }
        }
    }

    /// Serves a request of a call that is under way.
    fn request(self: &Arc<Self>, id: u64, call: u64, request: abi::HttpRequest) {
        let mut state = self.lock();
        let is_under_way = state.waiting.values().any(|it| it.call == Some(call));
        // Known to the lock before it can end.
        let begun = if !is_under_way {
            Err(Services::outside())
        } else if state.requests.len() >= REQUESTS_MAX {
            let message = format!("more than {REQUESTS_MAX} requests at once");
            Err(abi::AbiError::new(abi::ErrorKind::PLUGIN_FAULT, message))
        } else {
            self.services.request(call, request)
        };
        let (open, exchange) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                drop(state);
                return self.answer(id, Err(error));
            }
        };
        let connection = self.clone();
        let task = self.io.spawn(async move {
            let answer = exchange.await;
            drop(open);
            connection.lock().requests.remove(&id);
            connection.answer(id, answer);
        });
        let task = task.abort_handle();
        // An id that is used twice is the child's fault, and its loss.
        if let Some(before) = state.requests.insert(id, Request { call, task }) {
            before.task.abort();
        }
    }

    fn answer(&self, id: u64, answer: Result<abi::HttpResponse, abi::AbiError>) {
        let answer = answer.into();
        if self.link.send(&ToChild::Answered { id, answer }).is_err() {
            let message = "the answer is too long to be passed on";
            let error = abi::AbiError::new(abi::ErrorKind::MALFORMED, message);
            let answer = RResult::RErr(error);
            let _ = self.link.send(&ToChild::Answered { id, answer });
        }
    }

    /// Fails what is under way. One death is one fault, however many calls it takes with it: the
    /// others say when to come again, which counts against nobody.
    fn die(&self, message: String) {
        let (waiting, requests) = {
            let mut state = self.lock();
            state.death = Some(Death {
                at: Instant::now(),
                message: message.clone(),
                was_good: self.is_good.load(Ordering::Acquire),
            });
            state.confined = None;
            state.opened = None;
            let waiting = std::mem::take(&mut state.waiting);
            (waiting, std::mem::take(&mut state.requests))
        };
        for request in requests.into_values() {
            request.task.abort();
        }
        let mut retry_after = None;
        for waiting in waiting.into_values() {
            let error = CallError {
                retry_after,
                ..CallError::new(Class::PluginFault, &*message)
            };
            let _ = waiting.answer.send(Err(error));
            retry_after = Some(super::place::BACKOFF_MIN);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is under way; when nobody waits for its answer any more, it and its requests end.
struct Question<'a> {
    connection: &'a Connection,
    id: u64,
    call: Option<u64>,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let mut state = self.connection.lock();
        let is_open = state.waiting.remove(&self.id).is_some();
        state.called_back |= is_open;
        if let Some(call) = self.call {
            state.requests.retain(|_, request| {
                let is_of_it = request.call == call;
                if is_of_it {
                    request.task.abort();
                }
                !is_of_it
            });
        }
        drop(state);
        if is_open {
            let _ = self.connection.link.send(&ToChild::Cancel { id: self.id });
        }
    }
}
