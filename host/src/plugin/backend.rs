//! A provider as the rest of the host calls it, wherever its code runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scanhost_abi::host::settle;
use scanhost_abi::types as abi;
use scanhost_abi::{AbiFuture, HostHandle, ProviderObject, RNone, ROption, RSome, RVec};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::loader::Library;
use super::runtime::PluginRuntime;
use super::services::{CallGuard, Calls, Services};
use super::{ErrorCode, PluginError};
use crate::clock::SharedClock;
use crate::gate::RequestSlots;
use crate::http::HttpClient;
use crate::model::{Amount, Asset, ChainName, Class, Commitment, ProviderName, is_unprintable};

/// Longest message that is kept of a plugin's.
const MESSAGE_MAX: usize = 300;
/// Longest wait for `open`.
const OPEN_MAX: Duration = Duration::from_secs(5);
/// Longest canonical address, in bytes; Bitcoin's longest has 90.
const CANONICAL_MAX: usize = 256;
/// Addresses that are validated in one turn of a plugin's thread.
const VALIDATE_CHUNK: usize = 1_000;

/// A failure of a call, before anyone judged whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// What kind.
    pub class: Class,
    /// One line, without secrets.
    pub message: String,
    /// The status of the HTTP answer, where there was one.
    pub http_status: Option<u16>,
    /// How long the provider asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl CallError {
    /// A failure that the host itself found.
    #[must_use]
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            http_status: None,
            retry_after: None,
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// HTTP requests of a call:
/// `call + native_batch (if any native cell) + native_cell × natives + token_cell × tokens`, and
/// what is asked once on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Per call.
    pub call: u32,
    /// Once per call with a native cell.
    pub native_batch: u32,
    /// Per native cell.
    pub native_cell: u32,
    /// Per token cell.
    pub token_cell: u32,
    /// Once, with the first call.
    pub once: u32,
    /// Once, with the first call that has a token cell.
    pub once_tokens: u32,
    /// Once for each token, with its first cell.
    pub once_per_token: u32,
}

impl Cost {
    /// HTTP requests of one call with that many cells, without what is asked once.
    #[must_use]
    pub fn requests(&self, natives: u32, tokens: u32) -> u32 {
        let batch = if natives > 0 { self.native_batch } else { 0 };
        self.call
            .saturating_add(batch)
            .saturating_add(self.native_cell.saturating_mul(natives))
            .saturating_add(self.token_cell.saturating_mul(tokens))
    }
}

/// What a provider can do; every limit is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Reads the native coin.
    pub native: bool,
    /// Reads tokens.
    pub tokens: bool,
    /// Reads at one height; without it a request has no `at_height`.
    pub pinned: bool,
    /// Gives no amount older than a request's `min_height`.
    pub min_height: bool,
    /// Most cells in a call.
    pub cells_max: usize,
    /// Most distinct addresses in a call.
    pub addresses_max: usize,
    /// Most distinct assets in a call.
    pub assets_max: usize,
    /// What a call costs.
    pub cost: Cost,
    /// What token amounts count: `wallet`, `associated`, `all`.
    pub token_scope: &'static str,
    /// What is read when the configuration names no commitment.
    pub commitment_default: Commitment,
}

/// Which balances to read, within [`Caps`].
#[derive(Clone, Debug)]
pub struct BalancesRequest {
    /// Distinct canonical addresses.
    pub addresses: Vec<Arc<str>>,
    /// Distinct assets.
    pub assets: Vec<Asset>,
    /// Pairs of indices into the two.
    pub cells: Vec<(u32, u16)>,
    /// How settled.
    pub commitment: Commitment,
    /// Lowest height that counts; 0 is any.
    pub min_height: u64,
    /// The one height to read at, where the pass is pinned; `None` is the provider's newest.
    pub at_height: Option<u64>,
}

/// What one call may cost.
#[derive(Debug)]
pub struct CallBudget {
    /// How long it may take, without its waits for slots and connections.
    pub deadline: Duration,
    /// What its requests take their slots from.
    pub slots: RequestSlots,
}

/// One answer as the provider gave it, not yet matched to its cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Index into the request's cells; may be any number.
    pub cell: u32,
    /// What it says.
    pub outcome: Outcome,
}

/// What an [`Answer`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A balance.
    Known {
        /// In the smallest unit.
        amount: Amount,
        /// Signed change not yet confirmed.
        pending: Option<i128>,
        /// Height or slot.
        height: Option<u64>,
        /// Lower-case hex.
        block_hash: Option<String>,
    },
    /// Not answered.
    Unknown(CallError),
    /// Not answerable by anyone.
    Invalid(CallError),
}

/// What came of a call, and what it cost.
#[derive(Clone, Debug)]
pub struct CallReport<T> {
    /// The answer.
    pub result: Result<T, CallError>,
    /// Real HTTP attempts of the call.
    pub http_attempts: u32,
}

/// A provider's code, in this process or another. All calls end by their deadline.
#[async_trait]
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// What it can do.
    fn caps(&self) -> Caps;

    /// The canonical form of each address, or why it is none of the network.
    ///
    /// # Errors
    ///
    /// The plugin's fault: nothing was judged.
    async fn validate_addresses(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Result<String, String>>, CallError>;

    /// What the chain behind the endpoint says of itself.
    async fn identity(&self, budget: CallBudget) -> CallReport<String>;

    /// Balances, in any order, with holes.
    async fn balances(
        &self,
        request: BalancesRequest,
        budget: CallBudget,
    ) -> CallReport<Vec<Answer>>;
}

/// What a plugin's `open` is told.
#[derive(Clone, Debug, Serialize)]
pub struct OpenSettings {
    /// The chain's name.
    pub chain: ChainName,
    /// The provider's name.
    pub provider: ProviderName,
    /// Which network's addresses are valid.
    pub network: String,
    /// What the chain says of itself, where the configuration tells it.
    pub identity: Option<String>,
    /// The provider's options.
    pub options: serde_json::Value,
}

/// A provider whose code runs in this process, on the plugin's own thread.
#[derive(Debug)]
pub struct InProcess {
    provider: Arc<ProviderObject>,
    runtime: Arc<PluginRuntime>,
    calls: Arc<Calls>,
    client: Arc<HttpClient>,
    caps: Caps,
}

/// A loaded library and its thread, shared by the providers that it serves.
#[derive(Clone, Debug)]
pub struct PluginHost {
    library: Library,
    runtime: Arc<PluginRuntime>,
    io: Handle,
}

impl PluginHost {
    /// Loads a judged file and starts its thread. `io` is the host's runtime.
    ///
    /// # Errors
    ///
    /// The load step that failed.
    pub fn load(file: &super::PluginFile, copies: &Path, io: &Handle) -> Result<Self, PluginError> {
        let library = Library::load(file, copies)?;
        let name = file.manifest.name.as_str();
        let runtime = PluginRuntime::start(name, io).map_err(|error| {
            PluginError::new(ErrorCode::Open, &file.path, format!("its thread: {error}"))
        })?;
        tracing::info!(
            plugin = name,
            version = file.manifest.version,
            sha256 = file.sha256,
            path = %file.path.display(),
            "plugin `{name}` {} loaded", file.manifest.version
        );
        Ok(Self {
            library,
            runtime: Arc::new(runtime),
            io: io.clone(),
        })
    }

    /// The library.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Opens one provider.
    ///
    /// # Errors
    ///
    /// `open` refused, panicked, or did not come back; or the provider says impossible things.
    pub async fn open(
        &self,
        settings: &OpenSettings,
        client: Arc<HttpClient>,
        clock: SharedClock,
    ) -> Result<InProcess, PluginError> {
        let path = &self.library.file().path;
        let fail = |code, message: String| PluginError::new(code, path, message);
        let calls = Arc::new(Calls::default());
        let services = Services {
            provider: settings.provider.clone(),
            client: client.clone(),
            start: clock.now(),
            clock,
            io: self.io.clone(),
            calls: calls.clone(),
        };
        let host = HostHandle::new(Arc::new(services));
        let json = serde_json::to_string(settings)
            .map_err(|error| fail(ErrorCode::Options, error.to_string()))?;
        let library = self.library.clone();
        let opening = self.runtime.spawn(async move {
            let provider = library.open(host, json)?;
            let caps = provider
                .describe()
                .map_err(|error| error.message.into_string())?;
            Ok::<_, String>((provider, caps))
        });
        let opened = tokio::time::timeout(OPEN_MAX, opening).await;
        let opened = opened.map_err(|_elapsed| {
            let message = format!("`open` did not come back within {} s", OPEN_MAX.as_secs());
            fail(ErrorCode::OpenDeadline, message)
        })?;
        let (provider, caps) = opened
            .map_err(|error| fail(ErrorCode::Open, error.to_string()))?
            .map_err(|message| {
                let message = client.redactor().redact_line(&clean(&message));
                fail(
                    ErrorCode::Open,
                    format!("provider `{}`: {message}", settings.provider),
                )
            })?;
        let caps = caps_of(&caps).map_err(|why| fail(ErrorCode::Descriptor, why))?;
        Ok(InProcess {
            provider: Arc::new(provider),
            runtime: self.runtime.clone(),
            calls,
            client,
            caps,
        })
    }
}

impl InProcess {
    /// Runs one call on the plugin's thread until it ends, the deadline passes, or it hangs.
    async fn call<T: Send + 'static>(
        &self,
        budget: CallBudget,
        start: impl FnOnce(&ProviderObject, abi::CallContext) -> AbiFuture<T> + Send + 'static,
    ) -> CallReport<T> {
        let call = self.calls.begin(budget.slots.clone());
        let result = self.run(&call, budget, start).await;
        CallReport {
            result,
            http_attempts: call.traffic.attempts(),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        call: &CallGuard,
        budget: CallBudget,
        start: impl FnOnce(&ProviderObject, abi::CallContext) -> AbiFuture<T> + Send + 'static,
    ) -> Result<T, CallError> {
        let hung = || CallError::new(Class::PluginFault, "the plugin hangs; it is in quarantine");
        if self.runtime.is_hung() {
            return Err(hung());
        }
        let CallBudget { deadline, slots } = budget;
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let context = abi::CallContext {
            call: call.id,
            deadline_ms,
            ..Default::default()
        };
        let provider = self.provider.clone();
        let task = self
            .runtime
            .spawn(async move { settle(start(&provider, context)).await });
        let mut task = AbortOnDrop(task);
        tokio::select! {
            done = &mut task.0 => match done {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(self.error_of(&error)),
                Err(join) => Err(CallError::new(Class::PluginFault, join.to_string())),
            },
            () = self.runtime.hung() => Err(hung()),
            () = overdue(deadline, &slots) => Err(if call.traffic.is_open() {
                let message = format!("no answer within {}", told(deadline));
                CallError::new(Class::Timeout, message)
            } else {
                let message = format!("the plugin did not finish within {}", told(deadline));
                CallError::new(Class::PluginFault, message)
            }),
        }
    }

    fn error_of(&self, error: &abi::AbiError) -> CallError {
        CallError {
            class: class_of(error.kind),
            message: self.client.redactor().redact_line(&clean(&error.message)),
            http_status: (error.http_status != 0).then_some(error.http_status),
            retry_after: (error.retry_after_ms != 0)
                .then(|| Duration::from_millis(error.retry_after_ms)),
        }
    }

    fn answer_of(&self, reading: abi::Reading) -> Answer {
        let has = |flag: u32| reading.flags & flag != 0;
        let error = |fallback: &str| match &reading.error {
            ROption::RSome(error) => self.error_of(error),
            ROption::RNone => CallError::new(Class::Malformed, fallback),
        };
        let outcome = match reading.kind {
            abi::ReadingKind::KNOWN => Outcome::Known {
                amount: Amount::from_be_bytes(reading.amount),
                pending: has(abi::READING_HAS_PENDING)
                    .then(|| i128::from_be_bytes(reading.pending)),
                height: has(abi::READING_HAS_HEIGHT).then_some(reading.height),
                block_hash: has(abi::READING_HAS_BLOCK_HASH)
                    .then(|| hex::encode(reading.block_hash)),
            },
            abi::ReadingKind::UNKNOWN => Outcome::Unknown(error("unknown without a reason")),
            abi::ReadingKind::INVALID => Outcome::Invalid(error("invalid without a reason")),
            other => {
                let message = format!(
                    "a reading of a kind that this host does not know ({})",
                    other.0
                );
                Outcome::Unknown(CallError::new(Class::PluginFault, message))
            }
        };
        Answer {
            cell: reading.cell,
            outcome,
        }
    }
}

#[async_trait]
impl Backend for InProcess {
    fn caps(&self) -> Caps {
        self.caps
    }

    async fn validate_addresses(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Result<String, String>>, CallError> {
        let hung = || CallError::new(Class::PluginFault, "the plugin hangs; it is in quarantine");
        if self.runtime.is_hung() {
            return Err(hung());
        }
        let provider = self.provider.clone();
        let task = self.runtime.spawn(async move {
            let mut judged = Vec::with_capacity(addresses.len());
            for chunk in addresses.chunks(VALIDATE_CHUNK) {
                for address in chunk {
                    judged.push(provider.validate_address(address));
                }
                tokio::task::yield_now().await;
            }
            judged
        });
        let mut task = AbortOnDrop(task);
        let judged = tokio::select! {
            done = &mut task.0 => {
                done.map_err(|join| CallError::new(Class::PluginFault, join.to_string()))?
            }
            () = self.runtime.hung() => return Err(hung()),
        };
        judged
            .into_iter()
            .map(|verdict| match verdict {
                Ok(canonical) => canonical_of(&canonical).map(Ok),
                Err(error) if error.kind == abi::ErrorKind::INVALID_ADDRESS => {
                    Ok(Err(clean(&error.message)))
                }
                Err(error) => Err(self.error_of(&error)),
            })
            .collect()
    }

    async fn identity(&self, budget: CallBudget) -> CallReport<String> {
        let report = self
            .call(budget, |provider, context| provider.identity(context))
            .await;
        let result = report.result.map(|identity| clean(&identity));
        CallReport {
            result,
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
        let call = self.call(budget, move |provider, context| {
            provider.balances(context, request)
        });
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
                .into_iter()
                .map(|reading| self.answer_of(reading))
                .collect())
        });
        CallReport {
            result,
            http_attempts,
        }
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

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn request_of(request: BalancesRequest) -> abi::BalancesRequest {
    let asset = |asset: &Asset| abi::AssetRef {
        contract: asset
            .contract
            .as_deref()
            .map_or(RNone, |contract| RSome(contract.into())),
        decimals: asset.decimals,
        reserved: [0; 2],
    };
    let cell = |(address, asset): (u32, u16)| abi::CellRef { address, asset };
    abi::BalancesRequest {
        addresses: request
            .addresses
            .iter()
            .map(|address| (&**address).into())
            .collect(),
        assets: request.assets.iter().map(asset).collect(),
        cells: request.cells.into_iter().map(cell).collect(),
        commitment: match request.commitment {
            Commitment::Latest => abi::Commitment::LATEST,
            Commitment::Confirmed => abi::Commitment::CONFIRMED,
            Commitment::Finalized => abi::Commitment::FINALIZED,
        },
        min_height: request.min_height,
        at_height: request.at_height.unwrap_or(0),
        reserved: [0; 3],
    }
}

fn caps_of(caps: &abi::Caps) -> Result<Caps, String> {
    let limit = |what: &str, limit: u32| match limit {
        0 => Err(format!("it allows no {what} in a call")),
        limit => Ok(limit as usize),
    };
    let (native, tokens) = (
        caps.can & abi::CAP_NATIVE != 0,
        caps.can & abi::CAP_TOKENS != 0,
    );
    if !native && !tokens {
        return Err("it can read neither the native coin nor tokens".into());
    }
    Ok(Caps {
        native,
        tokens,
        pinned: caps.can & abi::CAP_PINNED != 0,
        min_height: caps.can & abi::CAP_MIN_HEIGHT != 0,
        cells_max: limit("cells", caps.cells_per_call_max)?,
        addresses_max: limit("addresses", caps.addresses_per_call_max)?,
        assets_max: limit("assets", caps.assets_per_call_max)?,
        cost: Cost {
            call: caps.cost.call,
            native_batch: caps.cost.native_batch,
            native_cell: caps.cost.native_cell,
            token_cell: caps.cost.token_cell,
            once: caps.once.call,
            once_tokens: caps.once.tokens,
            once_per_token: caps.once.per_token,
        },
        token_scope: match caps.token_scope {
            abi::Scope::ASSOCIATED => "associated",
            abi::Scope::ALL => "all",
            _ => "wallet",
        },
        commitment_default: match caps.commitment_default {
            abi::Commitment::LATEST => Commitment::Latest,
            abi::Commitment::CONFIRMED => Commitment::Confirmed,
            _ => Commitment::Finalized,
        },
    })
}

/// A kind that this host does not know is a newer plugin's; it is taken for a server's failure.
fn class_of(kind: abi::ErrorKind) -> Class {
    match kind {
        abi::ErrorKind::TIMEOUT => Class::Timeout,
        abi::ErrorKind::TRANSPORT => Class::Transport,
        abi::ErrorKind::RATE_LIMITED => Class::RateLimited,
        abi::ErrorKind::QUOTA => Class::Quota,
        abi::ErrorKind::UNAUTHORIZED => Class::Unauthorized,
        abi::ErrorKind::MALFORMED => Class::Malformed,
        abi::ErrorKind::MISSING => Class::Missing,
        abi::ErrorKind::REFUSED => Class::Refused,
        abi::ErrorKind::TOO_LARGE => Class::TooLarge,
        abi::ErrorKind::UNSUPPORTED => Class::Unsupported,
        abi::ErrorKind::WRONG_CHAIN => Class::WrongChain,
        abi::ErrorKind::LAGGING => Class::Lagging,
        abi::ErrorKind::PLUGIN_FAULT => Class::PluginFault,
        abi::ErrorKind::CANCELLED => Class::Cancelled,
        abi::ErrorKind::DECIMALS_MISMATCH => Class::DecimalsMismatch,
        abi::ErrorKind::INVALID_ADDRESS => Class::InvalidAddress,
        _ => Class::ServerError,
    }
}

/// What a plugin says is untrusted: one line, no control characters, not too long.
fn clean(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(MESSAGE_MAX)
        .map(|char| if is_unprintable(char) { ' ' } else { char })
        .collect();
    if text.chars().nth(MESSAGE_MAX).is_some() {
        line.push('…');
    }
    line
}

/// Addresses are told apart by their canonical form: an empty one would be the same for all.
fn canonical_of(address: &str) -> Result<String, CallError> {
    let printable = !address.chars().any(|char| char.is_control() || char == ' ');
    if (1..=CANONICAL_MAX).contains(&address.len()) && printable {
        return Ok(address.to_owned());
    }
    let message = format!(
        "`validate_address` gave {} bytes for a canonical address, not 1 to {CANONICAL_MAX} \
         printable ones",
        address.len()
    );
    Err(CallError::new(Class::PluginFault, message))
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

    #[test]
    fn what_a_plugin_says_of_heights_is_taken_bit_by_bit() {
        let heights = |can| {
            let caps = abi::Caps {
                can: can | abi::CAP_NATIVE,
                cells_per_call_max: 1,
                addresses_per_call_max: 1,
                assets_per_call_max: 1,
                cost: abi::Cost::default(),
                token_scope: abi::Scope::WALLET,
                commitment_default: abi::Commitment::LATEST,
                once: abi::Once::default(),
                reserved: [0; 6],
            };
            let caps = caps_of(&caps).unwrap();
            (caps.pinned, caps.min_height)
        };
        assert_eq!(heights(0), (false, false));
        assert_eq!(heights(abi::CAP_PINNED), (true, false));
        assert_eq!(heights(abi::CAP_MIN_HEIGHT), (false, true));
        // A newer plugin's bits mean nothing here.
        assert_eq!(heights(1 << 63), (false, false));
    }

    #[test]
    fn the_heights_of_a_request_reach_the_plugin() {
        let sent = |min_height, at_height| {
            let request = request_of(BalancesRequest {
                addresses: vec!["a".into()],
                assets: Vec::new(),
                cells: Vec::new(),
                commitment: Commitment::Latest,
                min_height,
                at_height,
            });
            (request.min_height, request.at_height)
        };
        assert_eq!(sent(0, None), (0, 0));
        assert_eq!(sent(5, Some(7)), (5, 7));
    }

    #[test]
    fn a_canonical_address_that_tells_nothing_apart_is_the_plugins_fault() {
        for bad in ["", " ", "a b", "a\nb", &"a".repeat(CANONICAL_MAX + 1)] {
            let error = canonical_of(bad).unwrap_err();
            assert_eq!(error.class, Class::PluginFault, "{bad:?}");
            assert!(error.message.len() < MESSAGE_MAX);
        }
        let longest = "a".repeat(CANONICAL_MAX);
        for good in ["a", "0x12", &longest] {
            assert_eq!(canonical_of(good).as_deref(), Ok(good));
        }
    }
}
