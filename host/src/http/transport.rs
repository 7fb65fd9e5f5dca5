//! The seam under the client: real sockets, an in-process upstream, or recorded traffic.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::endpoint::Endpoint;
use super::error::NewHttpClientError;
use super::provider::ProviderHttp;
use super::request::Method;
use super::secret::Redactor;

/// The parts of a body as they arrive.
pub type Chunks = BoxStream<'static, Result<Vec<u8>, TransportError>>;

/// Carries one request to an upstream and brings its answer: one attempt, no redirects, no retries.
///
/// Deadlines and cancellation come from above, by dropping the future or the body.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends `request`; returns once the headers of the answer are there.
    async fn send(&self, request: WireRequest) -> Result<WireResponse, TransportError>;
}

/// A request as it goes out, with its keys in it.
///
/// A recorder keeps `method`, `safe_url`, `body` and the headers that are not marked sensitive.
#[derive(Clone)]
pub struct WireRequest {
    /// The method.
    pub method: Method,
    /// Where it goes; may contain a key.
    pub url: Url,
    /// Every header but those that follow from URL and body; keys are marked sensitive.
    pub headers: HeaderMap,
    /// The body, empty for none.
    pub body: Vec<u8>,
    /// The URL for people and recordings: the origin, `/…` for the base, what the plugin named.
    pub safe_url: String,
}

/// An answer whose body is still arriving.
pub struct WireResponse {
    /// Status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Chunks,
}

/// The upstream was not reached, or its answer broke off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(pub String);

/// Which proxy carries the requests.
#[derive(Clone, Debug, Default)]
pub enum ProxySetting {
    /// What `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say; never for a loopback endpoint.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Off,
    /// This one; it may carry `user:password@`.
    Url(SecretString),
}

/// What the real transport needs to know of a provider.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// Idle connections that are kept open.
    pub connections: usize,
    /// Which proxy to use.
    pub proxy: ProxySetting,
    /// PEM file of CA certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether anything may be encrypted; otherwise no CA certificates are loaded.
    pub tls: bool,
    /// Whether the endpoint is this machine, which no proxy of the environment stands before.
    pub is_loopback: bool,
}

/// The transport that opens sockets.
pub struct ReqwestTransport {
    client: reqwest::Client,
}

// === impl WireRequest ===

impl fmt::Debug for WireRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireRequest")
            .field("method", &self.method)
            .field("url", &self.safe_url)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

// === impl WireResponse ===

impl WireResponse {
    /// An answer that is there at once; for upstreams in the same process.
    #[must_use]
    pub fn whole(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self {
            status,
            headers,
            body: stream::once(async { Ok(body) }).boxed(),
        }
    }
}

impl fmt::Debug for WireResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

// === impl TransportSettings ===

impl TransportSettings {
    /// The way to `endpoint`, which is the provider's own or its token server.
    pub(super) fn of(config: &ProviderHttp, endpoint: &Endpoint, connections: usize) -> Self {
        let is_loopback = endpoint.is_loopback();
        let has_proxy = matches!(config.proxy, ProxySetting::Url(_));
        Self {
            connections,
            proxy: config.proxy.clone(),
            ca_file: config.ca_file.clone(),
            // A proxy may be behind TLS even where the endpoint is not.
            tls: endpoint.origin().scheme() == "https" || !is_loopback || has_proxy,
            is_loopback,
        }
    }
}

// === impl ReqwestTransport ===

impl ReqwestTransport {
    /// Sets up connections as `settings` say; secrets of the proxy are told to `redactor`.
    ///
    /// # Errors
    ///
    /// The CA file, the proxy or the system's certificates cannot be used.
    pub fn new(
        settings: &TransportSettings,
        redactor: &Redactor,
    ) -> Result<Self, NewHttpClientError> {
        // Redirects are followed above, and an attempt is counted once: no hidden retries.
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .pool_max_idle_per_host(settings.connections);
        match &settings.proxy {
            ProxySetting::Environment if settings.is_loopback => builder = builder.no_proxy(),
            ProxySetting::Environment => {}
            ProxySetting::Off => builder = builder.no_proxy(),
            ProxySetting::Url(url) => builder = builder.proxy(proxy(url, redactor)?),
        }
        if let Some(path) = &settings.ca_file {
            builder = builder.tls_certs_merge(certificates(path)?);
        } else if !settings.tls {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| NewHttpClientError::SetUp {
            message: redactor.redact_line(&chain(error)),
        })?;
        Ok(Self { client })
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client would list its proxies.
        f.debug_struct("ReqwestTransport").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: WireRequest) -> Result<WireResponse, TransportError> {
        let mut builder = self
            .client
            .request(request.method.into(), request.url)
            .headers(request.headers);
        if !request.body.is_empty() {
            builder = builder.body(request.body);
        }
        let response = builder.send().await.map_err(transport_error)?;
        let headers = response.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        Ok(WireResponse {
            status: response.status().as_u16(),
            headers: headers.collect(),
            body: stream::try_unfold(response, |mut response| async {
                let chunk = response.chunk().await.map_err(transport_error)?;
                Ok(chunk.map(|chunk| (Vec::from(chunk), response)))
            })
            .boxed(),
        })
    }
}

/// The first value of an answer's header, its name in lower case.
pub(super) fn header_value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|(own, _)| own == name);
    header.map(|(_, value)| value.as_str())
}

fn proxy(url: &SecretString, redactor: &Redactor) -> Result<reqwest::Proxy, NewHttpClientError> {
    let text = url.expose_secret();
    let url = Url::parse(text).map_err(|_| NewHttpClientError::Proxy)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(NewHttpClientError::Proxy);
    }
    if let Some(password) = url.password() {
        redactor.learn_basic(url.username(), password);
        // Basic authentication sends them decoded.
        let decode = |text: &str| {
            let decoded = super::endpoint::percent_decode(text.as_bytes());
            String::from_utf8_lossy(&decoded).into_owned()
        };
        redactor.learn_basic(&decode(url.username()), &decode(password));
    }
    reqwest::Proxy::all(text).map_err(|_| NewHttpClientError::Proxy)
}

fn certificates(path: &PathBuf) -> Result<Vec<reqwest::Certificate>, NewHttpClientError> {
    let pem = std::fs::read(path).map_err(|source| NewHttpClientError::ReadCaFile {
        path: path.clone(),
        source,
    })?;
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(NewHttpClientError::CaFile { path: path.clone() }),
    }
}

fn transport_error(error: reqwest::Error) -> TransportError {
    TransportError(chain(error))
}

/// What the layers between us and the cause say of themselves, which tells a reader nothing.
const LAYERS: [&str; 4] = [
    "error sending request",
    "client error (Connect)",
    "client error (SendRequest)",
    "error resolving DNS",
];

/// The causes in one line, without the URL, which has the key in it.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut told: Vec<String> = Vec::new();
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(error) = cause {
        let text = error.to_string();
        // Wrappers tend to repeat what they wrap.
        let known = told.iter().any(|earlier| earlier.contains(&text));
        if !known && !LAYERS.contains(&text.as_str()) {
            told.push(text);
        }
        cause = error.source();
    }
    match told.as_slice() {
        [] => error.to_string(),
        told => told.join(": "),
    }
}
