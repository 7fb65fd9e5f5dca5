//! Drives a provider offline: the host's services over a function from request to response.
//!
//! ```
//! # use scanhost_plugin_api::prelude::*;
//! # use scanhost_plugin_api::test_kit::Kit;
//! # use scanhost_plugin_api::Response;
//! let upstream = |_: Request| {
//!     Ok(Response { status: 200, headers: vec![], body: b"7".to_vec() })
//! };
//! let kit = Kit::new(upstream);
//! let text = kit.run(|cx| async move { Ok(cx.get("/tip").await?.ok()?.text()?.to_owned()) });
//! assert_eq!(text.unwrap(), "7");
//! ```

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use scanhost_abi::types as abi;
use scanhost_abi::{HostHandle, ROption};
use scanhost_conformance::offline::{OfflineHost, Services, drive};

pub mod conformance;
pub mod matrix;

use crate::{Amount, Cx, Error, Host, Mark, Provider, Readings, Request, Response, Settings};

pub use conformance::Sample;
pub use scanhost_conformance::{Cassette, Faults};

/// An upstream: what answers a request, or the failure of the transport.
pub trait Upstream: Fn(Request) -> Result<Response, Error> + Send + Sync + 'static {}

impl<F: Fn(Request) -> Result<Response, Error> + Send + Sync + 'static> Upstream for F {}

/// A host without a network. Time stands still unless a provider sleeps.
pub struct Kit {
    host: Host,
    offline: Arc<OfflineHost>,
}

impl Kit {
    /// A host whose only upstream is `upstream`.
    #[must_use]
    pub fn new(upstream: impl Upstream) -> Self {
        Self::over(across(upstream))
    }

    /// A host whose upstream is what one provider of a recording was answered, by
    /// `scanhost scan --record`.
    #[must_use]
    pub fn replaying(cassette: Cassette, provider: &str) -> Self {
        Self::over(std::sync::Arc::new(cassette).upstream(provider))
    }

    fn over(upstream: scanhost_conformance::Upstream) -> Self {
        let offline = Arc::new(OfflineHost::new(upstream));
        let services = Arc::new(Services(offline.clone()));
        Self {
            host: Host::new(HostHandle::new(services)),
            offline,
        }
    }

    /// Opens a provider with options as JSON.
    ///
    /// # Errors
    ///
    /// As [`Provider::open`], and for options that do not fit.
    pub fn open<P: Provider>(
        &self,
        network: &str,
        identity: Option<&str>,
        options: serde_json::Value,
    ) -> Result<P, Error> {
        let settings = serde_json::json!({
            "chain": "test", "provider": "test", "network": network, "identity": identity,
            "options": options,
        });
        let settings: Settings<P::Options> = serde_json::from_value(settings)
            .map_err(|error| Error::new(crate::ErrorKind::PluginFault, error.to_string()))?;
        P::open(self.host.clone(), settings)
    }

    /// Runs a call to its end on this thread.
    ///
    /// # Errors
    ///
    /// Those of the call.
    ///
    /// # Panics
    ///
    /// When the call waits for something that is not the host's: nothing would ever wake it.
    pub fn run<T, F: Future<Output = Result<T, Error>>>(
        &self,
        call: impl FnOnce(Cx) -> F,
    ) -> Result<T, Error> {
        let context = abi::CallContext {
            call: 1,
            deadline_ms: 15_000,
            ..Default::default()
        };
        drive(call(Cx::new(self.host.clone(), context)))
            .expect("the call waits for nothing but the host")
            .output
    }

    /// Moves time forward.
    pub fn advance(&self, duration: Duration) {
        self.offline.advance(duration);
    }

    /// What the provider logged, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.offline.log_lines()
    }
}

impl std::fmt::Debug for Kit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kit").finish_non_exhaustive()
    }
}

/// An author's upstream as it stands behind the ABI.
fn across(upstream: impl Upstream) -> scanhost_conformance::Upstream {
    Arc::new(move |request: &abi::HttpRequest| {
        upstream(Request::from_abi(request.clone()))
            .map(Response::into_abi)
            .map_err(|error| error.to_abi())
    })
}

/// What a provider answered for one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An amount.
    Known {
        /// The amount in the smallest unit.
        amount: Amount,
        /// The part that is not confirmed yet, where the provider tells.
        pending: Option<i128>,
        /// Where the chain stood.
        mark: Mark,
    },
    /// Not answered, or not understood.
    Unknown(Error),
    /// Not answerable by anyone.
    Invalid(Error),
}

/// What stands in `readings`, in the order in which it was put there, each with the index of its
/// cell.
///
/// # Panics
///
/// For an unknown reading without a reason, which no method of [`Readings`] makes.
#[must_use]
pub fn answers(readings: Readings) -> Vec<(usize, Answer)> {
    let answers = readings.into_abi().into_iter().map(|reading| {
        let set = |flag: u32| reading.flags & flag != 0;
        let answer = if reading.kind == abi::ReadingKind::KNOWN {
            Answer::Known {
                amount: Amount(reading.amount),
                pending: set(abi::READING_HAS_PENDING)
                    .then(|| i128::from_be_bytes(reading.pending)),
                mark: Mark {
                    height: set(abi::READING_HAS_HEIGHT).then_some(reading.height),
                    block_hash: set(abi::READING_HAS_BLOCK_HASH).then_some(reading.block_hash),
                },
            }
        } else {
            let ROption::RSome(error) = reading.error else {
                panic!("an unknown reading without a reason");
            };
            let error =
                Error::from_abi(scanhost_abi::abi_stable::std_types::RBox::into_inner(error));
            match reading.kind {
                abi::ReadingKind::INVALID => Answer::Invalid(error),
                _ => Answer::Unknown(error),
            }
        };
        (reading.cell as usize, answer)
    });
    answers.collect()
}
