//! Drives a provider offline: the host's services over a function from request to response.
//!
//! ```
//! # use scanhost_plugin_api::prelude::*;
//! # use scanhost_plugin_api::test_kit::Kit;
//! # use scanhost_plugin_api::Response;
//! let upstream = |_: Request| {
//!     Ok(Response { status: 200, headers: vec![], body: b"7".to_vec() })
//! };
//! let kit = Kit::new(upstream);
//! let text = kit.run(|cx| async move { Ok(cx.get("/tip").await?.ok()?.text()?.to_owned()) });
//! assert_eq!(text.unwrap(), "7");
//! ```

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use scanhost_abi::types as abi;
use scanhost_abi::{BoxFuture, HostHandle, HostServices, ROption};

pub mod matrix;

use crate::{Amount, Cx, Error, Host, Mark, Provider, Readings, Request, Response, Settings};

/// An upstream: what answers a request, or the failure of the transport.
pub trait Upstream: Fn(Request) -> Result<Response, Error> + Send + Sync + 'static {}

impl<F: Fn(Request) -> Result<Response, Error> + Send + Sync + 'static> Upstream for F {}

/// A host without a network. Time stands still unless a provider sleeps.
pub struct Kit {
    host: Host,
    services: Arc<Services>,
}

struct Services {
    upstream: Box<dyn Upstream>,
    now_ms: AtomicU64,
    log: Mutex<Vec<String>>,
}

impl Kit {
    /// A host whose only upstream is `upstream`.
    #[must_use]
    pub fn new(upstream: impl Upstream) -> Self {
        let services = Arc::new(Services {
            upstream: Box::new(upstream),
            now_ms: AtomicU64::new(0),
            log: Mutex::default(),
        });
        Self {
            host: Host::new(HostHandle::new(services.clone())),
            services,
        }
    }

    /// Opens a provider with options as JSON.
    ///
    /// # Errors
    ///
    /// As [`Provider::open`], and for options that do not fit.
    pub fn open<P: Provider>(
        &self,
        network: &str,
        identity: Option<&str>,
        options: serde_json::Value,
    ) -> Result<P, Error> {
        let settings = serde_json::json!({
            "chain": "test", "provider": "test", "network": network, "identity": identity,
            "options": options,
        });
        let settings: Settings<P::Options> = serde_json::from_value(settings)
            .map_err(|error| Error::new(crate::ErrorKind::PluginFault, error.to_string()))?;
        P::open(self.host.clone(), settings)
    }

    /// Runs a call to its end on this thread.
    ///
    /// # Errors
    ///
    /// Those of the call.
    ///
    /// # Panics
    ///
    /// When the call waits for something that is not the host's: nothing would ever wake it.
    pub fn run<T, F: Future<Output = Result<T, Error>>>(
        &self,
        call: impl FnOnce(Cx) -> F,
    ) -> Result<T, Error> {
        let context = abi::CallContext {
            call: 1,
            deadline_ms: 15_000,
            ..Default::default()
        };
        block_on(call(Cx::new(self.host.clone(), context)))
    }

    /// Moves time forward.
    pub fn advance(&self, duration: Duration) {
        self.services.advance(duration);
    }

    /// What the provider logged, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.services
            .log
            .lock()
            .expect("no panic while logging")
            .clone()
    }
}

impl std::fmt::Debug for Kit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kit").finish_non_exhaustive()
    }
}

/// What a provider answered for one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An amount.
    Known {
        /// The amount in the smallest unit.
        amount: Amount,
        /// The part that is not confirmed yet, where the provider tells.
        pending: Option<i128>,
        /// Where the chain stood.
        mark: Mark,
    },
    /// Not answered, or not understood.
    Unknown(Error),
    /// Not answerable by anyone.
    Invalid(Error),
}

/// What stands in `readings`, in the order in which it was put there, each with the index of its
/// cell.
///
/// # Panics
///
/// For an unknown reading without a reason, which no method of [`Readings`] makes.
#[must_use]
pub fn answers(readings: Readings) -> Vec<(usize, Answer)> {
    let answers = readings.into_abi().into_iter().map(|reading| {
        let set = |flag: u32| reading.flags & flag != 0;
        let answer = if reading.kind == abi::ReadingKind::KNOWN {
            Answer::Known {
                amount: Amount(reading.amount),
                pending: set(abi::READING_HAS_PENDING)
                    .then(|| i128::from_be_bytes(reading.pending)),
                mark: Mark {
                    height: set(abi::READING_HAS_HEIGHT).then_some(reading.height),
                    block_hash: set(abi::READING_HAS_BLOCK_HASH).then_some(reading.block_hash),
                },
            }
        } else {
            let ROption::RSome(error) = reading.error else {
                panic!("an unknown reading without a reason");
            };
            let error =
                Error::from_abi(scanhost_abi::abi_stable::std_types::RBox::into_inner(error));
            match reading.kind {
                abi::ReadingKind::INVALID => Answer::Invalid(error),
                _ => Answer::Unknown(error),
            }
        };
        (reading.cell as usize, answer)
    });
    answers.collect()
}

impl Services {
    fn advance(&self, duration: Duration) {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl HostServices for Services {
    fn http(
        &self,
        _call: abi::CallContext,
        request: abi::HttpRequest,
    ) -> BoxFuture<Result<abi::HttpResponse, abi::AbiError>> {
        let answer = (self.upstream)(Request::from_abi(request));
        Box::pin(async move {
            yield_once().await;
            answer
                .map(Response::into_abi)
                .map_err(|error| error.to_abi())
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        self.advance(duration);
        Box::pin(yield_once())
    }

    fn unix_ms(&self) -> i64 {
        1_795_219_200_000 + i64::try_from(self.now_ms.load(Ordering::SeqCst)).unwrap_or(i64::MAX)
    }

    fn monotonic_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn log(&self, _level: abi::LogLevel, message: &str) {
        self.log
            .lock()
            .expect("no panic while logging")
            .push(message.to_owned());
    }
}

/// Pends once, so that every await of a provider is really one.
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

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread, std::sync::atomic::AtomicBool);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.store(true, Ordering::SeqCst);
            self.0.unpark();
        }
    }
    let unpark = Arc::new(Unpark(std::thread::current(), true.into()));
    let waker = Waker::from(unpark.clone());
    let mut future = pin!(future);
    loop {
        assert!(
            unpark.1.swap(false, Ordering::SeqCst),
            "the call waits for nothing"
        );
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
    }
}
