//! URLs: where providers are, and the proxies and token servers on the way.

use std::fmt;

use url::{Host, Url};

use super::leaf::{Leaf, quoted};
use super::reader::Item;
use super::secret::{Secret, names_a_secret};

/// What stands for the provider's key in an endpoint or a header.
pub const KEY_PLACEHOLDER: &str = "{key}";

/// The base on which a provider's requests are built, as written: it may hold `{key}`, never a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    text: String,
    url: Url,
}

impl Endpoint {
    /// As written, with `{key}` where the key goes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port: what limits are counted by and what redirects must not leave.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether the key is put into the URL itself.
    #[must_use]
    pub fn holds_key(&self) -> bool {
        self.text.contains(KEY_PLACEHOLDER)
    }

    /// Whether plain `http://` leads to it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Endpoint {
    type Err = String;

    /// What is wrong with the text; the message repeats nothing that may be a secret.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(format!(
                "has the scheme `{}`; it must be https:// (http:// on loopback)",
                url.scheme()
            ));
        }
        if url.host_str().is_none_or(|host| host.contains(['{', '%'])) {
            return Err("has no host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "holds a user or a password; a secret must not stand in the file, \
                 send it with `headers` or `api_key`"
                    .to_owned(),
            );
        }
        if url.fragment().is_some() {
            return Err("has a `#` part, which is never sent".to_owned());
        }
        let secret = url
            .query_pairs()
            .find(|(name, value)| names_a_secret(name) && value != KEY_PLACEHOLDER);
        if let Some((name, _)) = secret {
            return Err(format!(
                "holds a secret in `{name}`; write `{name}={{key}}` and api_key = {{ env = \"NAME\" }}"
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            url,
        })
    }
}

impl Leaf for Endpoint {
    fn read(item: &Item<'_>) -> Option<Self> {
        let Some(text) = item.text() else {
            return item.expected("a URL");
        };
        match text.parse() {
            Ok(endpoint) => Some(endpoint),
            Err(wrong) => item.wrong(wrong),
        }
    }

    fn shown(&self) -> String {
        quoted(&self.text)
    }
}

/// A proxy for one provider: a URL, or a secret that holds one with user and password.
#[derive(Clone)]
pub enum Proxy {
    /// Written in the file, without user and password.
    Url(Url),
    /// Kept elsewhere.
    Secret(Secret),
}

impl Proxy {
    /// The URL, for the one place that connects to it.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Url(url) => url.as_str(),
            Self::Secret(secret) => secret.expose(),
        }
    }

    /// The secret, where it is one.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Url(_) => None,
            Self::Secret(secret) => Some(secret),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Leaf for Proxy {
    fn read(item: &Item<'_>) -> Option<Self> {
        let Some(text) = item.text().filter(|text| !text.trim().starts_with('{')) else {
            return Secret::read(item).map(Self::Secret);
        };
        let url = match Url::parse(text) {
            Ok(url) if url.has_host() => url,
            Ok(_) => return item.wrong("is not the URL of a proxy: it has no host"),
            Err(error) => return item.wrong(format_args!("is not the URL of a proxy: {error}")),
        };
        if !["http", "https", "socks5", "socks5h"].contains(&url.scheme()) {
            return item.wrong(format_args!(
                "has the scheme `{}`; a proxy is http://, https:// or socks5://",
                url.scheme()
            ));
        }
        if holds_secret(&url) && !item.is_override() {
            return item.wrong(
                "holds a password, which must not stand in the file; write { env = \"NAME\" } \
                 with the whole URL in it",
            );
        }
        Some(Self::Url(url))
    }

    fn shown(&self) -> String {
        match self {
            Self::Url(url) => quoted(&without_secrets(url)),
            Self::Secret(secret) => secret.shown(),
        }
    }
}

/// Whether a URL leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Whether a URL carries a secret: a password, or a parameter whose name says so.
pub(super) fn holds_secret(url: &Url) -> bool {
    url.password().is_some() || url.query_pairs().any(|(name, _)| names_a_secret(&name))
}

/// `url` with its secrets hidden.
pub(super) fn without_secrets(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() && shown.set_password(Some("***")).is_err() {
        return format!("{}:***", url.scheme());
    }
    if url.query_pairs().any(|(name, _)| names_a_secret(&name)) {
        let pairs = url.query_pairs().map(|(name, value)| {
            let value = if names_a_secret(&name) {
                "***".into()
            } else {
                value
            };
            (name, value)
        });
        shown.query_pairs_mut().clear().extend_pairs(pairs);
    }
    shown.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_web_url_without_secrets() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        };
        check("blockstream.info/api", "is not a URL");
        check("ftp://a.example", "has the scheme `ftp`");
        check("https://", "is not a URL");
        check("https://{key}.example/", "has no host");
        check(
            "https://me:hunter2@a.example/",
            "holds a user or a password",
        );
        check(
            "https://a.example/?api-key=hunter2",
            "write `api-key={key}`",
        );
        check("https://a.example/#x", "`#` part");
    }

    #[test]
    fn an_endpoint_keeps_its_text() {
        for text in [
            "https://blockstream.info/api",
            "https://mainnet.example/?api-key={key}",
            "http://[::1]:8545",
            "https://a.example/v3/{key}",
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.as_str(), text);
            assert_eq!(endpoint.holds_key(), text.contains("{key}"));
        }
    }

    #[test]
    fn loopback_is_told_by_the_host() {
        let check = |text: &str, expected| {
            assert_eq!(
                text.parse::<Endpoint>().unwrap().is_loopback(),
                expected,
                "{text}"
            );
        };
        check("http://127.0.0.1:8545", true);
        check("http://127.8.8.8/", true);
        check("http://[::1]/", true);
        check("http://localhost:3000/api", true);
        check("http://localhost.example/", false);
        check("http://10.0.0.1/", false);
        check("http://0.0.0.0/", false);
    }
}
