//! Every status with every kind of body: what an answer may count as.
//!
//! Only a fault of the provider may open its circuit in the host. Whoever reads a wire format
//! decides with every answer whether it was one, so every provider is held against one table.

use std::sync::Arc;
use std::time::Duration;

use super::{Answer, Kit, answers};
use crate::{Balances, Error, ErrorKind, Provider, Request, Response};

/// What an upstream answers with, whatever the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// The HTML page of a gateway.
    GatewayPage,
    /// An error in the API's own form that says that it is broken.
    Error,
    /// A request to slow down in the API's own form.
    RateNotice,
    /// What would be an answer if the status were 200.
    Valid,
    /// The first half of that.
    Truncated,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// Every cell has its amount.
    Answer,
    /// The provider failed: the one kind that opens its circuit.
    Fault,
    /// It wants to be asked more slowly.
    Rate,
    /// It refused the key.
    Key,
    /// It refused the plan.
    Plan,
    /// The question is too large.
    Size,
    /// It refused the question.
    Content,
}

/// What a service in order answers to a request.
pub type Answering = dyn Fn(&Request) -> Vec<u8> + Send + Sync;

/// An API as the matrix drives it.
pub struct Api {
    /// [`Body::Error`].
    pub error: String,
    /// [`Body::RateNotice`].
    pub rate_notice: String,
    /// [`Body::Valid`] for a request.
    pub valid: Box<Answering>,
    /// An error in the body says more than the status, as in JSON-RPC.
    pub error_over_status: bool,
    /// A 403 comes from a gateway that turns the sender away for a while, and not from a check
    /// of the key.
    pub forbidden_is_rate: bool,
}

/// The statuses that are asked with `Retry-After` as well.
const WITH_RETRY_AFTER: &[u16] = &[200, 400, 403, 429, 500, 502, 503];
const RETRY_AFTER: Duration = Duration::from_secs(7);

/// Holds a provider against the table, with each of the requests.
///
/// # Panics
///
/// Where an answer counts as something else than it may, and where the delay that a rate answer
/// asks for is lost.
#[track_caller]
pub fn check<P: Provider>(api: Api, open: impl Fn(&Kit) -> P, requests: &[Balances]) {
    let api = Arc::new(api);
    for status in 100..=599 {
        let retry_afters: &[bool] = match WITH_RETRY_AFTER.contains(&status) {
            true => &[false, true],
            false => &[false],
        };
        for &retry_after in retry_afters {
            for body in Body::ALL {
                for request in requests {
                    let case = Case {
                        status,
                        retry_after,
                        body,
                    };
                    let got = case.run(&api, &open, request);
                    let cells = request.cells().count();
                    assert_eq!(got, case.means(&api), "{case:?}, {cells} cells");
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    status: u16,
    retry_after: bool,
    body: Body,
}

// === impl Body ===

impl Body {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Empty,
        Self::GatewayPage,
        Self::Error,
        Self::RateNotice,
        Self::Valid,
        Self::Truncated,
    ];

    fn bytes(self, api: &Api, request: &Request) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::GatewayPage => {
                b"<html><head><title>Bad Gateway</title></head><body></body></html>".to_vec()
            }
            Self::Error => api.error.clone().into_bytes(),
            Self::RateNotice => api.rate_notice.clone().into_bytes(),
            Self::Valid => (api.valid)(request),
            Self::Truncated => {
                let mut whole = (api.valid)(request);
                whole.truncate(whole.len() / 2);
                whole
            }
        }
    }
}

// === impl Case ===

impl Case {
    /// The table.
    fn means(self, api: &Api) -> Means {
        match self.status {
            200 => match self.body {
                Body::Valid => Means::Answer,
                Body::RateNotice => Means::Rate,
                _ => Means::Fault,
            },
            429 => Means::Rate,
            503 if self.retry_after => Means::Rate,
            403 if api.forbidden_is_rate => Means::Rate,
            401 | 403 => Means::Key,
            402 => Means::Plan,
            413 | 414 => Means::Size,
            _ if api.error_over_status && self.body == Body::RateNotice => Means::Rate,
            _ if api.error_over_status && self.body == Body::Error => Means::Fault,
            408 => Means::Fault,
            400..=499 => Means::Content,
            _ => Means::Fault,
        }
    }

    fn run<P: Provider>(
        self,
        api: &Arc<Api>,
        open: &impl Fn(&Kit) -> P,
        request: &Balances,
    ) -> Means {
        let upstream_api = api.clone();
        let kit = Kit::new(move |request| {
            let wait = RETRY_AFTER.as_secs().to_string();
            let headers = self.retry_after.then(|| ("retry-after".to_owned(), wait));
            Ok(Response {
                status: self.status,
                headers: headers.into_iter().collect(),
                body: self.body.bytes(&upstream_api, &request),
            })
        });
        let provider = open(&kit);
        let outcome = kit.run(async |cx| provider.balances(&cx, request).await);
        let told = match outcome {
            Err(error) => return self.means_of(&error),
            Ok(readings) => answers(readings),
        };
        assert_eq!(
            told.len(),
            request.cells().count(),
            "{self:?}: a cell is left out"
        );
        let mut told = told.into_iter().map(|(_, answer)| match answer {
            Answer::Known { .. } => Means::Answer,
            Answer::Unknown(error) | Answer::Invalid(error) => self.means_of(&error),
        });
        let first = told.next().expect("a request has cells");
        assert!(told.all(|other| other == first), "{self:?}: cells disagree");
        first
    }

    fn means_of(self, error: &Error) -> Means {
        use ErrorKind::*;
        let means = match error.kind {
            Timeout | Transport | ServerError | Malformed => Means::Fault,
            RateLimited => Means::Rate,
            Unauthorized => Means::Key,
            Quota => Means::Plan,
            TooLarge => Means::Size,
            Refused => Means::Content,
            other => panic!("{self:?}: {other:?} says nothing about this answer: {error}"),
        };
        if means == Means::Rate && self.retry_after && self.status != 200 {
            assert_eq!(
                error.retry_after,
                Some(RETRY_AFTER),
                "{self:?}: the delay is lost"
            );
        }
        means
    }
}

// === impl Api ===

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}
