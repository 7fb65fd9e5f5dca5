//! What can go wrong, in closed lists; no message carries a secret or a whole URL.

use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::Origin;
use crate::gate::pacer::PacedOut;
use crate::model::Class;

/// Why an endpoint of the configuration cannot be used.
///
/// Quotes nothing of the endpoint, in which a key may have been pasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute URL.
    #[error("the endpoint is not a URL ({0}); write it as `https://host/path`")]
    NotAUrl(url::ParseError),
    /// Neither http nor https.
    #[error("the endpoint must start with `https://` or `http://`")]
    Scheme,
    /// `user:password@`.
    #[error("the endpoint must not contain a user or password; use `api_key` or `headers`")]
    UserInfo,
    /// `#…`.
    #[error("the endpoint must not contain `#`")]
    Fragment,
    /// White space, a control character or a backslash.
    #[error("the endpoint contains white space, a control character or a backslash")]
    Character,
    /// The key would be in DNS queries and TLS handshakes.
    #[error("`{{key}}` must stand behind the host, in the endpoint's path or query")]
    KeyInHost,
    /// Braces that are not `{key}`.
    #[error("the endpoint has braces other than `{{key}}`")]
    Placeholder,
}

/// Why a client cannot be made from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum NewHttpClientError {
    /// `{key}` without a key.
    #[error("`{{key}}` is named in {place}, but there is no `api_key`")]
    MissingKey {
        /// `endpoint` or `headers.NAME`.
        place: String,
    },
    /// A key that nothing uses.
    #[error(
        "the plugin has no place for an `api_key`; name `{{key}}` in `endpoint` or in a header, or \
         remove the key"
    )]
    KeyWithoutPlace,
    /// A key that cannot be one.
    #[error("the `api_key` {why}")]
    BadKey {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A header that cannot be sent.
    #[error("header `{name}` {why}")]
    BadHeader {
        /// Its name as configured.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Keys and answers in clear text over a network.
    #[error("{origin} is not encrypted; use https, or set `allow_http = true`")]
    PlainHttp {
        /// The endpoint's origin.
        origin: Origin,
    },
    /// `connections = 0`.
    #[error("`connections` is 0, so no request could ever be sent; set it to 1 or more")]
    NoConnections,
    /// The client's secret in clear text over a network.
    #[error("`token_url` at {origin} is not encrypted; use https, or set `allow_http = true`")]
    PlainTokenUrl {
        /// The token server's origin.
        origin: Origin,
    },
    /// A token URL that is none.
    #[error("`token_url` is not a URL that tokens can be fetched from")]
    TokenUrl,
    /// The token's header is taken.
    #[error(
        "`oauth2` and {other} both set `Authorization`; remove one of them, or send the key \
         elsewhere with `{{key}}`"
    )]
    TwoAuthorizations {
        /// What else sets it: `headers`, `api_key`.
        other: &'static str,
    },
    /// The CA file cannot be read.
    #[error("failed to read `ca_file` {}", path.display())]
    ReadCaFile {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The CA file has no usable certificate.
    #[error("`ca_file` {} holds no PEM certificate", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
    },
    /// The proxy cannot be used.
    #[error("`proxy` is not a URL such as `http://host:3128`")]
    Proxy,
    /// TLS or the client itself could not be set up.
    #[error(
        "failed to set up the HTTP client: {message}; when CA certificates are missing, install \
         the system's (`ca-certificates`) or set `ca_file`"
    )]
    SetUp {
        /// One line without secrets.
        message: String,
    },
}

/// Why a token server gave no token. No message quotes what might be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// It took too long.
    #[error("it did not answer within {after:?}")]
    Timeout {
        /// The limit that was reached.
        after: Duration,
    },
    /// No connection, no TLS, or an answer that broke off.
    #[error("{message}")]
    Transport {
        /// One line without secrets.
        message: String,
    },
    /// It failed.
    #[error("it failed with HTTP {status}")]
    Failed {
        /// 500 or more.
        status: u16,
    },
    /// It asks to be left alone.
    #[error("it asks for a pause with HTTP {status}")]
    Busy {
        /// 429, or 503 with `Retry-After`.
        status: u16,
        /// How long, where it said.
        retry_after: Option<Duration>,
    },
    /// It does not know us.
    #[error(
        "it refuses the client credentials (HTTP {status}{}{words}); check `client_id`, \
         `client_secret` and `scope` of `oauth2`",
        if words.is_empty() { "" } else { ": " }
    )]
    Refused {
        /// 400, 401 or 403.
        status: u16,
        /// One line of its own, without secrets; may be empty.
        words: String,
    },
    /// It wants to be asked elsewhere; the secret does not go there.
    #[error("it redirects to {to}; if that is right, change `token_url`")]
    Redirect {
        /// Where to: scheme, host and port.
        to: String,
    },
    /// Its answer makes no sense.
    #[error("it answered with HTTP {status}, {why}; check `token_url`")]
    Malformed {
        /// The status.
        status: u16,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The host is shutting down.
    #[error("the fetch was given up")]
    Abandoned,
}

/// Why a request has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It was not sent: the pacer has no room for it soon enough. Says nothing of the provider.
    #[error("{origin}: {cause}")]
    PacedOut {
        /// Whom it was for.
        origin: Origin,
        /// Why, and until when.
        cause: PacedOut,
    },
    /// It was not sent, or not again: there is no token for it.
    #[error("failed to fetch an OAuth2 token from {origin}: {cause}")]
    NoToken {
        /// Who gives the tokens.
        origin: Origin,
        /// Why it gave none.
        cause: NoToken,
    },
    /// Connect, headers and body together took too long.
    #[error("{origin} did not answer within {after:?}")]
    Timeout {
        /// Whom we waited for.
        origin: Origin,
        /// The limit that was reached.
        after: Duration,
    },
    /// No connection, no TLS, or an answer that broke off.
    #[error("failed to talk to {origin}: {message}")]
    Transport {
        /// Whom we talked to.
        origin: Origin,
        /// One line without secrets.
        message: String,
        /// The answer's status, when it broke off after it.
        status: Option<u16>,
    },
    /// The answer is longer than allowed.
    #[error("{origin} answered with more than {max} bytes")]
    BodyTooLarge {
        /// Who answered.
        origin: Origin,
        /// The limit in bytes.
        max: usize,
        /// The answer's status.
        status: u16,
    },
    /// The plugin named a path that leaves its endpoint or is none.
    #[error("the plugin asked for path {path:?}, which {why}")]
    BadPath {
        /// The path as asked for, shortened.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The plugin set a header that it must not set or that is none.
    #[error("the plugin set header {name:?}, which {why}")]
    BadHeader {
        /// The name as asked for, shortened.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A chain of redirects within the origin that does not end.
    #[error("{origin} redirected more than {max} times")]
    TooManyRedirects {
        /// Who redirects.
        origin: Origin,
        /// How many were followed.
        max: usize,
    },
    /// A redirect to another origin, which was not followed.
    #[error(
        "{origin} redirects to {to}, which is another origin; if that is right, change `endpoint`"
    )]
    RedirectElsewhere {
        /// Who redirects.
        origin: Origin,
        /// Where to: scheme, host and port.
        to: String,
    },
    /// Injected, or as it was recorded.
    #[error("{message}")]
    Drill {
        /// What it counts as.
        class: Class,
        /// One line without secrets.
        message: String,
    },
}

// === impl NoToken ===

impl NoToken {
    fn class(&self) -> Class {
        match self {
            Self::Timeout { .. } => Class::Timeout,
            Self::Transport { .. } | Self::Redirect { .. } => Class::Transport,
            Self::Failed { .. } => Class::ServerError,
            Self::Busy { .. } => Class::RateLimited,
            Self::Refused { .. } => Class::Unauthorized,
            Self::Malformed { .. } => Class::Malformed,
            Self::Abandoned => Class::Cancelled,
        }
    }

    fn http_status(&self) -> Option<u16> {
        match self {
            Self::Failed { status }
            | Self::Busy { status, .. }
            | Self::Refused { status, .. }
            | Self::Malformed { status, .. } => Some(*status),
            Self::Timeout { .. }
            | Self::Transport { .. }
            | Self::Redirect { .. }
            | Self::Abandoned => None,
        }
    }
}

// === impl HttpError ===

impl HttpError {
    /// The class that breaker, output and metrics use.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::NoToken { cause, .. } => cause.class(),
            Self::Timeout { .. } => Class::Timeout,
            Self::Transport { .. }
            | Self::TooManyRedirects { .. }
            | Self::RedirectElsewhere { .. } => Class::Transport,
            Self::BodyTooLarge { .. } => Class::Malformed,
            Self::BadPath { .. } | Self::BadHeader { .. } => Class::PluginFault,
            Self::PacedOut { .. } => Class::RateLimited,
            Self::Drill { class, .. } => *class,
        }
    }

    /// The status of the answer that failed, where one came.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Self::NoToken { cause, .. } => cause.http_status(),
            Self::Transport { status, .. } => *status,
            Self::BodyTooLarge { status, .. } => Some(*status),
            Self::Timeout { .. }
            | Self::PacedOut { .. }
            | Self::BadPath { .. }
            | Self::BadHeader { .. }
            | Self::TooManyRedirects { .. }
            | Self::RedirectElsewhere { .. }
            | Self::Drill { .. } => None,
        }
    }

    /// How long whoever gives no token asks to be left alone, where it said.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoToken {
                cause: NoToken::Busy { retry_after, .. },
                ..
            } => *retry_after,
            _ => None,
        }
    }
}
