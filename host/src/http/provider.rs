//! What the configuration says of one provider's HTTP.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::credential::Credential;
use super::endpoint::Endpoint;
use super::oauth2::ClientCredentials;
use super::transport::ProxySetting;
use crate::model::ProviderName;

/// Longest wait for a whole answer where the configuration names none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest body in bytes where the configuration names none.
pub const DEFAULT_BODY_MAX: usize = 16 * 1024 * 1024;

/// Requests at a time where the configuration names no number.
pub const DEFAULT_CONNECTIONS: usize = 8;

/// Everything that a client needs to know of its provider.
#[derive(Clone)]
pub struct ProviderHttp {
    /// For logs.
    pub name: ProviderName,
    /// The base of all requests.
    pub endpoint: Endpoint,
    /// Whether an unencrypted endpoint beyond loopback is allowed. Default no.
    pub allow_http: bool,
    /// How the provider knows us.
    pub credential: Credential,
    /// What its tokens are fetched with, where it wants tokens.
    pub oauth2: Option<ClientCredentials>,
    /// Headers of every request, in which `{key}` may stand for the key; they win over a plugin's.
    pub headers: Vec<(String, String)>,
    /// Longest wait for one request, redirects and body included; not for a free connection.
    /// Default [`DEFAULT_TIMEOUT`].
    pub timeout: Duration,
    /// Longest body in bytes. Default [`DEFAULT_BODY_MAX`].
    pub body_max: usize,
    /// Requests at a time; more wait. Default [`DEFAULT_CONNECTIONS`]; 0 is refused.
    pub connections: usize,
    /// Which proxy to use.
    pub proxy: ProxySetting,
    /// PEM file of CA certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

// === impl ProviderHttp ===

impl ProviderHttp {
    /// A provider without a key, everything else at its default.
    #[must_use]
    pub fn new(name: ProviderName, endpoint: Endpoint) -> Self {
        Self {
            name,
            endpoint,
            allow_http: false,
            credential: Credential::None,
            oauth2: None,
            headers: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            body_max: DEFAULT_BODY_MAX,
            connections: DEFAULT_CONNECTIONS,
            proxy: ProxySetting::default(),
            ca_file: None,
        }
    }
}

impl fmt::Debug for ProviderHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header_names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ProviderHttp")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .field("credential", &self.credential)
            .field("oauth2", &self.oauth2)
            .field("headers", &header_names)
            .field("timeout", &self.timeout)
            .field("body_max", &self.body_max)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
