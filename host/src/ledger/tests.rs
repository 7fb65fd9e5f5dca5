//! The ledger on real SQLite files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::clock::Clock;
use crate::model::{
    Amount, Asset, ChainName, Checkpoint, Class, Commitment, PassId, ProviderError, Reading, Reason,
};

mod chunks;
mod groups;
mod killed;
mod opening;
mod passes;
mod records;
mod virtual_time;

/// Where the tests' wall clock starts.
const START_MS: i64 = 1_795_219_200_000;

/// A wall clock that a test moves; database threads know no paused time.
#[derive(Debug)]
struct HandClock(AtomicI64);

/// A store in a folder of its own.
struct Store {
    folder: TempDir,
    clock: Arc<HandClock>,
}

// === impl HandClock ===

impl HandClock {
    fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Store ===

impl Store {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(HandClock(AtomicI64::new(START_MS))),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("scanhost.db")
    }

    fn shared_clock(&self) -> SharedClock {
        Arc::<HandClock>::clone(&self.clock)
    }

    async fn open(&self) -> Ledger {
        self.try_open().await.unwrap()
    }

    async fn try_open(&self) -> Result<Ledger, LedgerError> {
        Ledger::open(&url_of(&self.path()), self.shared_clock()).await
    }

    async fn look(&self) -> Result<Ledger, LedgerError> {
        Ledger::open_read_only(&url_of(&self.path()), self.shared_clock()).await
    }
}

fn url_of(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

fn chain() -> ChainName {
    ChainName::from("bsc")
}

fn bnb() -> Asset {
    Asset {
        symbol: "BNB".into(),
        contract: None,
        decimals: 18,
    }
}

fn usdt() -> Asset {
    Asset {
        symbol: "USDT".into(),
        contract: Some("0x55d398326f99059ff775485246999027b3197955".into()),
        decimals: 18,
    }
}

fn set_pass(fingerprint: &str) -> PassSpec {
    PassSpec {
        chain: chain(),
        kind: PassKind::Set,
        fingerprint: fingerprint.to_owned(),
        cells: 10,
        resume_within: Some(Duration::from_secs(3_600)),
    }
}

fn known(address: &str, asset: &Asset, amount: &str, observed_at: i64) -> KnownReading {
    at_height(address, asset, amount, observed_at, None)
}

fn at_height(
    address: &str,
    asset: &Asset,
    amount: &str,
    observed_at: i64,
    height: Option<u64>,
) -> KnownReading {
    let reading = Reading::Known {
        used: None,
        amount: amount.parse().unwrap(),
        pending: Some(-2_500),
        at: Checkpoint {
            height,
            block_hash: None,
            commitment: Commitment::Latest,
        },
    };
    let source = ReadingSource {
        provider: "bsc-dataseed".into(),
        scope: "wallet".to_owned(),
        observed_at,
    };
    KnownReading::new(address, asset, &reading, source).unwrap()
}

fn hole(address: &str, asset: &Asset, class: Class, is_final: bool) -> Hole {
    Hole {
        cell: CellName::new(address, asset),
        reason: Reason {
            class,
            message: "2 providers failed".to_owned(),
            providers: vec![
                provider_error("bsc-dataseed", class, None),
                provider_error("bscscan", Class::ServerError, Some(502)),
            ],
        },
        is_final,
    }
}

fn provider_error(provider: &str, class: Class, http_status: Option<u16>) -> ProviderError {
    ProviderError {
        provider: provider.into(),
        class,
        message: "no answer".to_owned(),
        http_status,
    }
}

fn chunk(pass: &PassId) -> ChunkCommit {
    ChunkCommit::of(pass.clone())
}

fn readings(pass: &PassId, readings: Vec<KnownReading>) -> ChunkCommit {
    ChunkCommit {
        asked: readings.len() as u64,
        readings,
        ..chunk(pass)
    }
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

async fn events(ledger: &Ledger) -> Vec<StoredEvent> {
    ledger
        .events_after(0, &EventFilter::default(), 100_000)
        .await
        .unwrap()
}

async fn kinds(ledger: &Ledger) -> Vec<String> {
    let events = events(ledger).await;
    events.into_iter().map(|event| event.kind).collect()
}

async fn balance(ledger: &Ledger, address: &str, asset: &Asset) -> Option<BalanceRow> {
    let filter = BalanceFilter {
        addresses: vec![address.to_owned()],
        assets: vec![asset.key().to_owned()],
        ..BalanceFilter::default()
    };
    let mut rows = ledger.balances(&filter, None, 10).await.unwrap();
    rows.pop()
}
