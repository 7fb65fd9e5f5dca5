//! A scenario's pool, list and store, put together as a scan puts the real ones together.

use std::sync::Arc;

use tempfile::TempDir;

use super::SimulateError;
use super::scripted::Scripted;
use super::world::{World, address, mix};
use crate::clock::{SharedClock, VirtualClock};
use crate::config::Scenario;
use crate::gate::{Gate, GateConfig, GateKey, Pacer, PacerConfig, ProviderType};
use crate::ledger::Ledger;
use crate::model::{Asset, ChainName};
use crate::pool::assemble::breaker_config;
use crate::pool::decision::Decisions;
use crate::pool::{Member, Pool};
use crate::scan::list::{AddressList, ListReader};

/// When a simulation begins, in milliseconds since 1970: 2026-11-21T00:00:00Z.
pub(super) const START_MS: i64 = 1_795_219_200_000;

/// Everything that passes work with.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) clock: SharedClock,
    pub(super) world: Arc<World>,
    pub(super) chain: ChainName,
    pub(super) assets: Vec<Asset>,
    pub(super) list: AddressList,
    pub(super) pool: Pool,
    /// In the order of the pool.
    pub(super) providers: Vec<Arc<Scripted>>,
    pub(super) ledger: Ledger,
    /// The store is in it.
    _folder: TempDir,
}

impl Stage {
    pub(super) async fn new(scenario: &Scenario, seed: u64) -> Result<Self, SimulateError> {
        let clock: SharedClock = Arc::new(VirtualClock::starting_at(START_MS));
        let world = Arc::new(World::new(seed, clock.now()));
        let folder = tempfile::tempdir().map_err(SimulateError::Prepare)?;
        let url = format!("sqlite://{}", folder.path().join("simulate.db").display());
        let ledger = Ledger::open(&url, clock.clone()).await?;
        let chain = ChainName::from("simulated");
        let (pool, providers) = pool(scenario, seed, &chain, &clock, &world);
        Ok(Self {
            list: list(scenario.addresses).await?,
            assets: (0..scenario.assets).map(asset).collect(),
            clock,
            world,
            chain,
            pool,
            providers,
            ledger,
            _folder: folder,
        })
    }
}

fn pool(
    scenario: &Scenario,
    seed: u64,
    chain: &ChainName,
    clock: &SharedClock,
    world: &Arc<World>,
) -> (Pool, Vec<Arc<Scripted>>) {
    let identity = scenario.identity.as_deref();
    let mut pool = Pool {
        chain: chain.clone(),
        members: Vec::new(),
        unusable: Vec::new(),
        spill_after: scenario.spill_after,
        identity: scenario.identity.clone(),
        cooldown_longest: scenario.breaker.longest_cooldown(),
        strategy: scenario.strategy,
        decisions: Arc::new(Decisions::default()),
    };
    let mut providers = Vec::new();
    for (place, script) in scenario.providers.iter().enumerate() {
        let world = Arc::clone(world);
        let script = script.clone();
        let backend = Arc::new(Scripted::new(
            script,
            place,
            scenario.assets,
            identity,
            world,
        ));
        let key = GateKey {
            chain: chain.clone(),
            provider: backend.script().name.clone(),
            kind: ProviderType::Scan,
        };
        let config = GateConfig {
            breaker: breaker_config(&scenario.breaker),
            spill_after: scenario.spill_after,
            identity: identity.is_some(),
            ..GateConfig::default()
        };
        let jitter = mix(&[seed, place as u64]);
        let pacer = PacerConfig {
            windows: backend.script().limits.clone(),
            ..PacerConfig::default()
        };
        let pacer = Pacer::new(&pacer, clock.clone());
        pool.members.push(Arc::new(Member::new(
            backend.script().name.clone(),
            Arc::clone(&backend) as Arc<_>,
            Gate::new(key, config, "", clock.clone(), jitter).paced_by(pacer),
            backend.script().timeout,
            backend.script().connections as usize,
        )));
        providers.push(backend);
    }
    (pool, providers)
}

/// The native coin first, then tokens that are named by their number.
fn asset(index: u32) -> Asset {
    let contract = (index > 0).then(|| format!("token{index}"));
    Asset {
        symbol: contract.as_deref().unwrap_or("COIN").into(),
        contract: contract.as_deref().map(Into::into),
        decimals: 18,
    }
}

async fn list(addresses: u32) -> Result<AddressList, SimulateError> {
    let mut reader = ListReader::new(Vec::new())?;
    let rows = (0..addresses)
        .map(|index| (u64::from(index), address(index), None))
        .collect();
    let mut remark = |remark| {
        tracing::warn!("the list of a simulation has a remark: {remark:?}");
    };
    reader.take_rows("simulated", rows, &mut remark).await?;
    Ok(reader.finish(&mut remark)?)
}
