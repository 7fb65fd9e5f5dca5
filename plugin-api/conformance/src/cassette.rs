//! Recorded traffic: what was asked, what was answered, as JSON lines.
//!
//! The first line is `{"scanhost_cassette":1}`, each other one an [`Exchange`]. Keys are never in
//! it: it is written before they are put in. An answer is found by who asked what (provider,
//! method, path, body), whatever came in between: answers to the same question come in the order
//! in which they were recorded, and the last one repeats.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use scanhost_abi::types::{AbiError, ErrorKind, HttpMethod, HttpRequest};
use serde::{Deserialize, Serialize};

use crate::offline::{Upstream, response};

/// The version of the format that is written and read.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    scanhost_cassette: u32,
}

/// A request and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Who was asked.
    pub provider: String,
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query below the endpoint, as the plugin named them.
    pub path: String,
    /// What the plugin sent along, without what carries a key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<(String, String)>,
    /// The request's body.
    #[serde(default, skip_serializing_if = "Body::is_empty")]
    pub body: Body,
    /// What was answered, or why nothing was.
    pub answer: Recorded,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// An answer of any status.
    Response {
        /// Its status.
        status: u16,
        /// Its headers, names in lower case.
        headers: Vec<(String, String)>,
        /// Its body.
        #[serde(default, skip_serializing_if = "Body::is_empty")]
        body: Body,
    },
    /// No answer, and why.
    Failure {
        /// What it counts as: `timeout`, `transport`, …
        class: String,
        /// A line for people.
        why: String,
    },
}

/// Bytes, as text where they are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Base64(String),
}

/// Recorded traffic, ready to answer.
#[derive(Debug, Default)]
pub struct Cassette {
    answers: HashMap<Question, Answers>,
    /// Whether it was asked for what it does not hold.
    missed: AtomicBool,
}

/// By what an answer is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    provider: String,
    method: String,
    path: String,
    body: Vec<u8>,
}

#[derive(Debug, Default)]
struct Answers {
    recorded: Vec<Recorded>,
    told: Mutex<usize>,
}

/// A file that is no cassette.
#[derive(Debug)]
pub struct CassetteError {
    line: usize,
    why: String,
}

// === impl Exchange ===

impl Exchange {
    /// The line that is written for it.
    ///
    /// # Errors
    ///
    /// Never for what this crate makes.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// The first line of a cassette.
#[must_use]
pub fn head() -> String {
    format!("{{\"scanhost_cassette\":{VERSION}}}")
}

// === impl Body ===

impl Body {
    /// The bytes in their readable form.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(BASE64_STANDARD.encode(bytes)),
        }
    }

    /// The bytes; `None` where the text is no base64.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Base64(text) => BASE64_STANDARD.decode(text).ok(),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

// === impl Cassette ===

impl Cassette {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is none.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CassetteError> {
        let text = std::fs::read_to_string(path).map_err(|error| CassetteError {
            line: 0,
            why: error.to_string(),
        })?;
        Self::parse(&text)
    }

    /// Reads a file's text.
    ///
    /// # Errors
    ///
    /// The line that is none, and why.
    pub fn parse(text: &str) -> Result<Self, CassetteError> {
        let fail = |line: usize, why: String| CassetteError { line, why };
        let mut lines = (1..).zip(text.lines());
        let (_, first) = lines.next().ok_or_else(|| {
            fail(
                1,
                "it is empty; record it by `scanhost scan --record`".into(),
            )
        })?;
        let head: Head = serde_json::from_str(first)
            .map_err(|_| fail(1, format!("it does not start with `{}`", self::head())))?;
        if head.scanhost_cassette != VERSION {
            let version = head.scanhost_cassette;
            let why = format!("it has version {version}; this program reads version {VERSION}");
            return Err(fail(1, why));
        }
        let mut cassette = Self::default();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let exchange: Exchange =
                serde_json::from_str(line).map_err(|error| fail(number, error.to_string()))?;
            cassette
                .add(exchange)
                .map_err(|why| fail(number, why.to_owned()))?;
        }
        Ok(cassette)
    }

    fn add(&mut self, exchange: Exchange) -> Result<(), &'static str> {
        let no_bytes = "its body is no base64";
        if let Recorded::Response { body, .. } = &exchange.answer
            && body.bytes().is_none()
        {
            return Err(no_bytes);
        }
        let question = Question {
            body: exchange.body.bytes().ok_or(no_bytes)?,
            provider: exchange.provider,
            method: exchange.method,
            path: exchange.path,
        };
        let answers = self.answers.entry(question).or_default();
        answers.recorded.push(exchange.answer);
        Ok(())
    }

    /// The next answer to this question; `None` where it was never recorded.
    #[must_use]
    pub fn answer(
        &self,
        provider: &str,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Option<&Recorded> {
        let question = Question {
            provider: provider.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            body: body.to_owned(),
        };
        let Some(answers) = self.answers.get(&question) else {
            self.missed.store(true, Ordering::Relaxed);
            return None;
        };
        let mut told = answers.told.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*told).min(answers.recorded.len().saturating_sub(1));
        *told = next + 1;
        answers.recorded.get(next)
    }

    /// Whether anything was asked that it has no answer to.
    #[must_use]
    pub fn has_missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// The providers that were asked, each once.
    #[must_use]
    pub fn providers(&self) -> Vec<&str> {
        let mut providers: Vec<_> = self.answers.keys().map(|it| it.provider.as_str()).collect();
        providers.sort_unstable();
        providers.dedup();
        providers
    }

    /// Different questions that it has an answer to.
    #[must_use]
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// What one of its providers answered, as an upstream. What was not recorded is a failure of
    /// the transport that says so.
    #[must_use]
    pub fn upstream(self: Arc<Self>, provider: &str) -> Upstream {
        let provider = provider.to_owned();
        Arc::new(move |request: &HttpRequest| {
            let method = match request.method {
                HttpMethod::POST => "POST",
                _ => "GET",
            };
            let fail = |why: String| Err(AbiError::new(ErrorKind::TRANSPORT, why));
            match self.answer(&provider, method, &request.path, &request.body) {
                None => fail(not_recorded(method, &request.path)),
                Some(Recorded::Failure { class, why }) => {
                    let kind = match class.as_str() {
                        "timeout" => ErrorKind::TIMEOUT,
                        "rate_limited" => ErrorKind::RATE_LIMITED,
                        "unauthorized" => ErrorKind::UNAUTHORIZED,
                        "malformed" => ErrorKind::MALFORMED,
                        _ => ErrorKind::TRANSPORT,
                    };
                    Err(AbiError::new(kind, why.as_str()))
                }
                Some(Recorded::Response {
                    status,
                    headers,
                    body,
                }) => {
                    let headers: Vec<_> = headers
                        .iter()
                        .map(|(name, value)| (name.as_str(), value.as_str()))
                        .collect();
                    Ok(response(
                        *status,
                        &headers,
                        body.bytes().unwrap_or_default(),
                    ))
                }
            }
        })
    }
}

/// Says that a question was not recorded.
#[must_use]
pub fn not_recorded(method: &str, path: &str) -> String {
    format!("the recording has no answer to this {method} of `{path}`")
}

// === impl CassetteError ===

impl fmt::Display for CassetteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.why),
            line => write!(f, "line {line}: {}", self.why),
        }
    }
}

impl std::error::Error for CassetteError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(path: &str, answer: &[u8]) -> Exchange {
        Exchange {
            provider: "node".into(),
            method: "GET".into(),
            path: path.into(),
            request_headers: vec![],
            body: Body::default(),
            answer: Recorded::Response {
                status: 200,
                headers: vec![("content-type".into(), "text/plain".into())],
                body: Body::of(answer),
            },
            elapsed_ms: 7,
        }
    }

    fn file(exchanges: &[Exchange]) -> String {
        let lines = exchanges.iter().map(|it| it.to_line().unwrap());
        [head()]
            .into_iter()
            .chain(lines)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn text_of(recorded: Option<&Recorded>) -> Vec<u8> {
        match recorded {
            Some(Recorded::Response { body, .. }) => body.bytes().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_come_in_their_order_and_the_last_one_repeats() {
        let text = file(&[
            exchange("/a", b"1"),
            exchange("/b", b"x"),
            exchange("/a", b"2"),
        ]);
        let cassette = Cassette::parse(&text).unwrap();
        let ask = |path: &str| text_of(cassette.answer("node", "GET", path, b""));
        assert_eq!(ask("/a"), b"1");
        assert_eq!(ask("/a"), b"2");
        assert_eq!(ask("/b"), b"x");
        assert_eq!(ask("/a"), b"2");
        assert_eq!(cassette.providers(), ["node"]);
    }

    #[test]
    fn another_question_has_no_answer() {
        let cassette = Cassette::parse(&file(&[exchange("/a", b"1")])).unwrap();
        assert_eq!(cassette.answer("other", "GET", "/a", b""), None);
        assert_eq!(cassette.answer("node", "POST", "/a", b""), None);
        assert_eq!(cassette.answer("node", "GET", "/c", b""), None);
        assert_eq!(cassette.answer("node", "GET", "/a", b"{}"), None);
        assert!(cassette.answer("node", "GET", "/a", b"").is_some());
    }

    #[test]
    fn what_is_no_text_survives() {
        let bytes = [0xff, 0, 0xfe];
        let cassette = Cassette::parse(&file(&[exchange("/a", &bytes)])).unwrap();
        assert_eq!(text_of(cassette.answer("node", "GET", "/a", b"")), bytes);
    }

    #[test]
    fn what_is_no_recording_is_told_by_its_line() {
        let why = |text: &str| Cassette::parse(text).unwrap_err().to_string();
        assert!(why("").contains("--record"), "{}", why(""));
        assert!(why("{}").starts_with("line 1: it does not start with"));
        assert!(why("{\"scanhost_cassette\":9}").contains("version 9"));
        let cut = format!("{}\n{{\"provider\":", head());
        assert!(why(&cut).starts_with("line 2: "), "{}", why(&cut));
        let line = exchange("/a", b"x").to_line().unwrap();
        let bad = line.replace("{\"text\":\"x\"}", "{\"base64\":\"!\"}");
        assert_ne!(bad, line);
        assert!(why(&format!("{}\n{bad}", head())).contains("base64"));
    }
}
