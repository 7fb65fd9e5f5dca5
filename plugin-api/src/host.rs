//! What the host does for a plugin.

use std::time::Duration;

use scanhost_abi::HostHandle;
use scanhost_abi::host::settle;
use scanhost_abi::types::{CallContext, LogLevel};

use crate::{Error, Request, Response};

/// The host, as a provider sees it from [`open`](crate::Provider::open) on.
#[derive(Clone, Debug)]
pub struct Host {
    handle: HostHandle,
}

impl Host {
    pub(crate) fn new(handle: HostHandle) -> Self {
        Self { handle }
    }

    /// Writes a line to the host's log, under the provider's name.
    pub fn log(&self, level: LogLevel, message: &str) {
        self.handle.log(level, message);
    }

    /// Wall time in milliseconds since 1970. Never read a clock directly: tests run on virtual
    /// time.
    #[must_use]
    pub fn unix_ms(&self) -> i64 {
        self.handle.unix_ms()
    }

    /// Milliseconds since some moment; never goes back.
    #[must_use]
    pub fn monotonic_ms(&self) -> u64 {
        self.handle.monotonic_ms()
    }
}

/// One call of a provider: what the host does within it.
#[derive(Clone, Debug)]
pub struct Cx {
    host: Host,
    call: CallContext,
}

impl Cx {
    pub(crate) fn new(host: Host, call: CallContext) -> Self {
        Self { host, call }
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// How long the host waited for this call at most, told at its start.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.call.deadline_ms)
    }

    /// Sends a request to the provider's endpoint; whatever its status, the answer is `Ok`.
    ///
    /// The host adds the key, keeps the limits, follows redirects within the origin, and caps the
    /// body (16 MiB by default).
    ///
    /// # Errors
    ///
    /// [`Timeout`](crate::ErrorKind::Timeout) and [`Transport`](crate::ErrorKind::Transport) when
    /// there is no complete answer, [`RateLimited`](crate::ErrorKind::RateLimited) when the limits
    /// leave no room for it soon enough and it was not sent,
    /// [`PluginFault`](crate::ErrorKind::PluginFault) for a path that leaves the endpoint.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let answer = settle(self.host.handle.http(self.call, request.into_abi())).await;
        answer.map(Response::from_abi).map_err(Error::from_abi)
    }

    /// [`send`](Self::send) of a `GET` of `path` below the endpoint: `"/address/…"`, `"?a=b"`.
    ///
    /// # Errors
    ///
    /// As for `send`.
    pub async fn get(&self, path: &str) -> Result<Response, Error> {
        self.send(Request::get(path)).await
    }

    /// Waits. For a pause that the protocol asks for; limits and retries are the host's.
    ///
    /// # Errors
    ///
    /// [`PluginFault`](crate::ErrorKind::PluginFault) when the host shuts down.
    pub async fn sleep(&self, duration: Duration) -> Result<(), Error> {
        settle(self.host.handle.sleep(duration))
            .await
            .map_err(Error::from_abi)
    }
}
