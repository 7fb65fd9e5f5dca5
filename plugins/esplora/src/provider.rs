//! The provider.

use std::marker::PhantomData;
use std::time::Duration;

use scanhost_plugin_api::prelude::*;

use crate::service::{Service, ask};
use crate::tip::{TIP_REQUESTS, Tip};
use crate::wire::{self, AddressStats, Balance};
use crate::{Options, address, derive};

/// A provider of native Bitcoin balances behind an Esplora API.
#[derive(Debug)]
pub struct Esplora<S> {
    network: String,
    batch: u32,
    tip: Tip,
    service: PhantomData<S>,
}

#[async_trait]
impl<S: Service> Provider for Esplora<S> {
    type Options = Options;

    fn open(_host: Host, settings: Settings<Options>) -> Result<Self, Error> {
        let max_age = Duration::from_secs(settings.options.tip_max_age_secs.into());
        S::check_network(&settings.network)?;
        Ok(Self {
            network: settings.network,
            batch: settings.options.batch.max(1),
            tip: Tip::new(max_age),
            service: PhantomData,
        })
    }

    fn caps(&self) -> Caps {
        let native = Caps::native(Commitment::Confirmed);
        Caps {
            // No balance of an older block is kept; the tip around a call is certain.
            pinned: false,
            min_height: true,
            derive: S::DERIVES,
            cells_per_call_max: self.batch,
            addresses_per_call_max: self.batch,
            cost: Cost {
                once: TIP_REQUESTS,
                ..native.cost
            },
            ..native
        }
    }

    fn validate_address(&self, address: &str) -> Result<String, Error> {
        S::canonical(address, &self.network)
    }

    async fn identity(&self, cx: &Cx) -> Result<String, Error> {
        let genesis = ask::<S>(cx, Request::get("/block-height/0")).await?;
        wire::block_hash(&genesis).map(str::to_owned)
    }

    async fn balances(&self, cx: &Cx, request: &Balances) -> Result<Readings, Error> {
        if request.commitment() == Commitment::Finalized {
            return Err(Error::unsupported(
                "Esplora has no finalized balances; set the chain's `commitment` to \"confirmed\"",
            ));
        }
        let native = request.cells().any(|cell| cell.asset().contract.is_none());
        let (mark, balances) = match (native, request.min_height()) {
            (false, _) => (Mark::default(), self.read(cx, request).await),
            (true, 0) => (self.tip.mark::<S>(cx).await, self.read(cx, request).await),
            (true, min_height) => {
                let before = self.tip.sure::<S>(cx, min_height).await?;
                let mut balances = self.read(cx, request).await;
                if balances.iter().any(Result::is_ok)
                    && let Err(error) = self.tip.is_still::<S>(cx, before).await
                {
                    let read = balances.iter_mut().filter(|balance| balance.is_ok());
                    read.for_each(|balance| *balance = Err(error.clone()));
                }
                (before.mark(), balances)
            }
        };
        settle(request, mark, balances)
    }

    fn derive(&self, request: &Derive) -> Result<Derived, Error> {
        if !S::DERIVES {
            return Err(Error::unsupported(
                "no addresses are derived for this chain",
            ));
        }
        derive::derive(request, address::network(&self.network)?)
    }
}

impl<S: Service> Esplora<S> {
    /// By cell, one after the other: public services punish parallel connections.
    async fn read(&self, cx: &Cx, request: &Balances) -> Vec<Result<Balance, Error>> {
        let mut stopped: Option<Error> = None;
        let mut balances = Vec::with_capacity(request.cells().len());
        for cell in request.cells() {
            let balance = match &stopped {
                _ if cell.asset().contract.is_some() => Err(no_tokens()),
                Some(error) => Err(error.clone()),
                None => self.balance(cx, cell.address()).await,
            };
            if let Err(error) = &balance
                && stops(error.kind)
            {
                stopped.get_or_insert_with(|| error.clone());
            }
            balances.push(balance);
        }
        balances
    }

    async fn balance(&self, cx: &Cx, address: &str) -> Result<Balance, Error> {
        let answer = ask::<S>(cx, Request::get(&format!("/address/{address}"))).await?;
        answer.json::<AddressStats>()?.balance(address)
    }
}

/// The readings; where nothing was answered, the failure that tells most.
fn settle(
    request: &Balances,
    mark: Mark,
    balances: Vec<Result<Balance, Error>>,
) -> Result<Readings, Error> {
    let mut readings = Readings::new(request);
    readings.at(mark);
    let mut answered = false;
    let mut failures = Vec::new();
    for (cell, balance) in request.cells().zip(balances) {
        match balance {
            Ok(Balance {
                confirmed,
                pending,
                used,
            }) => {
                readings.used(Some(used));
                readings.known_with_pending(cell, confirmed.into(), pending);
                answered = true;
            }
            Err(error) => {
                readings.unknown(cell, &error);
                failures.push(error);
            }
        }
    }
    match failures.into_iter().min_by_key(|error| rank(error.kind)) {
        Some(error) if !answered => Err(error),
        _ => Ok(readings),
    }
}

fn no_tokens() -> Error {
    Error::unsupported("Esplora has no tokens; it reads the native coin only")
}

/// Whether the failure concerns the service as a whole, so that the call's other addresses would
/// only meet it again, and make it worse.
fn stops(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(
        kind,
        Timeout | Transport | RateLimited | Quota | Unauthorized | PluginFault | Cancelled
    )
}

/// How little a failure tells of the whole call: the provider's faults tell most.
fn rank(kind: ErrorKind) -> u8 {
    use ErrorKind::*;
    match kind {
        Timeout | Transport | ServerError | Malformed => 0,
        Unsupported => 3,
        Refused | Missing | TooLarge | InvalidAddress => 2,
        _ => 1,
    }
}
