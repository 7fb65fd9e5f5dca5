//! The host's HTTP client: the only thing in the product that opens sockets to providers.
//!
//! A plugin names a path under its provider's endpoint; everything else is the host's. The rules
//! (paths, keys, caps, deadlines, redirects, counting) live in [`HttpClient`], above the
//! [`Transport`] seam, so that they hold for real sockets, for in-process upstreams and for
//! recorded traffic alike.
//!
//! **Invariant:** a secret reaches the wire of its own origin and nothing else. Errors, logs,
//! `Debug` output, answers handed to a plugin and redirects to another origin never carry one.

mod client;
mod credential;
mod endpoint;
mod error;
mod oauth2;
mod observer;
mod provider;
mod request;
mod retry_after;
mod rig;
mod secret;
mod transport;

#[cfg(test)]
mod tests;

pub use client::HttpClient;
pub use credential::{Credential, KeyPlace};
pub use endpoint::{Endpoint, Origin};
pub use error::{EndpointError, HttpError, NewHttpClientError, NoToken};
pub use oauth2::ClientCredentials;
pub use observer::{Attempt, AttemptCounter, AttemptEnd, HttpObserver};
pub use provider::{DEFAULT_BODY_MAX, DEFAULT_CONNECTIONS, DEFAULT_TIMEOUT, ProviderHttp};
pub use request::{Method, Request, Response, UnknownMethod};
pub use retry_after::{RETRY_AFTER_MAX, parse as parse_retry_after};
pub use rig::Rig;
pub use secret::Redactor;
pub use transport::{
    Chunks, ProxySetting, ReqwestTransport, Transport, TransportError, TransportSettings,
    WireRequest, WireResponse,
};
