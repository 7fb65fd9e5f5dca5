//! The chains' address sets as the store has them, for whoever asks by set.
//!
//! A set that is a file is read into the store when somebody asks for it, and again when the file
//! has changed since.

use std::collections::HashMap;
use std::path::Path;
use std::time::SystemTime;

use tokio::sync::Mutex;

use super::setup::ChainSetup;
use crate::ledger::{Ledger, LedgerError};
use crate::model::ChainName;
use crate::scan::list::{ListError, ListReader, StoredRows};

/// Which files the store has, as they were when it took them.
#[derive(Debug, Default)]
pub(super) struct Sets {
    taken: Mutex<HashMap<(ChainName, String), Stamp>>,
}

/// What changes with a file's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

/// A set that cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetError {
    /// Neither configured nor in the store.
    #[error("chain `{chain}` has no address set `{set}`")]
    Unknown {
        /// The chain.
        chain: ChainName,
        /// The set.
        set: String,
    },
    /// The file.
    #[error(transparent)]
    List(#[from] ListError),
    /// The store, or what it does not take.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

// === impl Sets ===

impl Sets {
    /// Makes sure that the store has the set as it is now.
    pub(super) async fn bring_in(
        &self,
        ledger: &Ledger,
        setup: &ChainSetup,
        set: &str,
    ) -> Result<(), SetError> {
        let ChainSetup { chain, pool } = setup;
        let configured = chain.addresses.iter().find(|it| it.name == set);
        let Some(file) = configured.and_then(|it| it.file.as_deref()) else {
            let page = ledger.set_page(&chain.name, set, None, 1).await?;
            if page.is_empty() && configured.is_none() {
                return Err(SetError::Unknown {
                    chain: chain.name.clone(),
                    set: set.to_owned(),
                });
            }
            return Ok(());
        };
        let key = (chain.name.clone(), set.to_owned());
        // Held over the import: two who ask at once read the file once.
        let mut taken = self.taken.lock().await;
        let stamp = stamp_of(file)?;
        if taken.get(&key) == Some(&stamp) {
            return Ok(());
        }
        let judges = pool.members.iter().map(|member| &*member.backend).collect();
        let mut reader = ListReader::new(judges)?.strict();
        let mut remark = |_| {};
        reader.read(file, &mut remark).await?;
        let list = reader.finish(&mut remark)?;
        let rows = StoredRows::new(&list).map_err(ListError::Spool)?;
        ledger.import_set(&chain.name, set, rows).await?;
        taken.insert(key, stamp);
        Ok(())
    }
}

fn stamp_of(file: &Path) -> Result<Stamp, ListError> {
    let metadata = std::fs::metadata(file).map_err(|source| ListError::Read {
        path: file.to_owned(),
        source,
    })?;
    Ok(Stamp {
        modified: metadata.modified().ok(),
        length: metadata.len(),
    })
}
