//! A chain whose providers answer at once, out of this process.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use scanhost::clock::SharedClock;
use scanhost::config::Window;
use scanhost::gate::{Gate, GateConfig, GateKey, Pacer, PacerConfig, ProviderType};
use scanhost::ledger::{Pass, PassCounters, PassKind, PassSpec};
use scanhost::model::{Amount, Asset, ChainName, Class, Commitment, PassId};
use scanhost::plugin::backend::{BalancesRequest, CallBudget, CallReport};
use scanhost::plugin::{Answer, Backend, CallError, Caps, Cost, Outcome};
use scanhost::pool::{Member, Pool};
use scanhost::scan::engine::Patience;
use scanhost::scan::list::{AddressList, ListReader};

use tokio::time::Instant;

use crate::Failure;

/// Cells in one call, as the EVM plugins take them.
pub(crate) const BATCH: usize = 1_000;
/// Calls at once, by provider.
const CONNECTIONS: usize = 8;
const PROVIDERS: usize = 2;
const SEED: u64 = 7;

/// What the providers of a chain answer.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// A third of the amounts differs from one value to the next.
    pub(crate) age: AtomicU64,
    /// Every so many addresses is no address of the chain to any provider; 0 is none.
    pub(crate) invalid_every: u64,
    /// Every so many addresses is refused by every provider; 0 is none.
    pub(crate) refused_every: u64,
}

/// A chain, its assets and its pool.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chain: ChainName,
    pub(crate) assets: Vec<Asset>,
    pub(crate) pool: Pool,
    pub(crate) script: Arc<Script>,
    /// When each provider was asked, where it has limits.
    pub(crate) asked: Vec<Arc<Mutex<Vec<Instant>>>>,
}

/// A provider without latency.
#[derive(Debug)]
struct AtOnce {
    script: Arc<Script>,
    batch: usize,
    asked: Option<Arc<Mutex<Vec<Instant>>>>,
}

// === impl World ===

impl World {
    pub(crate) fn new(script: Script, clock: &SharedClock) -> Self {
        Self::with_limits(script, clock, &[])
    }

    /// A chain whose providers take one cell in a call, and so many calls a second each.
    pub(crate) fn with_limits(script: Script, clock: &SharedClock, limits: &[Window]) -> Self {
        let asked: Vec<_> = limits.iter().map(|_| Arc::default()).collect();
        let chain = ChainName::from("bench");
        let script = Arc::new(script);
        let asset = |symbol: &str, contract: Option<&str>| Asset {
            symbol: symbol.into(),
            contract: contract.map(Into::into),
            decimals: 18,
        };
        let member = |index: usize| {
            let name = format!("p{index}");
            let key = GateKey {
                chain: chain.clone(),
                provider: name.as_str().into(),
                kind: ProviderType::Scan,
            };
            let limit = limits.get(index);
            let backend = AtOnce {
                script: script.clone(),
                batch: if limit.is_some() { 1 } else { BATCH },
                asked: asked.get(index).cloned(),
            };
            let config = PacerConfig {
                windows: limit.into_iter().copied().collect(),
                ..PacerConfig::default()
            };
            let gate = Gate::new(key, GateConfig::default(), "", clock.clone(), SEED);
            Arc::new(Member::new(
                name.as_str().into(),
                Arc::new(backend),
                gate.paced_by(Pacer::new(&config, clock.clone())),
                Duration::from_secs(15),
                CONNECTIONS,
            ))
        };
        Self {
            assets: vec![
                asset("BNB", None),
                asset("USDT", Some("0x55d398326f99059ff775485246999027b3197955")),
            ],
            pool: Pool {
                members: (0..PROVIDERS).map(member).collect(),
                cooldown_longest: Duration::from_secs(30),
                ..Pool::empty(chain.clone())
            },
            chain,
            script,
            asked,
        }
    }

    pub(crate) fn patience() -> Patience {
        Patience {
            budget: Duration::from_secs(60),
            max_pool_failures: 5,
        }
    }

    pub(crate) fn cells(&self, list: &AddressList) -> u64 {
        list.valid * self.assets.len() as u64
    }

    /// The list in `file`, judged by the first provider.
    pub(crate) async fn read(&self, file: &Path) -> Result<AddressList, Failure> {
        let mut reader = ListReader::new(vec![&*self.pool.members[0].backend])?;
        reader.read(file, &mut |_| ()).await?;
        Ok(reader.finish(&mut |_| ())?)
    }

    pub(crate) fn spec(&self, list: &AddressList) -> PassSpec {
        PassSpec {
            chain: self.chain.clone(),
            kind: PassKind::Set,
            fingerprint: list.digest.clone(),
            cells: self.cells(list),
            resume_within: None,
        }
    }

    /// A pass that no ledger knows.
    pub(crate) fn pass() -> Pass {
        Pass {
            id: PassId::from("bench"),
            resumed: false,
            started_at: 0,
            counters: PassCounters::default(),
        }
    }
}

/// Writes a list of that many distinct addresses in no order.
pub(crate) fn write_list(file: &Path, addresses: u64) -> Result<(), Failure> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    for _ in 0..addresses {
        let (high, middle, low) = (random.u64(..), random.u64(..), random.u32(..));
        writeln!(out, "0x{high:016x}{middle:016x}{low:08x}")?;
    }
    Ok(out.flush()?)
}

// === impl Script ===

impl Script {
    fn outcome(&self, address: &str, age: u64) -> Outcome {
        let number = number_of(address);
        let hits = |every: u64| every > 0 && number.is_multiple_of(every);
        if hits(self.invalid_every) {
            return Outcome::Invalid(CallError::new(Class::InvalidAddress, "no such account"));
        }
        if hits(self.refused_every) {
            return Outcome::Unknown(CallError::new(Class::Refused, "execution reverted"));
        }
        let changed = if number.is_multiple_of(3) { age } else { 0 };
        let amount = u128::from(number >> 1) * 1_000_000_007 + u128::from(changed);
        let mut bytes = [0; 32];
        bytes[16..].copy_from_slice(&amount.to_be_bytes());
        Outcome::Known {
            used: None,
            amount: Amount::from_be_bytes(bytes),
            pending: None,
            height: Some(45_000_000 + age),
            block_hash: None,
        }
    }
}

/// A number that is the address's own.
fn number_of(address: &str) -> u64 {
    let digits = address.get(2..18).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default()
}

// === impl AtOnce ===

#[async_trait]
impl Backend for AtOnce {
    fn caps(&self) -> Caps {
        Caps {
            native: true,
            tokens: true,
            pinned: false,
            min_height: false,
            derive: false,
            cells_max: self.batch,
            addresses_max: self.batch,
            assets_max: 16,
            cost: Cost {
                call: 1,
                ..Cost::default()
            },
            token_scope: "wallet",
            commitment_default: Commitment::Latest,
        }
    }

    async fn validate_addresses(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Result<String, String>>, CallError> {
        Ok(addresses.into_iter().map(Ok).collect())
    }

    async fn identity(&self, _budget: CallBudget) -> CallReport<String> {
        CallReport {
            result: Ok("bench".to_owned()),
            http_attempts: 1,
        }
    }

    async fn balances(
        &self,
        request: BalancesRequest,
        budget: CallBudget,
    ) -> CallReport<Vec<Answer>> {
        let slot = match budget.slots.take(1).await {
            Ok(slot) => slot,
            Err(paced_out) => {
                return CallReport {
                    result: Err(CallError::new(Class::RateLimited, paced_out.to_string())),
                    http_attempts: 0,
                };
            }
        };
        if let Some(asked) = &self.asked {
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push(Instant::now());
        }
        slot.answered();
        let age = self.script.age.load(Ordering::Relaxed);
        let answer = |(cell, (address, _)): (u32, &(u32, u16))| Answer {
            cell,
            outcome: self
                .script
                .outcome(&request.addresses[*address as usize], age),
        };
        CallReport {
            result: Ok((0..).zip(&request.cells).map(answer).collect()),
            http_attempts: 1,
        }
    }
}
