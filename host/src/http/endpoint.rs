//! The base that a provider's requests are built on, and the paths that may be put on it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use super::error::EndpointError;
use super::secret::percent_encode;

/// What stands for the key in an endpoint or a header.
pub(super) const KEY: &str = "{key}";

/// Longest `path_and_query` that a plugin may name, in bytes.
const PATH_MAX: usize = 32 * 1024;

/// Scheme, host and port: what keys belong to and redirects must stay within.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// A provider's `endpoint` as configured: a base URL in which `{key}` may stand for the key.
///
/// `Debug` and `Display` show the origin alone, since keys get pasted into paths.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    // Invariant: a URL of `origin` whatever stands for `{key}`.
    template: String,
    origin: Origin,
    is_loopback: bool,
}

/// Why a plugin's path was refused.
pub(super) type BadPath = &'static str;

// === impl Origin ===

impl Origin {
    /// The origin of `url`; `None` where it has no host or no port.
    pub(super) fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Host name or address in lower case; an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where it is the scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match (self.scheme.as_str(), self.port) {
            ("http", 80) | ("https", 443) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads an endpoint of the configuration.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] says what to change; it quotes nothing of `text`.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        if text.contains(|char: char| char.is_whitespace() || char.is_control() || char == '\\') {
            return Err(EndpointError::Character);
        }
        if text.replace(KEY, "").contains(['{', '}']) {
            return Err(EndpointError::Placeholder);
        }
        let parse = |key: &str| Url::parse(&text.replace(KEY, key));
        let url = parse("k").map_err(|error| {
            // A host of braces alone is the other thing that does not parse.
            if text.contains("://{key}") {
                EndpointError::KeyInHost
            } else {
                EndpointError::NotAUrl(error)
            }
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        let origin = Origin::of(&url).ok_or(EndpointError::Scheme)?;
        // Another key must not make another origin.
        let other = parse("1").ok().as_ref().and_then(Origin::of);
        if other.as_ref() != Some(&origin) {
            return Err(EndpointError::KeyInHost);
        }
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        Ok(Self {
            template: text.to_owned(),
            origin,
            is_loopback,
        })
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether `{key}` is named in it.
    #[must_use]
    pub fn names_key(&self) -> bool {
        self.template.contains(KEY)
    }

    /// Whether its host is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// SHA-256 of the endpoint as written, in hex: tells whether it changed, shows nothing of it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(&self.template))
    }

    /// The base with the key in its place.
    ///
    /// # Errors
    ///
    /// None for a key that is no `.` or `..`: encoded, behind the host, it keeps a URL a URL.
    pub(super) fn base(&self, key: &str) -> Result<Url, url::ParseError> {
        Url::parse(&self.template.replace(KEY, &percent_encode(key)))
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.origin)
    }
}

/// Puts a plugin's `path_and_query` on `base`: `""`, `/path`, `/path?query` or `?query`.
///
/// The path is appended to the base's, the query joins the base's. Everything that could lead
/// elsewhere, also after a server has decoded it once more, is refused.
pub(super) fn join(base: &Url, path_and_query: &str) -> Result<Url, BadPath> {
    if path_and_query.len() > PATH_MAX {
        return Err("is longer than 32 KiB");
    }
    if path_and_query.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err("has a character other than printable ASCII; percent-encode it");
    }
    if path_and_query.contains(['\\', '#']) {
        return Err("has a `\\` or `#`; percent-encode it in a query");
    }
    let (path, query) = path_and_query
        .split_once('?')
        .map_or((path_and_query, None), |(path, query)| (path, Some(query)));
    check_path(path)?;

    let mut url = base.clone();
    if !path.is_empty() {
        url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    }
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        append_query(&mut url, query);
    }
    Ok(url)
}

/// Puts `more` behind the query that `url` has.
pub(super) fn append_query(url: &mut Url, more: &str) {
    let query = match url.query().filter(|query| !query.is_empty()) {
        Some(query) => format!("{query}&{more}"),
        None => more.to_owned(),
    };
    url.set_query(Some(&query));
}

fn check_path(path: &str) -> Result<(), BadPath> {
    if path.is_empty() {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err("must be empty or start with `/` or `?`: it is put on the endpoint");
    }
    if path.starts_with("//") {
        return Err("starts with `//`: it would name another host");
    }
    let mut decoded = path.as_bytes().to_vec();
    loop {
        let is_dots = |segment: &[u8]| {
            let name = segment.split(|&byte| byte == b';').next();
            matches!(name, Some(b"." | b".."))
        };
        if decoded.split(|byte| b"/\\".contains(byte)).any(is_dots) {
            return Err("has a `.` or `..` segment");
        }
        if decoded
            .iter()
            .any(|byte| byte.is_ascii_control() || *byte == b'\\')
        {
            return Err("has an encoded control character or backslash");
        }
        // Some servers decode twice; each round is shorter, so this ends.
        let again: Vec<u8> = percent_decode(&decoded);
        if again.len() == decoded.len() {
            return Ok(());
        }
        decoded = again;
    }
}

pub(super) fn percent_decode(text: &[u8]) -> Vec<u8> {
    let hex = |byte: Option<&u8>| {
        byte.and_then(|&byte| char::from(byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, hex(text.get(at + 1)), hex(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_bases_and_nothing_more() {
        #[track_caller]
        fn check(text: &str, expected: Result<&str, EndpointError>) {
            let origin = Endpoint::parse(text).map(|endpoint| endpoint.origin().to_string());
            assert_eq!(origin, expected.map(str::to_owned), "{text:?}");
        }
        check("https://mempool.space/api", Ok("https://mempool.space"));
        check("https://h:443/", Ok("https://h"));
        check("http://127.0.0.1:8545", Ok("http://127.0.0.1:8545"));
        check("http://[::1]:8545/x", Ok("http://[::1]:8545"));
        check("https://HOST/{key}/v2?k={key}", Ok("https://host"));
        check("ftp://h/", Err(EndpointError::Scheme));
        check("file:///etc/passwd", Err(EndpointError::Scheme));
        check("https://u:p@h/", Err(EndpointError::UserInfo));
        check("https://u@h/", Err(EndpointError::UserInfo));
        check("https://h/#x", Err(EndpointError::Fragment));
        check("https://h/ x", Err(EndpointError::Character));
        check("https://h\\x", Err(EndpointError::Character));
        check("https://h/\r\n", Err(EndpointError::Character));
        check("https://{key}.example/", Err(EndpointError::KeyInHost));
        check("https://{key}/", Err(EndpointError::KeyInHost));
        check(
            "https://h:{key}/",
            Err(EndpointError::NotAUrl(url::ParseError::InvalidPort)),
        );
        check("https://{key}@h/", Err(EndpointError::UserInfo));
        check("https://h/{secret}", Err(EndpointError::Placeholder));
        check(
            "h/api",
            Err(EndpointError::NotAUrl(
                url::ParseError::RelativeUrlWithoutBase,
            )),
        );
        check(
            "https://",
            Err(EndpointError::NotAUrl(url::ParseError::EmptyHost)),
        );
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for (text, expected) in [
            ("http://127.0.0.1/", true),
            ("http://127.8.9.1/", true),
            ("http://[::1]/", true),
            ("http://localhost:80/", true),
            ("http://localhost.example/", false),
            ("http://10.0.0.1/", false),
            ("http://127.0.0.1.example/", false),
        ] {
            assert_eq!(
                Endpoint::parse(text).unwrap().is_loopback(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_key_is_encoded_where_it_is_put() {
        let endpoint = Endpoint::parse("https://h/{key}/rpc?k={key}").unwrap();
        let base = endpoint.base("a/b?c&d e").unwrap();
        let encoded = "a%2Fb%3Fc%26d%20e";
        assert_eq!(
            base.as_str(),
            format!("https://h/{encoded}/rpc?k={encoded}")
        );
    }

    #[test]
    fn paths_are_put_on_the_base() {
        #[track_caller]
        fn check(base: &str, path: &str, expected: &str) {
            let joined = join(&Url::parse(base).unwrap(), path);
            assert_eq!(
                joined.as_ref().map(Url::as_str),
                Ok(expected),
                "{base} + {path}"
            );
        }
        check("https://h/api", "", "https://h/api");
        check("https://h/api/", "", "https://h/api/");
        check("https://h/api", "/address/x", "https://h/api/address/x");
        check("https://h/api/", "/address/x", "https://h/api/address/x");
        check("https://h", "/address/x", "https://h/address/x");
        check("https://h/api", "/a?y=1", "https://h/api/a?y=1");
        check("https://h/v2/api", "?a=1&b=2", "https://h/v2/api?a=1&b=2");
        check(
            "https://h/v2/api?own=1",
            "?a=1",
            "https://h/v2/api?own=1&a=1",
        );
        check(
            "https://h/v2/api?own=1",
            "/x?a=1",
            "https://h/v2/api/x?own=1&a=1",
        );
        check("https://h/v2/api?own=1", "/x", "https://h/v2/api/x?own=1");
        check(
            "https://h/api",
            "/a?u=https://x//..",
            "https://h/api/a?u=https://x//..",
        );
        check("https://h/api", "/a%20b/c%2Fd", "https://h/api/a%20b/c%2Fd");
        check("https://h/api", "/a..b/.c", "https://h/api/a..b/.c");
        check("https://h/api", "/?", "https://h/api/");
    }

    #[test]
    fn paths_cannot_leave_the_base() {
        let base = Url::parse("https://h/api").unwrap();
        for bad in [
            "address/x",
            "https://evil.example/",
            "//evil.example/x",
            "/\\evil.example",
            "\\\\evil.example",
            "/..",
            "/../x",
            "/a/../../x",
            "/a/..?q",
            "/./x",
            "/%2e%2e/x",
            "/%2E./x",
            "/.%2e/x",
            "/%252e%252e/x",
            "/a/..;v=1/x",
            "/a%2f..%2fx",
            "/a%5c..%5cx",
            "/a%5cx",
            "/a%0d%0aHost:%20evil",
            "/a%00",
            "/a\r\nHost: evil",
            "/a\nb",
            "/a b",
            "/a\tb",
            "/a\u{7f}",
            "/ä",
            "/a#b",
            "@evil.example/",
            ":80/",
            "?q=\r\n",
        ] {
            let joined = join(&base, bad);
            assert!(joined.is_err(), "{bad:?} gave {joined:?}");
        }
        assert!(join(&base, &format!("/{}", "a".repeat(PATH_MAX))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_joined_stays_under_the_base(
            path in r"[/?a]?([/.%2eEfF5cC?:@;a\\#&=]|%2e|\.\.|//|\PC){0,20}",
        ) {
            let base = Url::parse("https://h/api?own=1").unwrap();
            if let Ok(url) = join(&base, &path) {
                proptest::prop_assert_eq!(Origin::of(&url), Origin::of(&base));
                let rest = url.path().strip_prefix("/api").unwrap();
                proptest::prop_assert!(rest.is_empty() || rest.starts_with('/'));
                proptest::prop_assert!(url.query().unwrap().starts_with("own=1"));
                proptest::prop_assert_eq!(url.username(), "");
            }
        }
    }

    #[test]
    fn pasted_keys_do_not_show() {
        let endpoint = Endpoint::parse("https://h/pasted?k=pasted").unwrap();
        let other = Endpoint::parse("https://h/pasted?k=other").unwrap();
        assert_ne!(endpoint.fingerprint(), other.fingerprint());
        assert_eq!(
            format!("{endpoint} {endpoint:?}"),
            "https://h Endpoint(https://h)"
        );
    }
}
