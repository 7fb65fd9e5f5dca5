//! Questions to a provider, and its answers held against what no answer may be.

use std::sync::Arc;
use std::time::Duration;

use scanhost_abi::host::settle;
use scanhost_abi::types::{
    AbiError, BalancesRequest, CallContext, Caps, CellRef, ErrorKind, READING_HAS_PENDING, Reading,
    ReadingKind,
};
use scanhost_abi::{HostHandle, ProviderObject, RSome};

use crate::check::{Failure, Outcome, failed};
use crate::offline::{OfflineHost, Services, drive};
use crate::sample::SampleAsset;

/// The deadline that every call is told.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);
/// Longest message that says anything to a person.
const MESSAGE_MAX: usize = 4096;

/// A provider that was opened over a host.
pub(crate) struct Session {
    pub(crate) provider: ProviderObject,
    pub(crate) host: Arc<OfflineHost>,
}

/// Every address in every asset, as far as one call takes them.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) addresses: Vec<String>,
    pub(crate) assets: Vec<SampleAsset>,
    pub(crate) cells: Vec<CellRef>,
    pub(crate) commitment: scanhost_abi::types::Commitment,
}

/// What a cell got.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Known(Amount),
    Unknown(AbiError),
    Invalid(AbiError),
    /// No reading at all.
    Absent,
}

/// A balance, with what is not confirmed of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) amount: [u8; 32],
    pub(crate) pending: Option<i128>,
}

/// What a call ended with: something for each cell, or one failure for all.
pub(crate) type Reply = Result<Vec<Told>, AbiError>;

// === impl Ask ===

impl Ask {
    /// As many of the cells as fit `caps`.
    pub(crate) fn within(caps: &Caps, addresses: Vec<String>, assets: &[SampleAsset]) -> Self {
        let mut ask = Self::all(addresses, assets.to_vec());
        ask.commitment = caps.commitment_default;
        let fits = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        ask.addresses.truncate(fits(caps.addresses_per_call_max));
        ask.assets.truncate(fits(caps.assets_per_call_max));
        ask.remake_cells();
        ask.cells.truncate(fits(caps.cells_per_call_max));
        ask
    }

    pub(crate) fn all(addresses: Vec<String>, assets: Vec<SampleAsset>) -> Self {
        let mut ask = Self {
            addresses,
            assets,
            cells: Vec::new(),
            commitment: scanhost_abi::types::Commitment::LATEST,
        };
        ask.remake_cells();
        ask
    }

    fn remake_cells(&mut self) {
        let assets = (0_u16..).zip(&self.assets).map(|(asset, _)| asset);
        let addresses = (0_u32..).zip(&self.addresses).map(|(address, _)| address);
        self.cells = addresses
            .flat_map(|address| assets.clone().map(move |asset| CellRef { address, asset }))
            .collect();
    }

    fn to_abi(&self) -> BalancesRequest {
        let addresses = self.addresses.iter().map(|address| address.as_str().into());
        BalancesRequest {
            addresses: addresses.collect(),
            assets: self.assets.iter().map(SampleAsset::to_abi).collect(),
            cells: self.cells.iter().copied().collect(),
            commitment: self.commitment,
            min_height: 0,
            at_height: 0,
            reserved: [0; 3],
        }
    }
}

// === impl Session ===

impl Session {
    pub(crate) fn handle(host: &Arc<OfflineHost>) -> HostHandle {
        HostHandle::new(Arc::new(Services(host.clone())))
    }

    /// Asks for balances. A panic, an answer to a question that was not asked and a failure
    /// without a reason end the check here.
    pub(crate) fn balances(&self, ask: &Ask) -> Outcome<Reply> {
        Ok(self.timed_balances(ask)?.0)
    }

    /// The same with the longest poll of the call.
    pub(crate) fn timed_balances(&self, ask: &Ask) -> Outcome<(Reply, Duration)> {
        let call = settle(self.provider.balances(context(), ask.to_abi()));
        let driven = drive(call).map_err(|_stuck| stuck("balances"))?;
        Ok((replied(driven.output, ask)?, driven.longest_poll))
    }

    /// The call itself, for those who poll it themselves.
    pub(crate) fn balances_future(
        &self,
        ask: &Ask,
    ) -> impl Future<Output = Result<scanhost_abi::RVec<Reading>, AbiError>> + use<> {
        settle(self.provider.balances(context(), ask.to_abi()))
    }

    /// Asks who the chain is.
    pub(crate) fn identity(&self) -> Outcome<Result<String, AbiError>> {
        let call = settle(self.provider.identity(context()));
        let driven = drive(call).map_err(|_stuck| stuck("identity"))?;
        match driven.output {
            Ok(identity) => Ok(Ok(identity.into_string())),
            Err(error) => {
                sound(&error)?;
                Ok(Err(error))
            }
        }
    }

    /// The canonical form of an address, or why it is none.
    pub(crate) fn validate(&self, address: &str) -> Outcome<Result<String, AbiError>> {
        match self.provider.validate_address(address) {
            Ok(canonical) => Ok(Ok(canonical.into_string())),
            Err(error) => {
                sound(&error)?;
                Ok(Err(error))
            }
        }
    }
}

/// The answers by cell, if they are answers to this question.
pub(crate) fn replied(
    output: Result<scanhost_abi::RVec<Reading>, AbiError>,
    ask: &Ask,
) -> Outcome<Reply> {
    let readings = match output {
        Ok(readings) => readings,
        Err(error) => {
            sound(&error)?;
            return Ok(Err(error));
        }
    };
    let mut told: Vec<Told> = ask.cells.iter().map(|_| Told::Absent).collect();
    for reading in readings {
        let cells = told.len();
        let place = usize::try_from(reading.cell).ok();
        let Some(place) = place.and_then(|index| told.get_mut(index)) else {
            return failed(format!(
                "a reading names cell {}, but {cells} were asked for",
                reading.cell
            ));
        };
        if !matches!(place, Told::Absent) {
            return failed(format!("cell {} has two readings", reading.cell));
        }
        *place = Told::of(reading)?;
    }
    Ok(Ok(told))
}

fn stuck(call: &str) -> Failure {
    Failure::Failed(format!(
        "`{call}` waits for something that is not the host's; await only what `Cx` returns"
    ))
}

fn context() -> CallContext {
    CallContext {
        call: 1,
        deadline_ms: u64::try_from(DEADLINE.as_millis()).unwrap_or(u64::MAX),
        ..CallContext::default()
    }
}

/// Fails for what no failure may be: a panic, or nothing that says what happened.
pub(crate) fn sound(error: &AbiError) -> Outcome<()> {
    let message = error.message.as_str();
    if error.kind == ErrorKind::PLUGIN_FAULT && message.starts_with("panic in") {
        return failed(message.to_owned());
    }
    if message.trim().is_empty() {
        return failed(format!("a failure of kind {} has no message", error.kind.0));
    }
    if message.len() > MESSAGE_MAX {
        let length = message.len();
        return failed(format!(
            "a message has {length} bytes; quote bodies shortened (`Response::quote`)"
        ));
    }
    Ok(())
}

// === impl Told ===

impl Told {
    fn of(reading: Reading) -> Outcome<Self> {
        let error = match &reading.error {
            RSome(error) => {
                sound(error)?;
                Some((**error).clone())
            }
            _ => None,
        };
        let cell = reading.cell;
        match (reading.kind, error) {
            (ReadingKind::KNOWN, None) => Ok(Self::Known(Amount {
                amount: reading.amount,
                pending: (reading.flags & READING_HAS_PENDING != 0)
                    .then(|| i128::from_be_bytes(reading.pending)),
            })),
            (ReadingKind::UNKNOWN, Some(error)) => Ok(Self::Unknown(error)),
            (ReadingKind::INVALID, Some(error)) => Ok(Self::Invalid(error)),
            (ReadingKind::KNOWN, Some(_)) => {
                failed(format!("cell {cell} is known and has a failure as well"))
            }
            (ReadingKind::UNKNOWN | ReadingKind::INVALID, None) => {
                failed(format!("cell {cell} is not known, and no reason is told"))
            }
            (kind, _) => failed(format!("cell {cell} is of kind {}, which is none", kind.0)),
        }
    }

    pub(crate) fn known(&self) -> Option<Amount> {
        match self {
            Self::Known(amount) => Some(*amount),
            _ => None,
        }
    }

    /// Why there is no amount.
    pub(crate) fn error(&self) -> Option<&AbiError> {
        match self {
            Self::Unknown(error) | Self::Invalid(error) => Some(error),
            Self::Known(_) | Self::Absent => None,
        }
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(amount) => write!(f, "the amount {amount:?}"),
            Self::Unknown(error) => write!(f, "unknown, {}", describe(error)),
            Self::Invalid(error) => write!(f, "invalid, {}", describe(error)),
            Self::Absent => f.write_str("no reading"),
        }
    }
}

impl std::fmt::Debug for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let zeros = self.amount.iter().take_while(|byte| **byte == 0).count();
        f.write_str("0x")?;
        for byte in &self.amount[zeros.min(31)..] {
            write!(f, "{byte:02x}")?;
        }
        match self.pending {
            Some(pending) => write!(f, " with {pending} pending"),
            None => Ok(()),
        }
    }
}

/// A failure for people: its kind by the ABI's own word, and the message.
pub(crate) fn describe(error: &AbiError) -> String {
    let kind = kind_name(error.kind);
    let message: String = error.message.chars().take(200).collect();
    format!("{kind}: {message}")
}

/// The word of a kind.
pub(crate) fn kind_name(kind: ErrorKind) -> String {
    let name = match kind {
        ErrorKind::TIMEOUT => "timeout",
        ErrorKind::TRANSPORT => "transport",
        ErrorKind::SERVER_ERROR => "server_error",
        ErrorKind::RATE_LIMITED => "rate_limited",
        ErrorKind::QUOTA => "quota",
        ErrorKind::UNAUTHORIZED => "unauthorized",
        ErrorKind::MALFORMED => "malformed",
        ErrorKind::MISSING => "missing",
        ErrorKind::REFUSED => "refused",
        ErrorKind::TOO_LARGE => "too_large",
        ErrorKind::UNSUPPORTED => "unsupported",
        ErrorKind::WRONG_CHAIN => "wrong_chain",
        ErrorKind::LAGGING => "lagging",
        ErrorKind::PLUGIN_FAULT => "plugin_fault",
        ErrorKind::CANCELLED => "cancelled",
        ErrorKind::DECIMALS_MISMATCH => "decimals_mismatch",
        ErrorKind::INVALID_ADDRESS => "invalid_address",
        ErrorKind::INVALID_KEY => "invalid_key",
        ErrorKind::PRIVATE_KEY => "private_key",
        ErrorKind(code) => return format!("kind {code}"),
    };
    name.to_owned()
}
