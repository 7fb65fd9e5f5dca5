//! What is known of the amounts that an alert is about.

use ruint::Uint;

use crate::config::{Alert, AlertWhose, Chain};
use crate::ledger::{Ledger, LedgerError, PassFilter, PassKind, PassRow, PassStatus};
use crate::scan::list::{AddressList, Remark};
use crate::scan::source::{self, Source, SourceError};
use crate::service::setup::ChainSetup;

/// Addresses looked up at once.
const CHUNK: usize = 500;

/// Wide enough for 2^256 amounts of 256 bits each.
pub(super) type Total = Uint<512, 8>;

/// The known part of a sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) known: Total,
    /// Cells that the sum is over.
    pub(super) cells: u64,
    /// Of them, cells that are not known.
    pub(super) unknown: u64,
    /// Why nothing could be summed.
    pub(super) message: Option<String>,
}

// === impl Sum ===

impl Sum {
    /// Nothing is known.
    pub(super) fn unknown(message: String) -> Self {
        Self {
            known: Total::ZERO,
            cells: 0,
            unknown: 0,
            message: Some(message),
        }
    }
}

/// Sums what is known since the newest pass that went over the whole set; `list` is read where it
/// is not there.
///
/// A last good value from before that pass is not known any more: the pass has asked for it anew.
pub(super) async fn sum(
    ledger: &Ledger,
    setup: &ChainSetup,
    alert: &Alert,
    list: &mut Option<AddressList>,
) -> Result<Sum, LedgerError> {
    let addresses = match list.take() {
        Some(list) => list,
        None => match read(ledger, setup, alert).await {
            Ok(list) => list,
            Err(SourceError::Ledger(error)) => return Err(error),
            Err(error) => return Ok(Sum::unknown(error.to_string())),
        },
    };
    let addresses = list.insert(addresses);
    let pass = whole_pass(ledger, &setup.chain).await?;
    let mut sum = Sum {
        known: Total::ZERO,
        cells: 0,
        unknown: 0,
        message: None,
    };
    let unreadable = |error: std::io::Error| Ok(Sum::unknown(format!("the list: {error}")));
    let mut entries = match addresses.entries() {
        Ok(entries) => entries,
        Err(error) => return unreadable(error),
    };
    loop {
        let chunk = match entries.next_chunk(CHUNK) {
            Ok(chunk) if chunk.is_empty() => return Ok(sum),
            Ok(chunk) => chunk,
            Err(error) => return unreadable(error),
        };
        let valid: Vec<&str> = chunk
            .iter()
            .filter_map(|entry| entry.canonical.as_deref())
            .collect();
        let cells = valid.len() as u64;
        sum.cells += cells;
        let Some(pass) = &pass else {
            sum.unknown += cells;
            continue;
        };
        let mut known = 0;
        for row in ledger.rows_for(&pass.id, &valid).await? {
            if row.cell.asset == alert.asset.key()
                && row.known_in_pass
                && let Some(balance) = row.balance
            {
                sum.known += Total::from(balance.amount.0);
                known += 1;
            }
        }
        sum.unknown += cells.saturating_sub(known);
    }
}

/// The addresses of an alert in their canonical form, each once.
async fn read(
    ledger: &Ledger,
    setup: &ChainSetup,
    alert: &Alert,
) -> Result<AddressList, SourceError> {
    let ChainSetup { chain, pool } = setup;
    let mut one_set;
    let (chain, source) = match &alert.whose {
        AlertWhose::Chain => (chain, Source::Sets),
        AlertWhose::Set(set) => {
            one_set = chain.clone();
            one_set.addresses.retain(|known| known.name == *set);
            (&one_set, Source::Sets)
        }
        AlertWhose::Addresses(addresses) => (chain, Source::Addresses(addresses.clone())),
    };
    // Whoever runs the pass tells of lines that are no addresses.
    let mut remark = |_: Remark| {};
    source::read(&source, chain, pool, Some(ledger), &mut remark).await
}

/// The newest pass that went over the whole set, as far as anybody answered.
async fn whole_pass(ledger: &Ledger, chain: &Chain) -> Result<Option<PassRow>, LedgerError> {
    let mut newest: Option<PassRow> = None;
    for status in [PassStatus::Complete, PassStatus::GaveUp] {
        let filter = PassFilter {
            chain: Some(chain.name.clone()),
            kind: Some(PassKind::Set),
            status: Some(status),
        };
        let found = ledger.pass_page(&filter, None, 1).await?;
        newest = found
            .into_iter()
            .chain(newest)
            .max_by_key(|pass| pass.started_at);
    }
    Ok(newest)
}
