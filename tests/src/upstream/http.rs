//! Requests and responses as plain values.

use std::time::Duration;

/// One HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The verb in upper case: `GET`, `POST`.
    pub method: String,
    /// Path with query, from the server's root: `/bscscan/v2/api?chainid=56`. A full URL is
    /// accepted too; its scheme and host are ignored.
    pub target: String,
    /// Names are compared without regard to case.
    pub headers: Vec<(String, String)>,
    /// Empty when there is none.
    pub body: Vec<u8>,
}

/// One HTTP response, with what the network does to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// In order; always with a `content-type` when there is a body.
    pub headers: Vec<(String, String)>,
    /// The whole body, also when [`Ending::Cut`] lets only a part of it through.
    pub body: Vec<u8>,
    /// How long the server takes before the first byte. The caller waits, nobody here does.
    pub delay: Duration,
    /// How the exchange ends; the caller carries it out.
    pub ending: Ending,
}

/// How an exchange ends on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The whole response arrives.
    #[default]
    Complete,
    /// Nothing ever arrives and the connection stays open.
    Hang,
    /// The connection closes before the first byte.
    Reset,
    /// The connection closes after this many bytes of the body.
    Cut(usize),
}

// === impl Request ===

impl Request {
    /// A `GET` without headers.
    #[must_use]
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A `POST` with a JSON body.
    #[must_use]
    pub fn post_json(target: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST".to_owned(),
            target: target.into(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }

    /// The same request with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The first value of a header.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Path and query of the target, without scheme and host.
    pub(crate) fn path_and_query(&self) -> (&str, &str) {
        let target = match self.target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
            None => &self.target,
        };
        target.split_once('?').unwrap_or((target, ""))
    }

    /// The first segment of the path, which names the host, and what follows it.
    pub(crate) fn host_and_rest(&self) -> (&str, &str) {
        let (path, _) = self.path_and_query();
        let path = path.trim_start_matches('/');
        match path.find('/') {
            Some(end) => path.split_at(end),
            None => (path, ""),
        }
    }

    /// The query's pairs in order, percent-decoded.
    pub(crate) fn query(&self) -> Vec<(String, String)> {
        let (_, query) = self.path_and_query();
        form_pairs(query)
    }
}

// === impl Response ===

impl Response {
    /// A response with a body of this type.
    #[must_use]
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
            delay: Duration::ZERO,
            ending: Ending::Complete,
        }
    }

    /// A response with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// A response with a plain text body.
    #[must_use]
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/plain", body)
    }

    /// A response with an HTML body.
    #[must_use]
    pub fn html(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/html", body)
    }

    /// A response that never comes, or breaks off.
    #[must_use]
    pub fn ending(ending: Ending) -> Self {
        Self {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
            delay: Duration::ZERO,
            ending,
        }
    }

    /// The same response with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The first value of a header.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The pairs of a query or of a form body, percent-decoded, `+` as a space.
pub(crate) fn form_pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(key), percent_decoded(value))
        })
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                decoded.push(byte);
                at += 2;
            }
            (None, b'+') => decoded.push(b' '),
            (None, byte) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_segment_names_the_host() {
        #[track_caller]
        fn check(target: &str, host: &str, rest: &str) {
            assert_eq!(Request::get(target).host_and_rest(), (host, rest));
        }
        check("/bsc-a", "bsc-a", "");
        check("/mempool/api/v1/fees", "mempool", "/api/v1/fees");
        check(
            "http://127.0.0.1:80/bscscan/v2/api?chainid=56",
            "bscscan",
            "/v2/api",
        );
        check("http://127.0.0.1:80", "", "");
    }

    #[test]
    fn a_query_is_decoded_in_order() {
        let request = Request::get("/x?address=0x1%2C0x2&note=a+b&bad=%zz&flag");
        let pairs = request.query();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(
            pairs,
            [
                ("address", "0x1,0x2"),
                ("note", "a b"),
                ("bad", "%zz"),
                ("flag", "")
            ]
        );
    }
}
