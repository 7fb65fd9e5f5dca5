//! A host without a network: the services over a function from request to answer.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use scanhost_abi::types::{AbiError, CallContext, HttpRequest, HttpResponse, LogLevel};
use scanhost_abi::{BoxFuture, HostServices, RVec, Tuple2};

use crate::stopwatch::Stopwatch;

/// What an upstream says: an answer of any status, or the failure of the transport.
pub type Answer = Result<HttpResponse, AbiError>;

/// What answers requests.
pub type Upstream = Arc<dyn Fn(&HttpRequest) -> Answer + Send + Sync>;

/// Where the wall clock of an [`OfflineHost`] starts: 2026-11-21.
const EPOCH_MS: i64 = 1_795_219_200_000;
/// Longest wait for a wake-up that comes from another thread.
const WAKE_MAX: Duration = Duration::from_secs(2);

/// The services of a host whose only upstream is a function. Time stands still unless a provider
/// sleeps, or somebody [advances](Self::advance) it.
pub struct OfflineHost {
    upstream: Upstream,
    /// How often the answer to a request pends, by the number of the request.
    pends: Box<dyn Fn(usize) -> u32 + Send + Sync>,
    now_ms: AtomicU64,
    slept_ms: AtomicU64,
    open: AtomicUsize,
    log: Mutex<Vec<String>>,
    sent: Mutex<Vec<HttpRequest>>,
}

/// A call that waits for something that nobody will ever tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

/// A future that was driven to its end.
#[derive(Clone, Copy, Debug)]
pub struct Driven<T> {
    /// What it ended with.
    pub output: T,
    /// The longest of its polls.
    pub longest_poll: Duration,
}

// === impl OfflineHost ===

impl OfflineHost {
    /// A host over `upstream`; every request pends once, so that every await is really one.
    #[must_use]
    pub fn new(upstream: Upstream) -> Self {
        Self::with_pends(upstream, |_| 1)
    }

    /// The same, with the answer to the n-th request there after `pends(n)` polls: by it answers
    /// overtake each other.
    pub fn with_pends(
        upstream: Upstream,
        pends: impl Fn(usize) -> u32 + Send + Sync + 'static,
    ) -> Self {
        Self {
            upstream,
            pends: Box::new(pends),
            now_ms: AtomicU64::new(0),
            slept_ms: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            log: Mutex::default(),
            sent: Mutex::default(),
        }
    }

    /// Moves time forward.
    pub fn advance(&self, duration: Duration) {
        self.now_ms.fetch_add(millis(duration), Ordering::SeqCst);
    }

    /// What was logged, oldest first.
    #[must_use]
    pub fn log_lines(&self) -> Vec<String> {
        locked(&self.log).clone()
    }

    /// The requests since the last look, oldest first.
    #[must_use]
    pub fn take_sent(&self) -> Vec<HttpRequest> {
        std::mem::take(&mut *locked(&self.sent))
    }

    /// How long the provider slept, all in all.
    #[must_use]
    pub fn slept(&self) -> Duration {
        Duration::from_millis(self.slept_ms.load(Ordering::SeqCst))
    }

    /// Requests whose answer somebody still holds on to.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl std::fmt::Debug for OfflineHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfflineHost").finish_non_exhaustive()
    }
}

/// Counts a request for as long as its future lives.
struct Open(Arc<OfflineHost>);

impl Open {
    fn new(host: &Arc<OfflineHost>) -> Self {
        host.open.fetch_add(1, Ordering::SeqCst);
        Self(host.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The services as a handle wants them: futures hold on to the host.
#[derive(Clone, Debug)]
pub struct Services(pub Arc<OfflineHost>);

impl HostServices for Services {
    fn http(&self, _call: CallContext, request: HttpRequest) -> BoxFuture<Answer> {
        let host = &self.0;
        let number = {
            let mut sent = locked(&host.sent);
            sent.push(request.clone());
            sent.len() - 1
        };
        let answer = (host.upstream)(&request);
        let pends = (host.pends)(number);
        let open = Open::new(host);
        Box::pin(async move {
            let _open = open;
            for _ in 0..pends {
                yield_once().await;
            }
            answer
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        self.0.advance(duration);
        let slept = millis(duration);
        self.0.slept_ms.fetch_add(slept, Ordering::SeqCst);
        Box::pin(yield_once())
    }

    fn unix_ms(&self) -> i64 {
        let now_ms = self.0.now_ms.load(Ordering::SeqCst);
        EPOCH_MS.saturating_add(i64::try_from(now_ms).unwrap_or(i64::MAX))
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.now_ms.load(Ordering::SeqCst)
    }

    fn log(&self, _level: LogLevel, message: &str) {
        locked(&self.0.log).push(message.to_owned());
    }
}

/// An answer made of its parts.
#[must_use]
pub fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> HttpResponse {
    let headers: RVec<_> = headers
        .iter()
        .map(|(name, value)| Tuple2((*name).into(), (*value).into()))
        .collect();
    HttpResponse {
        status,
        headers,
        body: body.into().into(),
        reserved: [0; 4],
    }
}

/// Runs a future to its end on this thread.
///
/// # Errors
///
/// It waits for something that is not the host's: nothing has woken it within two seconds.
pub fn drive<F: Future>(future: F) -> Result<Driven<F::Output>, Stuck> {
    let unpark = Arc::new(Unpark::new());
    let waker = Waker::from(unpark.clone());
    let mut future = pin!(future);
    let mut longest_poll = Duration::ZERO;
    loop {
        let watch = Stopwatch::start();
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        longest_poll = longest_poll.max(watch.elapsed());
        if let Poll::Ready(output) = polled {
            return Ok(Driven {
                output,
                longest_poll,
            });
        }
        unpark.wait()?;
    }
}

/// Polls a future at most `polls` times, which is as far as it came when it is dropped.
///
/// # Errors
///
/// As for [`drive`].
pub fn drive_for<F: Future + ?Sized>(
    mut future: Pin<&mut F>,
    polls: usize,
) -> Result<Option<F::Output>, Stuck> {
    let unpark = Arc::new(Unpark::new());
    let waker = Waker::from(unpark.clone());
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(Some(output));
        }
        unpark.wait()?;
    }
    Ok(None)
}

struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Unpark {
    fn new() -> Self {
        Self {
            thread: std::thread::current(),
            woken: AtomicBool::new(false),
        }
    }

    /// Until somebody wakes the future; mostly somebody has already.
    fn wait(&self) -> Result<(), Stuck> {
        let watch = Stopwatch::start();
        while !self.woken.swap(false, Ordering::SeqCst) {
            let left = WAKE_MAX.saturating_sub(watch.elapsed());
            if left.is_zero() {
                return Err(Stuck);
            }
            std::thread::park_timeout(left);
        }
        Ok(())
    }
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Pends once.
async fn yield_once() {
    let mut polled = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A panic elsewhere is told elsewhere; what stands here is whole after each line.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
