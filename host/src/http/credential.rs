//! How a provider knows its customer, and the key in its place.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::endpoint::{self, BadPath, KEY};
use super::error::NewHttpClientError;
use super::provider::ProviderHttp;
use super::secret::{Redactor, percent_encode};

/// Who we say we are, unless the configuration's headers say otherwise.
pub(super) const USER_AGENT: &str = concat!("scanhost/", env!("CARGO_PKG_VERSION"));

/// Where a provider's key goes, as its plugin's manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyPlace {
    /// Only where the configuration names `{key}`.
    #[default]
    None,
    /// Query parameter of this name.
    Query(String),
    /// This header; the key follows the prefix, `Bearer ` for one. After `Basic ` a key of the form
    /// `user:password` is sent in base64.
    Header(String, String),
    /// One more segment at the end of the endpoint's path.
    Path,
}

/// How a provider knows its customer, besides by an OAuth2 token
/// ([`ClientCredentials`](super::ClientCredentials)).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Credential {
    /// Not at all.
    #[default]
    None,
    /// By a key, put where `{key}` is named in the configuration, else into `place`.
    Key {
        /// The key.
        key: SecretString,
        /// The manifest's place for it.
        place: KeyPlace,
    },
}

/// What every request of a provider starts from, its key put in.
pub(super) struct Placed {
    /// The endpoint.
    base: Url,
    /// The parameter that ends every query.
    query: Option<(String, SecretString)>,
    /// The configuration's headers and the key's.
    pub(super) headers: HeaderMap,
    /// Those of them that hold a secret.
    pub(super) key_headers: Vec<HeaderName>,
}

// === impl Placed ===

impl Placed {
    /// Puts the key where the configuration names `{key}`, else where the manifest says.
    pub(super) fn new(
        config: &ProviderHttp,
        redactor: &Redactor,
    ) -> Result<Self, NewHttpClientError> {
        let (key, place) = match &config.credential {
            Credential::None => (None, &KeyPlace::None),
            Credential::Key { key, place } => (Some(key.expose_secret()), place),
        };
        if let Some(key) = key {
            check_key(key)?;
            learn_key(redactor, key);
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let mut key_headers = Vec::new();
        for (name, template) in &config.headers {
            let header = own_header(name, template, key)?;
            if template.contains(KEY) {
                key_headers.push(header.0.clone());
            } else if may_hold_secret(header.0.as_str()) {
                // Written out in the configuration, which makes it no less a secret.
                redactor.learn(template.rsplit(' ').next().unwrap_or(template));
                key_headers.push(header.0.clone());
            }
            headers.insert(header.0, header.1);
        }

        let mut base = config.endpoint.base(key.unwrap_or_default()).map_err(|_| {
            NewHttpClientError::BadKey {
                why: "makes no URL of the endpoint",
            }
        })?;
        let mut query = None;
        let is_named =
            config.endpoint.names_key() || config.headers.iter().any(|(_, v)| v.contains(KEY));
        match (key, place) {
            (None, _) if config.endpoint.names_key() => {
                return Err(NewHttpClientError::MissingKey {
                    place: "`endpoint`".to_owned(),
                });
            }
            // Without a key the provider is asked without one: many have a free tier.
            (None, _) => {}
            (Some(_), _) if is_named => {}
            (Some(_), KeyPlace::None) => return Err(NewHttpClientError::KeyWithoutPlace),
            (Some(key), KeyPlace::Query(name)) => {
                query = Some((name.clone(), SecretString::from(key)));
            }
            (Some(key), KeyPlace::Header(name, prefix)) => {
                let (name, value) = own_header(name, &format!("{prefix}{KEY}"), Some(key))?;
                key_headers.push(name.clone());
                headers.insert(name, value);
            }
            (Some(key), KeyPlace::Path) => {
                let path = base.path().trim_end_matches('/').to_owned();
                base.set_path(&format!("{path}/{}", percent_encode(key)));
            }
        }

        if config.oauth2.is_some() && headers.contains_key(header::AUTHORIZATION) {
            let named = |(name, _): &(String, String)| name.eq_ignore_ascii_case("authorization");
            let is_own = config.headers.iter().any(named);
            let other = if is_own { "`headers`" } else { "`api_key`" };
            return Err(NewHttpClientError::TwoAuthorizations { other });
        }

        Ok(Self {
            base,
            query,
            headers,
            key_headers,
        })
    }

    /// Whether the endpoint is no more than its origin.
    pub(super) fn is_bare(&self) -> bool {
        self.base.path() == "/" && self.base.query().is_none()
    }

    /// The URL of a plugin's path, with the key at the end of its query where it belongs there.
    pub(super) fn url(&self, path_and_query: &str) -> Result<Url, BadPath> {
        let mut url = endpoint::join(&self.base, path_and_query)?;
        if let Some((name, key)) = &self.query {
            let mut names = url.query_pairs().map(|(name, _)| name);
            if names.any(|own| own.eq_ignore_ascii_case(name)) {
                return Err("names the key's own parameter");
            }
            let key = percent_encode(key.expose_secret());
            let pair = format!("{}={key}", percent_encode(name));
            endpoint::append_query(&mut url, &pair);
        }
        Ok(url)
    }
}

fn check_key(key: &str) -> Result<(), NewHttpClientError> {
    let why = if key.is_empty() {
        "is empty"
    } else if key.contains(char::is_control) {
        "has a line break or another control character"
    } else if matches!(key, "." | "..") {
        "is a path of its own"
    } else if key.trim() != key {
        "begins or ends with a space"
    } else {
        return Ok(());
    };
    Err(NewHttpClientError::BadKey { why })
}

fn learn_key(redactor: &Redactor, key: &str) {
    redactor.learn(key);
    if let Some((user, password)) = key.split_once(':') {
        redactor.learn_basic(user, password);
    }
}

/// A header of the configuration or the manifest, its key put in.
fn own_header(
    name: &str,
    template: &str,
    key: Option<&str>,
) -> Result<(HeaderName, HeaderValue), NewHttpClientError> {
    let bad = |why| NewHttpClientError::BadHeader {
        name: name.to_owned(),
        why,
    };
    let header = HeaderName::from_str(name).map_err(|_| bad("is no header name"))?;
    let is_framing = matches!(
        header.as_str(),
        "connection" | "content-length" | "host" | "te" | "transfer-encoding" | "upgrade"
    );
    if is_framing {
        return Err(bad("is set by the client itself; remove it"));
    }
    let text = match (template.contains(KEY), key) {
        (false, _) => template.to_owned(),
        (true, None) => {
            return Err(NewHttpClientError::MissingKey {
                place: format!("header `{name}`"),
            });
        }
        (true, Some(key)) => {
            let is_basic = template.eq_ignore_ascii_case("basic {key}");
            if is_basic && key.contains(':') {
                format!("Basic {}", STANDARD.encode(key))
            } else {
                template.replace(KEY, key)
            }
        }
    };
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| bad("has a value that is not printable ASCII"))?;
    value.set_sensitive(template.contains(KEY) || may_hold_secret(header.as_str()));
    Ok((header, value))
}

fn may_hold_secret(name: &str) -> bool {
    const WORDS: [&str; 7] = [
        "auth",
        "cookie",
        "credential",
        "key",
        "password",
        "secret",
        "token",
    ];
    WORDS.iter().any(|word| name.contains(word))
}
