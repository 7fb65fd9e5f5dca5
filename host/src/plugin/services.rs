//! The host's services for one provider: the only way out that a plugin has.
//!
//! Nothing here runs on the plugin's thread: a request is a task of the host's I/O runtime, and
//! what the plugin holds is a receiver that aborts the task when it is dropped.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use scanhost_abi::types as abi;
use scanhost_abi::{BoxFuture, HostServices, RVec, Tuple2};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::clock::SharedClock;
use crate::gate::RequestSlots;
use crate::http::{Attempt, HttpClient, HttpObserver, Method, Request};
use crate::model::{Class, ProviderName};

/// What one call has done over HTTP.
#[derive(Debug)]
pub(super) struct Traffic {
    /// Requests that the plugin waits for right now.
    open: AtomicU32,
    /// Real attempts, redirect hops included.
    attempts: AtomicU32,
    slots: RequestSlots,
}

impl Traffic {
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Acquire)
    }
}

impl HttpObserver for Traffic {
    fn started(&self) {
        self.attempts.fetch_add(1, Ordering::AcqRel);
    }

    fn finished(&self, _attempt: &Attempt<'_>) {}
}

/// The calls of one provider that are under way, by their id.
#[derive(Debug, Default)]
pub(super) struct Calls {
    next: AtomicU64,
    under_way: Mutex<HashMap<u64, Arc<Traffic>>>,
}

/// A call under way; its requests are refused once this is dropped.
#[derive(Debug)]
pub(super) struct CallGuard {
    pub(super) id: u64,
    pub(super) traffic: Arc<Traffic>,
    calls: Arc<Calls>,
}

impl Calls {
    pub(super) fn begin(self: &Arc<Self>, slots: RequestSlots) -> CallGuard {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let traffic = Arc::new(Traffic {
            open: AtomicU32::new(0),
            attempts: AtomicU32::new(0),
            slots,
        });
        self.lock().insert(id, traffic.clone());
        CallGuard {
            id,
            traffic,
            calls: self.clone(),
        }
    }

    fn get(&self, id: u64) -> Option<Arc<Traffic>> {
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Traffic>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.id);
    }
}

/// The services themselves.
pub(super) struct Services {
    pub(super) provider: ProviderName,
    pub(super) client: Arc<HttpClient>,
    pub(super) clock: SharedClock,
    pub(super) start: Instant,
    pub(super) io: Handle,
    pub(super) calls: Arc<Calls>,
}

impl HostServices for Services {
    fn http(
        &self,
        call: abi::CallContext,
        request: abi::HttpRequest,
    ) -> BoxFuture<Result<abi::HttpResponse, abi::AbiError>> {
        let (open, exchange) = match self.request(call.call, request) {
            Ok(begun) => begun,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let exchange = self.on_io(exchange);
        Box::pin(async move {
            let _open = open;
            exchange.await.unwrap_or_else(|| {
                let message = "the host is shutting down";
                Err(abi::AbiError::new(abi::ErrorKind::CANCELLED, message))
            })
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let sleep = self.on_io(async move { tokio::time::sleep(duration).await });
        Box::pin(async move {
            let _: Option<()> = sleep.await;
        })
    }

    fn unix_ms(&self) -> i64 {
        self.clock.unix_ms()
    }

    fn monotonic_ms(&self) -> u64 {
        let since = self.clock.now().saturating_duration_since(self.start);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn log(&self, level: abi::LogLevel, message: &str) {
        let provider = self.provider.as_str();
        let message = self.client.redactor().redact_line(message);
        match level {
            abi::LogLevel::ERROR => tracing::error!(provider, "{message}"),
            abi::LogLevel::WARN => tracing::warn!(provider, "{message}"),
            abi::LogLevel::INFO => tracing::info!(provider, "{message}"),
            abi::LogLevel::DEBUG => tracing::debug!(provider, "{message}"),
            _ => tracing::trace!(provider, "{message}"),
        }
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

impl Services {
    /// A request of a call that is under way: it is open from now on, and sent by the future, which
    /// wants a runtime of the host.
    pub(super) fn request(
        &self,
        call: u64,
        request: abi::HttpRequest,
    ) -> Result<
        (
            OpenRequest,
            impl Future<Output = Result<abi::HttpResponse, abi::AbiError>> + Send + use<>,
        ),
        abi::AbiError,
    > {
        let traffic = self.calls.get(call).ok_or_else(Self::outside)?;
        let client = self.client.clone();
        let open = OpenRequest::new(&traffic);
        let exchange = async move { exchange(&client, request, &traffic).await };
        Ok((open, exchange))
    }

    /// What a request gets that belongs to no call.
    pub(super) fn outside() -> abi::AbiError {
        let message = "a request outside of any call that is under way";
        abi::AbiError::new(abi::ErrorKind::PLUGIN_FAULT, message)
    }

    /// Runs `work` as a task of the I/O runtime that ends when the returned future is dropped.
    fn on_io<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send + 'static {
        let task = AbortOnDrop(self.io.spawn(work));
        async move {
            let mut task = task;
            (&mut task.0).await.ok()
        }
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Counts a request as open for as long as the plugin waits for it.
pub(super) struct OpenRequest(Arc<Traffic>);

impl OpenRequest {
    fn new(traffic: &Arc<Traffic>) -> Self {
        traffic.open.fetch_add(1, Ordering::AcqRel);
        Self(traffic.clone())
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn exchange(
    client: &HttpClient,
    request: abi::HttpRequest,
    traffic: &Traffic,
) -> Result<abi::HttpResponse, abi::AbiError> {
    let method = match request.method {
        abi::HttpMethod::GET => Method::Get,
        abi::HttpMethod::POST => Method::Post,
        other => {
            let message = format!(
                "HTTP method number {} is none that this host knows",
                other.0
            );
            return Err(abi::AbiError::new(abi::ErrorKind::PLUGIN_FAULT, message));
        }
    };
    let headers = request.headers.into_iter();
    let request = Request {
        method,
        path_and_query: request.path.into_string(),
        headers: headers
            .map(|pair| (pair.0.into_string(), pair.1.into_string()))
            .collect(),
        body: request.body.into_vec(),
        timeout: (request.timeout_ms != 0).then(|| Duration::from_millis(request.timeout_ms)),
        body_max: None,
        weight: u32::try_from(request.reserved[abi::HTTP_REQUEST_WEIGHT]).unwrap_or(u32::MAX),
        slots: Some(traffic.slots.clone()),
    };
    let response = client.send(request, traffic).await.map_err(|error| {
        let kind = match error.class() {
            Class::Timeout => abi::ErrorKind::TIMEOUT,
            Class::Transport => abi::ErrorKind::TRANSPORT,
            Class::ServerError => abi::ErrorKind::SERVER_ERROR,
            Class::RateLimited => abi::ErrorKind::RATE_LIMITED,
            Class::Unauthorized => abi::ErrorKind::UNAUTHORIZED,
            Class::Cancelled => abi::ErrorKind::CANCELLED,
            Class::PluginFault => abi::ErrorKind::PLUGIN_FAULT,
            _ => abi::ErrorKind::MALFORMED,
        };
        let retry_after_ms = error.retry_after().unwrap_or_default().as_millis();
        abi::AbiError {
            http_status: error.http_status().unwrap_or(0),
            retry_after_ms: u64::try_from(retry_after_ms).unwrap_or(u64::MAX),
            ..abi::AbiError::new(kind, error.to_string())
        }
    })?;
    // Either form of the header reaches the plugin as seconds: the host has the clock.
    let retry_after = response
        .retry_after
        .map(|delay| delay.as_secs().max(1).to_string());
    let headers: RVec<_> = response
        .headers
        .into_iter()
        .filter(|(name, _)| name != "retry-after")
        .chain(retry_after.map(|seconds| ("retry-after".to_owned(), seconds)))
        .map(|(name, value)| Tuple2(name.into(), value.into()))
        .collect();
    Ok(abi::HttpResponse {
        status: response.status,
        headers,
        body: response.body.into(),
        reserved: [0; 4],
    })
}
