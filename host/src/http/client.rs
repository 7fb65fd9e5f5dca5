//! One provider's client: paths, keys, limits and counting, over any [`Transport`].

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, debug, debug_span};
use url::Url;

use super::credential::Placed;
use super::endpoint::{Endpoint, Origin};
use super::error::{HttpError, NewHttpClientError};
use super::oauth2::{Token, Tokens};
use super::observer::{AttemptEnd, HttpObserver, OpenAttempt};
use super::provider::ProviderHttp;
use super::request::{Method, Request, Response};
use super::retry_after;
use super::rig::Rig;
use super::secret::Redactor;
use super::transport::{
    ReqwestTransport, Transport, TransportError, TransportSettings, WireRequest, WireResponse,
    header_value,
};
use crate::clock::SharedClock;
use crate::gate::pacer::Slot;
use crate::gate::{Pacer, RequestSlots};
use crate::model::ProviderName;

/// No answer is worth a longer wait, and the clock cannot run over.
const TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);

/// Redirects within the origin that are followed in a row.
const REDIRECTS_MAX: usize = 5;

/// Headers that belong to the connection, to the client or to the key, never to a plugin.
///
/// `accept-encoding` is among them since nothing here decodes.
const RESERVED: [&str; 15] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Sends requests to one provider.
pub struct HttpClient {
    pub(super) name: ProviderName,
    pub(super) origin: Origin,
    placed: Placed,
    tokens: Option<Tokens>,
    timeout: Duration,
    body_max: usize,
    connections: Semaphore,
    pacer: Pacer,
    transport: Arc<dyn Transport>,
    pub(super) watcher: Arc<dyn HttpObserver>,
    rig: Option<Arc<Rig>>,
    pub(super) redactor: Redactor,
    pub(super) clock: SharedClock,
}

// === impl HttpClient ===

impl HttpClient {
    /// A client that opens sockets.
    ///
    /// # Errors
    ///
    /// The configuration cannot work; the message says which setting to change.
    pub fn new(config: ProviderHttp, clock: SharedClock) -> Result<Self, NewHttpClientError> {
        let redactor = Redactor::default();
        let placed = check(&config, &redactor)?;
        let sockets = |endpoint: &Endpoint, connections| {
            let settings = TransportSettings::of(&config, endpoint, connections);
            ReqwestTransport::new(&settings, &redactor)
        };
        let transport = Arc::new(sockets(&config.endpoint, config.connections)?);
        // Connections of its own: the token server is another origin, and one is enough for it.
        let to_tokens: Arc<dyn Transport> = match &config.oauth2 {
            Some(credentials) => Arc::new(sockets(&credentials.token_url, 1)?),
            None => transport.clone(),
        };
        Self::build(config, placed, clock, transport, to_tokens, redactor)
    }

    /// A client over another transport, which carries requests for tokens too; all rules but proxy
    /// and certificates hold as for sockets.
    ///
    /// # Errors
    ///
    /// As [`HttpClient::new`].
    pub fn with_transport(
        config: ProviderHttp,
        clock: SharedClock,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, NewHttpClientError> {
        let redactor = Redactor::default();
        let placed = check(&config, &redactor)?;
        let to_tokens = transport.clone();
        Self::build(config, placed, clock, transport, to_tokens, redactor)
    }

    fn build(
        config: ProviderHttp,
        placed: Placed,
        clock: SharedClock,
        transport: Arc<dyn Transport>,
        to_tokens: Arc<dyn Transport>,
        redactor: Redactor,
    ) -> Result<Self, NewHttpClientError> {
        let tokens = config.oauth2.as_ref().map(|credentials| {
            Tokens::new(
                config.name.clone(),
                credentials,
                config.timeout.min(TIMEOUT_MAX),
                to_tokens,
                redactor.clone(),
                clock.clone(),
            )
        });
        let tokens = tokens.transpose();
        Ok(Self {
            name: config.name,
            origin: config.endpoint.origin().clone(),
            placed,
            tokens: tokens.map_err(|_| NewHttpClientError::TokenUrl)?,
            timeout: config.timeout,
            body_max: config.body_max,
            connections: Semaphore::new(config.connections.min(Semaphore::MAX_PERMITS)),
            pacer: Pacer::unlimited(clock.clone()),
            transport,
            watcher: Arc::new(()),
            rig: None,
            redactor,
            clock,
        })
    }

    /// The client, whose every attempt is told to `watcher` too.
    #[must_use]
    pub fn watched_by(mut self, watcher: Arc<dyn HttpObserver>) -> Self {
        self.watcher = watcher;
        self
    }

    /// The client, in a drill.
    #[must_use]
    pub fn rigged(mut self, rig: Arc<Rig>) -> Self {
        self.rig = Some(rig);
        self
    }

    /// The client, paced by a pacer that others share, instead of one of its own without limits.
    #[must_use]
    pub fn paced_by(mut self, pacer: Pacer) -> Self {
        self.pacer = pacer;
        self
    }

    /// Whom it talks to.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Removes this provider's secrets, also from what a plugin says.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Sends `request` and reads the whole answer; any status is an answer.
    ///
    /// Every attempt, redirects included, waits for a connection and takes a slot of the pacer
    /// first. That wait neither counts as an attempt nor against the timeout: it says nothing of
    /// the provider. Rate answers are told to the pacer at once.
    ///
    /// Where the provider wants a token, the wait for one is a part of the timeout. A 401 has a new
    /// token fetched and the request sent once more, as an attempt of its own.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; after a plugin fault nothing was sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the request, frees the connection and tells `observer`.
    pub async fn send(
        &self,
        request: Request,
        observer: &dyn HttpObserver,
    ) -> Result<Response, HttpError> {
        match &self.rig {
            None => self.send_out(request, observer).await,
            Some(rig) => rig.send(self, request, observer).await,
        }
    }

    /// How long the answer may take: the shorter of what request and operator allow.
    pub(super) fn timeout_of(&self, request: &Request) -> Duration {
        let timeout = request.timeout.unwrap_or(self.timeout);
        timeout.min(self.timeout).min(TIMEOUT_MAX)
    }

    /// [`send`](Self::send) over the network.
    pub(super) async fn send_out(
        &self,
        request: Request,
        observer: &dyn HttpObserver,
    ) -> Result<Response, HttpError> {
        let timeout = self.timeout_of(&request);
        let body_max = request.body_max.unwrap_or(self.body_max).min(self.body_max);
        let weight = request.weight;
        let slots = request.slots.clone();
        let slots = slots.unwrap_or_else(|| RequestSlots::of(&self.pacer));
        let mut wire = self.wire_request(request)?;
        let paced_out = |cause| HttpError::PacedOut {
            origin: self.origin.clone(),
            cause,
        };
        // Fails only when closed, which nobody does.
        let _connection = slots.waiting(self.connections.acquire()).await.ok();
        let _shared_connection = slots.connection().await.map_err(paced_out)?;

        let mut started = self.clock.now();
        // Before a slot is taken, which would be lost without a token.
        self.token(started + timeout, None).await?;
        let mut redirects = 0;
        let mut is_repeated = false;
        loop {
            let asked = self.clock.now();
            let slot = slots.take(weight).await.map_err(paced_out)?;
            // As if the request had begun so much later.
            started += self.clock.now().saturating_duration_since(asked);
            let deadline = started + timeout;
            // The wait for the slot may have been longer than the token's life.
            let token = self.token(deadline, None).await?;
            if let Some(token) = &token {
                wire.headers.insert(AUTHORIZATION, token.header());
            }
            let span = debug_span!(
                "http",
                provider = %self.name,
                method = wire.method.as_str(),
                url = wire.safe_url,
            );
            let mut response = self
                .attempt(wire.clone(), slot, deadline, timeout, body_max, observer)
                .instrument(span)
                .await?;
            if response.status == 401 && !is_repeated && token.is_some() {
                is_repeated = true;
                self.token(deadline, token.as_ref()).await?;
                continue;
            }
            let Some(target) = self.redirect_target(&wire, &response)? else {
                response.elapsed = self.clock.now().saturating_duration_since(started);
                self.clean(&mut response);
                return Ok(response);
            };
            redirects += 1;
            if redirects > REDIRECTS_MAX {
                return Err(HttpError::TooManyRedirects {
                    origin: self.origin.clone(),
                    max: REDIRECTS_MAX,
                });
            }
            wire.safe_url = format!("{}/… (redirect {redirects})", self.origin);
            wire.url = target;
        }
    }

    /// The token for a request, never the `refused` one; none where the provider wants none.
    async fn token(
        &self,
        deadline: Instant,
        refused: Option<&Arc<Token>>,
    ) -> Result<Option<Arc<Token>>, HttpError> {
        let Some(tokens) = &self.tokens else {
            return Ok(None);
        };
        let token = tokens.get(deadline, refused).await;
        token.map(Some).map_err(|cause| HttpError::NoToken {
            origin: tokens.origin().clone(),
            cause,
        })
    }

    /// Everything about a request that the plugin can get wrong.
    fn wire_request(&self, request: Request) -> Result<WireRequest, HttpError> {
        let path = &request.path_and_query;
        let bad_path = |why| HttpError::BadPath {
            path: self.redactor.redact_line(path),
            why,
        };
        let url = self.placed.url(path).map_err(bad_path)?;
        let mut headers = self.placed.headers.clone();
        for (name, value) in &request.headers {
            let bad_header = |why| HttpError::BadHeader {
                name: self.redactor.redact_line(name),
                why,
            };
            let header = HeaderName::from_str(name).map_err(|_| bad_header("is no header name"))?;
            if RESERVED.contains(&header.as_str()) || self.placed.key_headers.contains(&header) {
                return Err(bad_header("belongs to the host"));
            }
            let value = HeaderValue::from_str(value)
                .map_err(|_| bad_header("has a value that is not printable ASCII"))?;
            if self.placed.headers.contains_key(&header) {
                continue; // The operator's word counts.
            }
            headers
                .try_append(header, value)
                .map_err(|_| bad_header("is one too many"))?;
        }
        let mark = if self.placed.is_bare() { "" } else { "/…" };
        Ok(WireRequest {
            method: request.method,
            url,
            headers,
            safe_url: self
                .redactor
                .redact(&format!("{}{mark}{path}", self.origin)),
            body: request.body,
        })
    }

    async fn attempt(
        &self,
        wire: WireRequest,
        slot: Slot,
        deadline: Instant,
        timeout: Duration,
        body_max: usize,
        observer: &dyn HttpObserver,
    ) -> Result<Response, HttpError> {
        let started = self.clock.now();
        let (method, url) = (wire.method, wire.safe_url.clone());
        let observers = [observer, &*self.watcher];
        let mut open = OpenAttempt::start(observers, &self.clock, method, &url);
        let exchange = self.exchange(wire, body_max, &mut open.bytes);
        let outcome = timeout_at(deadline, exchange).await.unwrap_or_else(|_| {
            Err(HttpError::Timeout {
                origin: self.origin.clone(),
                after: timeout,
            })
        });
        let elapsed_ms = self
            .clock
            .now()
            .saturating_duration_since(started)
            .as_millis();
        match &outcome {
            Ok(response) => {
                tell(slot, response);
                open.ended(AttemptEnd::Status(response.status));
                let (status, bytes) = (response.status, open.bytes);
                debug!(status, elapsed_ms, bytes, "answered");
            }
            Err(error) => {
                slot.ended();
                open.ended(AttemptEnd::Failed(error.class()));
                debug!(class = %error.class(), elapsed_ms, %error, "failed");
            }
        }
        outcome
    }

    /// One request and its whole body.
    ///
    /// The status of a refusal counts more than its text: there a body that is too long or breaks
    /// off is cut, so that a 429 keeps its `Retry-After`.
    async fn exchange(
        &self,
        wire: WireRequest,
        body_max: usize,
        bytes: &mut u64,
    ) -> Result<Response, HttpError> {
        let broken = |error: &TransportError, status| HttpError::Transport {
            origin: self.origin.clone(),
            message: self.redactor.redact_line(&error.0),
            status,
        };
        let WireResponse {
            status,
            headers,
            body: mut chunks,
        } = match self.transport.send(wire).await {
            Ok(response) => response,
            Err(error) => return Err(broken(&error, None)),
        };
        let is_refusal = status >= 400;
        let mut truncated = false;
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(_) if is_refusal => {
                    truncated = true;
                    break;
                }
                Err(error) => return Err(broken(&error, Some(status))),
            };
            *bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let room = body_max.saturating_sub(body.len());
            if chunk.len() > room {
                if !is_refusal {
                    return Err(HttpError::BodyTooLarge {
                        origin: self.origin.clone(),
                        max: body_max,
                        status,
                    });
                }
                body.extend_from_slice(&chunk[..room]);
                truncated = true;
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let retry_after = header_value(&headers, "retry-after")
            .and_then(|value| retry_after::parse(value, self.clock.unix_ms().div_euclid(1000)));
        Ok(Response {
            status,
            headers,
            body,
            truncated,
            retry_after,
            elapsed: Duration::ZERO,
        })
    }

    /// Where to ask instead, or that this is the answer.
    ///
    /// Only GET and HEAD follow: a POST that is sent again may act twice.
    fn redirect_target(
        &self,
        wire: &WireRequest,
        response: &Response,
    ) -> Result<Option<Url>, HttpError> {
        if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = header_value(&response.headers, "location");
        let Some(mut target) = location.and_then(|location| wire.url.join(location).ok()) else {
            return Ok(None);
        };
        let origin = Origin::of(&target);
        if origin.as_ref() != Some(&self.origin) {
            let to = origin.map_or_else(|| target.scheme().to_owned(), |origin| origin.to_string());
            return Err(HttpError::RedirectElsewhere {
                origin: self.origin.clone(),
                to: self.redactor.redact_line(&to),
            });
        }
        if wire.method == Method::Post {
            return Ok(None);
        }
        // User information would become an `Authorization` of the server's choice.
        let cleared = target
            .set_username("")
            .and_then(|()| target.set_password(None));
        target.set_fragment(None);
        Ok(cleared.ok().map(|()| target))
    }

    /// Takes keys out of what an answer echoes, before a plugin or a recording sees it.
    fn clean(&self, response: &mut Response) {
        for (_, value) in &mut response.headers {
            *value = self.redactor.redact(value);
        }
        response.body = self
            .redactor
            .redact_body(std::mem::take(&mut response.body));
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("name", &self.name)
            .field("origin", &self.origin)
            .field("timeout", &self.timeout)
            .field("body_max", &self.body_max)
            .finish_non_exhaustive()
    }
}

/// What can be told before anything is set up; the key is told to `redactor`.
fn check(config: &ProviderHttp, redactor: &Redactor) -> Result<Placed, NewHttpClientError> {
    let is_open = |endpoint: &Endpoint| {
        endpoint.origin().scheme() == "http" && !endpoint.is_loopback() && !config.allow_http
    };
    if is_open(&config.endpoint) {
        return Err(NewHttpClientError::PlainHttp {
            origin: config.endpoint.origin().clone(),
        });
    }
    let token_url = config.oauth2.as_ref().map(|it| &it.token_url);
    if let Some(token_url) = token_url.filter(|it| is_open(it)) {
        return Err(NewHttpClientError::PlainTokenUrl {
            origin: token_url.origin().clone(),
        });
    }
    if config.connections == 0 {
        return Err(NewHttpClientError::NoConnections);
    }
    Placed::new(config, redactor)
}

/// Tells the pacer what the answer means for it; what stands in a body of status 200 is for the
/// plugin to find, and reaches the pacer with the call's verdict.
fn tell(slot: Slot, response: &Response) {
    match (response.status, response.retry_after) {
        (429, told) => slot.rate_limited(told),
        (503, Some(told)) => slot.rate_limited(Some(told)),
        (..400, _) => slot.answered(),
        _ => slot.ended(),
    }
}
