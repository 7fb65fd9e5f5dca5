//! OAuth2 client credentials (RFC 6749, 4.4): a token that is fetched, kept in memory, renewed.
//!
//! One token serves all requests of a client. Whoever needs one while it is being fetched waits for
//! that fetch, so that many callers make one request for a token. Some time before the token's end
//! the next request has a new one fetched beside it and goes out with the present one, so that a
//! token server that is away for a moment is noticed by nobody.
//!
//! Id and secret travel in the form's body, which every server of this grant reads; not as HTTP
//! Basic. They belong to the origin of `token_url` and the token to the one of `endpoint`: a
//! redirect of the token server is not followed, wherever it leads. Requests for tokens are no
//! requests of the provider: they take no slot of its pacer and are not counted as its attempts.

mod answer;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{self, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument as _, debug, debug_span, warn};
use url::Url;
use url::form_urlencoded::Serializer;

use super::credential::USER_AGENT;
use super::endpoint::{Endpoint, Origin};
use super::error::NoToken;
use super::request::Method;
use super::secret::Redactor;
use super::transport::{Transport, TransportError, WireRequest, header_value};
use crate::clock::SharedClock;
use crate::model::ProviderName;

/// Longest answer that a token can be in, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// A token is renewed when a fifth of its life is left, and at most this long before its end.
const MARGIN_MAX: Duration = Duration::from_secs(60);

/// How long after a failed renewal the next one is tried, while the present token holds.
const RENEW_AGAIN: Duration = Duration::from_secs(5);

/// What proves to a token server who asks.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// Where tokens are fetched.
    pub token_url: Endpoint,
    /// Who asks.
    pub client_id: SecretString,
    /// Whether nobody may see the id either.
    pub hides_id: bool,
    /// What proves it.
    pub client_secret: SecretString,
    /// Sent where the server wants one.
    pub scope: Option<String>,
}

/// A token that lets its bearer in.
pub(super) struct Token {
    /// The value of `Authorization`, marked sensitive.
    header: HeaderValue,
    /// When the next one is fetched; `None` where nobody knows when it ends.
    renewed_at: Option<Instant>,
    /// When it ends; `None` is when the server says so.
    ends: Option<Instant>,
}

/// The tokens of one client; dropping it ends a fetch that is under way.
pub(super) struct Tokens {
    shared: Arc<Shared>,
}

struct Shared {
    provider: ProviderName,
    origin: Origin,
    url: Url,
    form: SecretString,
    timeout: Duration,
    transport: Arc<dyn Transport>,
    redactor: Redactor,
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    fetch: Option<Fetch>,
    renew_again: Option<Instant>,
}

type Outcome = Result<Arc<Token>, NoToken>;

/// A fetch under way. Its task takes it out of the state before it tells the outcome.
struct Fetch {
    outcome: watch::Receiver<Option<Outcome>>,
    task: AbortHandle,
}

// === impl Token ===

impl Token {
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    fn holds(&self, now: Instant) -> bool {
        self.ends.is_none_or(|ends| now < ends)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.renewed_at.is_some_and(|at| at <= now)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

// === impl Tokens ===

impl Tokens {
    /// Fetches nothing yet. The secret, and each token later, is told to `redactor`.
    pub(super) fn new(
        provider: ProviderName,
        credentials: &ClientCredentials,
        timeout: Duration,
        transport: Arc<dyn Transport>,
        redactor: Redactor,
        clock: SharedClock,
    ) -> Result<Self, url::ParseError> {
        let id = credentials.client_id.expose_secret();
        let secret = credentials.client_secret.expose_secret();
        redactor.learn(secret);
        if credentials.hides_id {
            redactor.learn(id);
        }
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", id)
            .append_pair("client_secret", secret);
        if let Some(scope) = &credentials.scope {
            form.append_pair("scope", scope);
        }
        Ok(Self {
            shared: Arc::new(Shared {
                provider,
                origin: credentials.token_url.origin().clone(),
                url: credentials.token_url.base("")?,
                form: form.finish().into(),
                timeout,
                transport,
                redactor,
                clock,
                state: Mutex::default(),
            }),
        })
    }

    /// Whose the secret is.
    pub(super) fn origin(&self) -> &Origin {
        &self.shared.origin
    }

    /// A token for a request that has to be answered before `deadline`; never the `refused` one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the fetch to those who wait for it too, and to the next request.
    pub(super) async fn get(&self, deadline: Instant, refused: Option<&Arc<Token>>) -> Outcome {
        let now = self.shared.clock.now();
        let mut fetched = {
            let mut state = self.shared.state();
            // Several requests find the same token refused; only the first one throws it away.
            state
                .token
                .take_if(|token| refused.is_some_and(|refused| Arc::ptr_eq(token, refused)));
            match state.token.clone().filter(|token| token.holds(now)) {
                Some(token) => {
                    let may_try = state.renew_again.is_none_or(|again| again <= now);
                    if token.is_due(now) && may_try {
                        let _: watch::Receiver<_> = self.fetch(&mut state);
                    }
                    return Ok(token);
                }
                None => self.fetch(&mut state),
            }
        };
        match timeout_at(deadline, fetched.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or(Err(NoToken::Abandoned)),
            // Its task is gone, and with it the runtime.
            Ok(Err(_)) => Err(NoToken::Abandoned),
            Err(_) => Err(NoToken::Timeout {
                after: deadline.saturating_duration_since(now),
            }),
        }
    }

    /// Begins a fetch, unless one is under way.
    fn fetch(&self, state: &mut State) -> watch::Receiver<Option<Outcome>> {
        let under_way = state.fetch.as_ref().filter(|it| !it.task.is_finished());
        if let Some(fetch) = under_way {
            return fetch.outcome.clone();
        }
        let (teller, outcome) = watch::channel(None);
        let shared = self.shared.clone();
        let span = debug_span!("oauth2", provider = %shared.provider, server = %shared.origin);
        let task = tokio::spawn(
            async move {
                let fetched = shared.fetch().await;
                shared.keep(&fetched);
                teller.send_replace(Some(fetched));
            }
            .instrument(span),
        );
        state.fetch = Some(Fetch {
            outcome: outcome.clone(),
            task: task.abort_handle(),
        });
        outcome
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        if let Some(fetch) = &self.shared.state().fetch {
            fetch.task.abort();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of the state when a fetch has ended.
    fn keep(&self, fetched: &Outcome) {
        let now = self.clock.now();
        let mut state = self.state();
        state.fetch = None;
        match fetched {
            Ok(token) => {
                state.token = Some(token.clone());
                state.renew_again = None;
                debug!("fetched a token");
            }
            Err(cause) => {
                state.renew_again = Some(now + RENEW_AGAIN);
                let token = state.token.as_ref().filter(|token| token.holds(now));
                match token.and_then(|token| token.ends) {
                    // Whoever waits tells it.
                    None => debug!(%cause, "fetched no token"),
                    Some(ends) => {
                        let left_s = ends.saturating_duration_since(now).as_secs();
                        let provider = &self.provider;
                        warn!(
                            %cause,
                            left_s,
                            "failed to renew the OAuth2 token of provider `{provider}`, which ends \
                             in {left_s} s"
                        );
                    }
                }
            }
        }
    }

    async fn fetch(&self) -> Outcome {
        // A life is counted from here: the server's clock started later.
        let asked = self.clock.now();
        let answered = timeout(self.timeout, self.exchange()).await;
        let (status, headers, body) = answered.unwrap_or(Err(NoToken::Timeout {
            after: self.timeout,
        }))?;
        if matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Err(NoToken::Redirect {
                to: self.origin_of(header_value(&headers, "location")),
            });
        }
        let now_s = self.clock.unix_ms().div_euclid(1000);
        let granted = answer::read(status, &headers, &body, now_s, &self.redactor)?;
        self.redactor.learn_passing(granted.token.expose_secret());
        let bearer = format!("Bearer {}", granted.token.expose_secret());
        let mut header = HeaderValue::from_str(&bearer).map_err(|_| NoToken::Malformed {
            status,
            why: "with a token that no header can hold",
        })?;
        header.set_sensitive(true);
        let renewed_in = granted.life.map(|life| life - MARGIN_MAX.min(life / 5));
        Ok(Arc::new(Token {
            header,
            renewed_at: renewed_in.map(|life| asked + life),
            ends: granted.life.map(|life| asked + life),
        }))
    }

    /// One request for a token: status, headers, body.
    async fn exchange(&self) -> Result<(u16, Vec<(String, String)>, Vec<u8>), NoToken> {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, form);
        let broken = |error: TransportError| NoToken::Transport {
            message: self.redactor.redact_line(&error.0),
        };
        let request = WireRequest {
            method: Method::Post,
            url: self.url.clone(),
            headers,
            body: self.form.expose_secret().as_bytes().to_vec(),
            safe_url: format!("{}/…", self.origin),
        };
        let mut response = self.transport.send(request).await.map_err(broken)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.body.next().await {
            body.extend(chunk.map_err(broken)?);
            if body.len() > ANSWER_MAX {
                return Err(NoToken::Malformed {
                    status: response.status,
                    why: "in too many bytes",
                });
            }
        }
        Ok((response.status, response.headers, body))
    }

    fn origin_of(&self, location: Option<&str>) -> String {
        let target = location.and_then(|location| self.url.join(location).ok());
        let origin = target.as_ref().and_then(Origin::of);
        let to = origin.map_or_else(
            || "a place that is no URL".to_owned(),
            |origin| origin.to_string(),
        );
        self.redactor.redact_line(&to)
    }
}
