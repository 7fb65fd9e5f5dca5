//! A provider behind its ABI, over a function from request to response: for the plugins' tests.
//!
//! Unlike [`Kit`](scanhost_plugin_api::test_kit::Kit) it shows what the host gets to see of an
//! answer, and asks with a lowest height.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use scanhost_plugin_api::__private::{Adapter, abi};
use scanhost_plugin_api::{Amount, Provider};
use serde_json::{Value, json};

/// An answer: a status and a body. Status 0 is no answer.
pub type Answer = (u16, String);

/// What the host gets to see for a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// An amount, and the height it was read at.
    Known(Amount, Option<u64>),
    /// No amount, and why.
    Unknown(abi::ErrorKind, String),
    /// No amount from anyone, and why.
    Invalid(abi::ErrorKind, String),
    /// Nothing at all.
    Absent,
}

/// A question by hand: cells are (index of address, index of asset).
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The addresses.
    pub addresses: Vec<&'a str>,
    /// Contract, if any, and configured decimals.
    pub assets: Vec<(Option<&'a str>, u8)>,
    /// The cells.
    pub cells: Vec<(u32, u16)>,
    /// The commitment.
    pub commitment: abi::Commitment,
    /// The lowest height.
    pub min_height: u64,
    /// The one height; 0 is the newest.
    pub at_height: u64,
}

/// An opened provider.
pub struct Bench {
    provider: abi::ProviderObject,
    world: Arc<World>,
}

type Upstream = dyn Fn(&str, &[u8]) -> Answer + Send + Sync;

struct World {
    upstream: Box<Upstream>,
    step_ms: AtomicU64,
    now_ms: AtomicU64,
    sent: Mutex<Vec<(String, String)>>,
    log: Mutex<Vec<String>>,
}

// === impl Ask ===

impl<'a> Ask<'a> {
    /// Every address in every asset, at `latest`.
    #[must_use]
    pub fn all(addresses: &[&'a str], assets: &[(Option<&'a str>, u8)]) -> Self {
        let address_indexes = (0_u32..).zip(addresses);
        Self {
            addresses: addresses.to_vec(),
            assets: assets.to_vec(),
            cells: address_indexes
                .flat_map(|(a, _)| (0_u16..).zip(assets).map(move |(asset, _)| (a, asset)))
                .collect(),
            commitment: abi::Commitment::LATEST,
            min_height: 0,
            at_height: 0,
        }
    }

    fn to_abi(&self) -> abi::BalancesRequest {
        let assets = self
            .assets
            .iter()
            .map(|(contract, decimals)| abi::AssetRef {
                contract: contract.map_or(abi::RNone, |contract| abi::RSome(contract.into())),
                decimals: *decimals,
                reserved: [0; 2],
            });
        let cells = self.cells.iter().map(|(address, asset)| abi::CellRef {
            address: *address,
            asset: *asset,
        });
        abi::BalancesRequest {
            addresses: self.addresses.iter().map(|text| (*text).into()).collect(),
            assets: assets.collect(),
            cells: cells.collect(),
            commitment: self.commitment,
            min_height: self.min_height,
            at_height: self.at_height,
            reserved: [0; 3],
        }
    }
}

// === impl Bench ===

impl Bench {
    /// Opens a provider whose upstream answers by path and body.
    ///
    /// # Errors
    ///
    /// Those of [`Provider::open`].
    pub fn open<P: Provider>(
        identity: Option<&str>,
        options: &Value,
        upstream: impl Fn(&str, &[u8]) -> Answer + Send + Sync + 'static,
    ) -> Result<Self, abi::AbiError> {
        let world = Arc::new(World {
            upstream: Box::new(upstream),
            step_ms: AtomicU64::new(0),
            now_ms: AtomicU64::new(0),
            sent: Mutex::default(),
            log: Mutex::default(),
        });
        let settings = json!({
            "chain": "test", "provider": "test", "network": "mainnet", "identity": identity,
            "options": options,
        });
        let request = abi::OpenRequest {
            settings: settings.to_string().into(),
            reserved: [0; 4],
        };
        let handle = abi::HostHandle::new(world.clone());
        let provider = Adapter::<P>::open(handle, &request)?;
        Ok(Self { provider, world })
    }

    /// Asks, and tells what each cell got.
    ///
    /// # Errors
    ///
    /// That of the whole call.
    ///
    /// # Panics
    ///
    /// When a cell is answered twice.
    pub fn ask(&self, ask: &Ask<'_>) -> Result<Vec<Told>, abi::AbiError> {
        let answer = run(self.provider.balances(context(), ask.to_abi()));
        let mut told = vec![Told::Absent; ask.cells.len()];
        for reading in answer.into_result()? {
            let index = usize::try_from(reading.cell).expect("an index fits");
            assert_eq!(told[index], Told::Absent, "a cell is answered twice");
            told[index] = Told::from_abi(&reading);
        }
        Ok(told)
    }

    /// What the chain says of itself.
    ///
    /// # Errors
    ///
    /// That of the call.
    pub fn identity(&self) -> Result<String, abi::AbiError> {
        let identity = run(self.provider.identity(context())).into_result();
        identity.map(abi::RString::into_string)
    }

    /// What the provider can do.
    ///
    /// # Panics
    ///
    /// When the provider does.
    #[must_use]
    pub fn caps(&self) -> abi::Caps {
        self.provider.describe().expect("it describes itself")
    }

    /// The canonical form of an address.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn validate(&self, address: &str) -> Result<String, abi::AbiError> {
        let canonical = self.provider.validate_address(address);
        canonical.map(abi::RString::into_string)
    }

    /// Path and body of the requests since the last look, oldest first.
    pub fn sent(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *locked(&self.world.sent))
    }

    /// The lines that were logged.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        locked(&self.world.log).clone()
    }

    /// Moves time forward.
    pub fn advance(&self, duration: Duration) {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.world.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// From now on each request takes that long.
    pub fn slow(&self, duration: Duration) {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.world.step_ms.store(ms, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").finish_non_exhaustive()
    }
}

// === impl Told ===

impl Told {
    fn from_abi(reading: &abi::Reading) -> Self {
        let error = || match &reading.error {
            abi::RSome(error) => (error.kind, error.message.to_string()),
            abi::RNone => panic!("an error is told"),
        };
        match reading.kind {
            abi::ReadingKind::KNOWN => {
                let has_height = reading.flags & abi::READING_HAS_HEIGHT != 0;
                Self::Known(Amount(reading.amount), has_height.then_some(reading.height))
            }
            abi::ReadingKind::INVALID => Self::Invalid(error().0, error().1),
            _ => Self::Unknown(error().0, error().1),
        }
    }

    /// The amount as a number.
    ///
    /// # Panics
    ///
    /// When there is none, or it is a large one.
    #[must_use]
    pub fn amount(&self) -> u64 {
        match self {
            Self::Known(amount, _) => crate::wire::from_amount(amount).expect("a small amount"),
            other => panic!("no amount but {other:?}"),
        }
    }

    /// Why there is no amount.
    #[must_use]
    pub fn kind(&self) -> Option<abi::ErrorKind> {
        match self {
            Self::Unknown(kind, _) | Self::Invalid(kind, _) => Some(*kind),
            Self::Known(..) | Self::Absent => None,
        }
    }
}

// === impl World ===

impl abi::HostServices for World {
    fn http(
        &self,
        _call: abi::CallContext,
        request: abi::HttpRequest,
    ) -> abi::BoxFuture<Result<abi::HttpResponse, abi::AbiError>> {
        let (status, body) = (self.upstream)(&request.path, &request.body);
        let sent = String::from_utf8_lossy(&request.body).into_owned();
        locked(&self.sent).push((request.path.to_string(), sent));
        let step_ms = self.step_ms.load(Ordering::SeqCst);
        self.now_ms.fetch_add(step_ms, Ordering::SeqCst);
        let answer = match status {
            0 => Err(abi::AbiError::new(abi::ErrorKind::TIMEOUT, "no answer")),
            status => Ok(abi::HttpResponse {
                status,
                headers: abi::RVec::new(),
                body: body.into_bytes().into(),
                reserved: [0; 4],
            }),
        };
        Box::pin(std::future::ready(answer))
    }

    fn sleep(&self, duration: Duration) -> abi::BoxFuture<()> {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }

    fn unix_ms(&self) -> i64 {
        0
    }

    fn monotonic_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn log(&self, _level: abi::LogLevel, message: &str) {
        locked(&self.log).push(message.to_owned());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn context() -> abi::CallContext {
    abi::CallContext {
        call: 1,
        deadline_ms: 15_000,
        ..Default::default()
    }
}

/// All that is awaited here is ready at once.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let polled = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    match polled {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the call waits for something that is not the host's"),
    }
}
