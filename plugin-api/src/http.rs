//! Requests below the endpoint, and answers read with suspicion.

use std::time::{Duration, UNIX_EPOCH};

use scanhost_abi::Tuple2;
use scanhost_abi::types as abi;
use serde::de::DeserializeOwned;

use crate::amount::{clipped, shortened};
use crate::{Error, ErrorKind, strict};

/// The method of a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
}

/// A request below the provider's endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query, appended to the endpoint: `""` is the endpoint itself, else it starts with
    /// `/` or `?`. Never absolute, no `..`.
    pub path: String,
    /// Name and value; neither `host` nor what carries the key.
    pub headers: Vec<(String, String)>,
    /// The body; empty for `GET`.
    pub body: Vec<u8>,
    /// Longest wait; `None` is the provider's timeout.
    pub timeout: Option<Duration>,
    /// How many calls this is to the provider's limits, as for a JSON-RPC batch. Default 1.
    pub weight: u32,
}

impl Request {
    /// A `GET`.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            method: Method::Get,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
            weight: 1,
        }
    }

    /// A `POST` of `body` as `application/json`.
    #[must_use]
    pub fn post_json(path: &str, body: Vec<u8>) -> Self {
        let json = ("content-type".to_owned(), "application/json".to_owned());
        Self {
            method: Method::Post,
            headers: vec![json],
            body,
            ..Self::get(path)
        }
    }

    pub(crate) fn into_abi(self) -> abi::HttpRequest {
        let headers = self.headers.into_iter();
        let mut reserved = [0; 4];
        reserved[abi::HTTP_REQUEST_WEIGHT] = u64::from(self.weight);
        abi::HttpRequest {
            method: match self.method {
                Method::Get => abi::HttpMethod::GET,
                Method::Post => abi::HttpMethod::POST,
            },
            path: self.path.into(),
            headers: headers
                .map(|(name, value)| Tuple2(name.into(), value.into()))
                .collect(),
            body: self.body.into(),
            timeout_ms: self.timeout.map_or(0, |timeout| {
                u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
            }),
            reserved,
        }
    }

    #[cfg(any(test, feature = "test-kit"))]
    pub(crate) fn from_abi(request: abi::HttpRequest) -> Self {
        let headers = request.headers.into_iter();
        Self {
            method: match request.method {
                abi::HttpMethod::POST => Method::Post,
                _ => Method::Get,
            },
            path: request.path.into_string(),
            headers: headers
                .map(|pair| (pair.0.into_string(), pair.1.into_string()))
                .collect(),
            body: request.body.into_vec(),
            timeout: (request.timeout_ms != 0).then(|| Duration::from_millis(request.timeout_ms)),
            weight: u32::try_from(request.reserved[abi::HTTP_REQUEST_WEIGHT])
                .map_or(u32::MAX, |weight| weight.max(1)),
        }
    }
}

/// The answer to a [`Request`], whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Name in lower case and value.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(header, _)| header == name);
        header.map(|(_, value)| value.as_str())
    }

    /// The answer itself if its status is 200, else the failure that the status tells.
    ///
    /// Never parse a body before this: what a gateway sends with a failure may be JSON, HTML or
    /// nothing.
    ///
    /// # Errors
    ///
    /// 429, and 503 with `Retry-After`: [`RateLimited`](ErrorKind::RateLimited). 401, 403:
    /// [`Unauthorized`](ErrorKind::Unauthorized). 402: [`Quota`](ErrorKind::Quota). 413, 414:
    /// [`TooLarge`](ErrorKind::TooLarge). 408: [`Timeout`](ErrorKind::Timeout). Other 4xx:
    /// [`Refused`](ErrorKind::Refused). 5xx: [`ServerError`](ErrorKind::ServerError). Anything
    /// else: [`Malformed`](ErrorKind::Malformed).
    pub fn ok(self) -> Result<Self, Error> {
        if self.status == 200 {
            return Ok(self);
        }
        let retry_after = self.retry_after();
        let kind = match self.status {
            503 if retry_after.is_some() => ErrorKind::RateLimited,
            429 => ErrorKind::RateLimited,
            401 | 403 => ErrorKind::Unauthorized,
            402 => ErrorKind::Quota,
            413 | 414 => ErrorKind::TooLarge,
            408 => ErrorKind::Timeout,
            400..=499 => ErrorKind::Refused,
            500..=599 => ErrorKind::ServerError,
            _ => ErrorKind::Malformed,
        };
        let message = match self.quote() {
            quote if quote.is_empty() => format!("HTTP {}", self.status),
            quote => format!("HTTP {}: {quote}", self.status),
        };
        let error = Error {
            retry_after,
            ..Error::new(kind, message)
        };
        Err(error.with_status(self.status))
    }

    /// The body as JSON of exactly the type's shape: a struct is an object at every depth, never a
    /// list, and no key stands twice.
    ///
    /// # Errors
    ///
    /// [`Malformed`](ErrorKind::Malformed), with the beginning of the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        strict::from_slice(&self.body).map_err(|error| {
            let (why, quote) = (clipped(&error), self.quote());
            let message = format!("not the JSON that was expected ({why}): {quote}");
            Error::malformed(message).with_status(self.status)
        })
    }

    /// The body as UTF-8 text without surrounding white space.
    ///
    /// # Errors
    ///
    /// [`Malformed`](ErrorKind::Malformed) for other bytes and for an empty body.
    pub fn text(&self) -> Result<&str, Error> {
        match std::str::from_utf8(&self.body).map(str::trim) {
            Ok("") => Err(Error::malformed("an empty body").with_status(self.status)),
            Ok(text) => Ok(text),
            Err(_) => Err(Error::malformed("a body that is not text").with_status(self.status)),
        }
    }

    /// The `Retry-After` header as a delay: seconds or an HTTP date measured against the answer's
    /// own `Date` header. `None` where there is none, or it makes no sense. The host clamps it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        let delay = match !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            // Only digits: what does not fit is merely very long.
            true => Duration::from_secs(value.parse().unwrap_or(u64::MAX)),
            false => {
                let until = httpdate::parse_http_date(value).ok()?;
                let sent = httpdate::parse_http_date(self.header("date")?.trim()).ok()?;
                let since = |at: std::time::SystemTime| at.duration_since(UNIX_EPOCH).ok();
                since(until)?.checked_sub(since(sent)?)?
            }
        };
        (!delay.is_zero()).then_some(delay)
    }

    /// The beginning of the body on one line, for messages; of an HTML page its title.
    #[must_use]
    pub fn quote(&self) -> String {
        const HEAD: usize = 4096;
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(HEAD)]);
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let title = lower.find("<title>").map(|start| start + "<title>".len());
        let title = title.and_then(|start| {
            let end = start + lower[start..].find("</title>")?;
            text.get(start..end)
        });
        match title {
            Some(title) if lower.starts_with('<') => {
                format!("a page titled `{}`", shortened(title.trim()))
            }
            _ => shortened(text),
        }
    }

    pub(crate) fn from_abi(response: abi::HttpResponse) -> Self {
        let headers = response.headers.into_iter();
        Self {
            status: response.status,
            headers: headers
                .map(|pair| (pair.0.into_string(), pair.1.into_string()))
                .collect(),
            body: response.body.into_vec(),
        }
    }

    #[cfg(any(test, feature = "test-kit"))]
    pub(crate) fn into_abi(self) -> abi::HttpResponse {
        let headers = self.headers.into_iter();
        abi::HttpResponse {
            status: self.status,
            headers: headers
                .map(|(name, value)| Tuple2(name.into(), value.into()))
                .collect(),
            body: self.body.into(),
            reserved: [0; 4],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)]) -> Response {
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        Response {
            status,
            headers,
            body: b"<html>".to_vec(),
        }
    }

    #[test]
    fn a_status_tells_its_kind() {
        let check = |status, kind| {
            let error = response(status, &[]).ok().unwrap_err();
            assert_eq!((error.kind, error.http_status), (kind, Some(status)));
        };
        check(204, ErrorKind::Malformed);
        check(304, ErrorKind::Malformed);
        check(400, ErrorKind::Refused);
        check(401, ErrorKind::Unauthorized);
        check(402, ErrorKind::Quota);
        check(403, ErrorKind::Unauthorized);
        check(404, ErrorKind::Refused);
        check(408, ErrorKind::Timeout);
        check(413, ErrorKind::TooLarge);
        check(414, ErrorKind::TooLarge);
        check(422, ErrorKind::Refused);
        check(429, ErrorKind::RateLimited);
        check(500, ErrorKind::ServerError);
        check(503, ErrorKind::ServerError);
        assert!(response(200, &[]).ok().is_ok());
        let error = response(503, &[("retry-after", "7")]).ok().unwrap_err();
        assert_eq!(error.kind, ErrorKind::RateLimited);
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_weight_crosses_the_boundary_and_none_is_one() {
        let check = |weight: u32, expected: u32| {
            let request = Request {
                weight,
                ..Request::get("/x")
            };
            assert_eq!(Request::from_abi(request.into_abi()).weight, expected);
        };
        check(7, 7);
        check(u32::MAX, u32::MAX);
        // What a plugin sends that was built before there were weights.
        check(0, 1);
    }

    #[test]
    fn pages_are_told_by_their_title() {
        let quote = |body: &str| {
            let body = body.as_bytes().to_vec();
            Response {
                body,
                ..response(503, &[])
            }
            .quote()
        };
        let page = "<html>\n<head><TITLE>503 Service Unavailable</TITLE></head>…</html>";
        assert_eq!(quote(page), "a page titled `503 Service Unavailable`");
        assert_eq!(quote("<title>"), "<title>");
        assert_eq!(quote(" Block not found\n"), "Block not found");
        assert_eq!(
            quote(r#"{"a":"<title>x</title>"}"#),
            r#"{"a":"<title>x</title>"}"#
        );
    }

    #[test]
    fn retry_after_has_two_forms() {
        let check = |value: &str, expected: Option<u64>| {
            let date = ("date", "Sat, 21 Nov 2026 00:00:00 GMT");
            let response = response(429, &[("retry-after", value), date]);
            assert_eq!(
                response.retry_after(),
                expected.map(Duration::from_secs),
                "{value}"
            );
        };
        check("7", Some(7));
        check(" 7 ", Some(7));
        check("007", Some(7));
        check("99999999999999999999999999", Some(u64::MAX));
        check("Sat, 21 Nov 2026 00:00:30 GMT", Some(30));
        check("Saturday, 21-Nov-26 00:00:30 GMT", Some(30));
        check("Sat Nov 21 00:00:30 2026", Some(30));
        check("Fri, 20 Nov 2026 00:00:30 GMT", None);
        for nonsense in ["", "0", "-1", "+7", "1.5", "7s", "soon"] {
            check(nonsense, None);
        }
    }
}
