//! A plugin's opened object, wherever it lives, held to the budget of each call.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scanhost_abi::types as abi;
use scanhost_abi::{RString, RVec};
use tokio::time::Instant;

use super::convert::{answer_of, canonical_of, caps_of, clean, error_of, request_of};
use super::{Answer, Backend, BalancesRequest, CallBudget, CallError, CallReport, Caps};
use crate::gate::RequestSlots;
use crate::http::{HttpClient, Redactor};
use crate::model::Class;
use crate::plugin::derive::{DeriveError, DeriveRequest, Derived};
use crate::plugin::services::Calls;

/// What came back: the plugin's own answer or error, else why there is none.
pub(in crate::plugin) type Said<T> = Result<Result<T, abi::AbiError>, CallError>;

/// Where a plugin's object lives. What it says is passed on as it came, unjudged.
///
/// Dropping a call's future ends the call there too.
#[async_trait]
pub(in crate::plugin) trait Place: Send + Sync + std::fmt::Debug {
    /// `validate_address` of each address.
    async fn validate_addresses(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Result<RString, abi::AbiError>>, CallError>;

    /// `identity`.
    async fn identity(&self, call: abi::CallContext) -> Said<RString>;

    /// `balances`.
    async fn balances(
        &self,
        call: abi::CallContext,
        request: abi::BalancesRequest,
    ) -> Said<RVec<abi::Reading>>;

    /// `derive`.
    async fn derive(&self, request: abi::DeriveRequest) -> Said<abi::Derived>;
}

/// A provider that can be asked.
#[derive(Debug)]
pub struct Opened {
    place: Box<dyn Place>,
    calls: Arc<Calls>,
    client: Arc<HttpClient>,
    caps: Caps,
}

// === impl Opened ===

impl Opened {
    /// `calls` are those by which the place's requests find what they take their slots from.
    ///
    /// # Errors
    ///
    /// The capabilities are impossible.
    pub(in crate::plugin) fn new(
        place: Box<dyn Place>,
        caps: &abi::Caps,
        calls: Arc<Calls>,
        client: Arc<HttpClient>,
    ) -> Result<Self, String> {
        Ok(Self {
            place,
            calls,
            client,
            caps: caps_of(caps)?,
        })
    }

    fn redactor(&self) -> &Redactor {
        self.client.redactor()
    }

    /// Runs one call until it ends or its deadline passes.
    async fn call<T, F>(
        &self,
        budget: CallBudget,
        ask: impl FnOnce(abi::CallContext) -> F,
    ) -> CallReport<T>
    where
        F: Future<Output = Said<T>>,
    {
        let CallBudget { deadline, slots } = budget;
        let call = self.calls.begin(slots.clone());
        let context = abi::CallContext {
            call: call.id,
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            ..Default::default()
        };
        let result = tokio::select! {
            said = ask(context) => match said {
                Ok(said) => said.map_err(|error| error_of(&error, self.redactor())),
                Err(error) => Err(error),
            },
            () = overdue(deadline, &slots) => Err(if call.traffic.is_open() {
                let message = format!("no answer within {}", told(deadline));
                CallError::new(Class::Timeout, message)
            } else {
                let message = format!("the plugin did not finish within {}", told(deadline));
                CallError::new(Class::PluginFault, message)
            }),
        };
        CallReport {
            result,
            http_attempts: call.traffic.attempts(),
        }
    }
}

#[async_trait]
impl Backend for Opened {
    fn caps(&self) -> Caps {
        self.caps
    }

    async fn validate_addresses(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Result<String, String>>, CallError> {
        let asked = addresses.len();
        let judged = self.place.validate_addresses(addresses).await?;
        if judged.len() != asked {
            let message = format!("{} verdicts for {asked} addresses", judged.len());
            return Err(CallError::new(Class::PluginFault, message));
        }
        judged
            .into_iter()
            .map(|verdict| match verdict {
                Ok(canonical) => canonical_of(&canonical).map(Ok),
                Err(error) if error.kind == abi::ErrorKind::INVALID_ADDRESS => {
                    Ok(Err(clean(&error.message)))
                }
                Err(error) => Err(error_of(&error, self.redactor())),
            })
            .collect()
    }

    async fn identity(&self, budget: CallBudget) -> CallReport<String> {
        let report = self.call(budget, |call| self.place.identity(call)).await;
        CallReport {
            result: report.result.map(|identity| clean(&identity)),
            http_attempts: report.http_attempts,
        }
    }

    async fn balances(
        &self,
        request: BalancesRequest,
        budget: CallBudget,
    ) -> CallReport<Vec<Answer>> {
        let asked = request.cells.len();
        let request = request_of(request);
        let call = self.call(budget, |call| self.place.balances(call, request));
        let CallReport {
            result,
            http_attempts,
        } = call.await;
        let result = result.and_then(|readings: RVec<abi::Reading>| {
            // Twice what was asked is room for doubled answers; more is no answer at all.
            if readings.len() > 2 * asked {
                let message = format!("{} readings for {asked} cells", readings.len());
                return Err(CallError::new(Class::PluginFault, message));
            }
            Ok(readings
                .iter()
                .map(|reading| answer_of(reading, self.redactor()))
                .collect())
        });
        CallReport {
            result,
            http_attempts,
        }
    }

    async fn derive(&self, request: DeriveRequest) -> Result<Derived, DeriveError> {
        let said = self.place.derive(request.to_abi()).await;
        request.settle(said.map_err(DeriveError::Fault)?)
    }
}

/// Returns once a call has taken longer than `deadline`, besides its waits for us.
async fn overdue(deadline: Duration, slots: &RequestSlots) {
    let (start, waited_before) = (Instant::now(), slots.waited());
    loop {
        slots.wait_ended().await;
        let allowed = deadline.saturating_add(slots.waited().saturating_sub(waited_before));
        let left = allowed.saturating_sub(start.elapsed());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

fn told(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Pacer, PacerConfig};

    #[tokio::test(start_paused = true)]
    async fn a_call_s_deadline_does_not_run_while_it_waits_for_us() {
        let clock = Arc::new(crate::clock::VirtualClock::starting_at(0));
        let config = PacerConfig {
            windows: vec!["1/10s".parse().unwrap()],
            ..PacerConfig::default()
        };
        let slots = RequestSlots::of(&Pacer::new(&config, clock));
        slots.take(1).await.unwrap().answered();
        let (start, deadline) = (Instant::now(), Duration::from_secs(3));
        let work = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            // Eight seconds that are ours.
            slots.take(1).await.unwrap().answered();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = overdue(deadline, &slots) => {}
            () = work => unreachable!("it never ends"),
        }
        let waited = slots.waited();
        assert!(waited >= Duration::from_secs(8), "{waited:?}");
        assert!(
            start.elapsed() >= deadline + waited,
            "{:?}",
            start.elapsed()
        );
        assert!(start.elapsed() < deadline + waited + Duration::from_millis(10));

        // A deadline that cannot be added to anything is none.
        let overdue = overdue(Duration::MAX, &slots);
        let year = Duration::from_secs(365 * 86_400);
        assert!(tokio::time::timeout(year, overdue).await.is_err());
    }
}
