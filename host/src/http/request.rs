//! What plugins ask for and what they get.

use std::str::FromStr;
use std::time::Duration;

use crate::gate::RequestSlots;

/// The methods that plugins may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads headers alone.
    Head,
    /// Asks with a body.
    Post,
}

/// What a plugin asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// `""`, `/path`, `/path?query` or `?query`, put on the endpoint.
    pub path_and_query: String,
    /// Headers besides the host's.
    pub headers: Vec<(String, String)>,
    /// The body, empty for none.
    pub body: Vec<u8>,
    /// A shorter wait than the provider's.
    pub timeout: Option<Duration>,
    /// A smaller body than the provider's, in bytes.
    pub body_max: Option<usize>,
    /// How many calls the request is worth to the provider's limits; 0 is 1.
    pub weight: u32,
    /// The slots of the call that it belongs to; `None`: it belongs to none, and is paced alone.
    pub slots: Option<RequestSlots>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// All headers, names in lower case, keys removed.
    pub headers: Vec<(String, String)>,
    /// The body, keys of 8 and more bytes removed.
    pub body: Vec<u8>,
    /// The body of an error status was cut or broke off; never set below 400.
    pub truncated: bool,
    /// How long the provider asks to be left alone.
    pub retry_after: Option<Duration>,
    /// From the first attempt to the last byte, without the waits for a connection and for slots.
    pub elapsed: Duration,
}

/// A method that plugins may not use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("method {0:?} is none of GET, HEAD, POST")]
pub struct UnknownMethod(String);

// === impl Method ===

impl Method {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Get, Self::Head, Self::Post]
            .into_iter()
            .find(|method| method.as_str() == word)
            .ok_or_else(|| UnknownMethod(word.chars().take(20).collect()))
    }
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Head => Self::HEAD,
            Method::Post => Self::POST,
        }
    }
}

// === impl Request ===

impl Request {
    /// A GET without headers.
    #[must_use]
    pub fn get(path_and_query: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            path_and_query: path_and_query.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
            body_max: None,
            weight: 1,
            slots: None,
        }
    }

    /// A POST without headers.
    #[must_use]
    pub fn post(path_and_query: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            method: Method::Post,
            body,
            ..Self::get(path_and_query)
        }
    }
}
