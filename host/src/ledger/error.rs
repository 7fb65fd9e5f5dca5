//! What can go wrong with the store, in one type.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{ChainName, PassId};

/// A failure of the store.
///
/// Cloneable, because one failed transaction may have carried the work of many callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// `store.url` names nothing that can be opened.
    #[error("failed to open the store: {reason}")]
    Url {
        /// What is wrong with it and what to write instead; never the URL, which may hold a password.
        reason: String,
    },

    /// The folder of the database file does not exist.
    #[error(
        "failed to open the store: the folder `{}` does not exist; create it, or change `url` in [store]",
        folder.display()
    )]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },

    /// There is no store to look into.
    #[error(
        "failed to open the store `{}`: no such file; run `scanhost scan` once, or correct `url` in [store]",
        path.display()
    )]
    Missing {
        /// The database file.
        path: PathBuf,
    },

    /// The file is something else; it was left as it is.
    #[error(
        "failed to open the store `{}`: {reason}; the file was left untouched, name another one as `url` in [store]",
        path.display()
    )]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },

    /// A newer Scanhost wrote the store; it was left as it is.
    #[error(
        "failed to open the store `{store}`: its schema is {found}, this Scanhost knows {known}; it was left untouched, use the newer Scanhost or another store"
    )]
    Newer {
        /// The file, or the engine's name.
        store: String,
        /// Newest migration in the store.
        found: i64,
        /// Newest migration of this build.
        known: i64,
    },

    /// The store is older than this build and was opened for looking only.
    #[error(
        "failed to open the store `{store}` for reading: its schema {found} is older than {known}; run `scanhost db migrate`"
    )]
    Older {
        /// The file, or the engine's name.
        store: String,
        /// Newest migration in the store; 0 when there is none.
        found: i64,
        /// Newest migration of this build.
        known: i64,
    },

    /// Another process works the store.
    #[error(
        "failed to open the store `{}`: {holder} is working with it; wait for that process to end, or stop it",
        path.display()
    )]
    Locked {
        /// The database file.
        path: PathBuf,
        /// Who holds it, as far as the lock file tells.
        holder: String,
    },

    /// The file system refused.
    #[error("failed to {doing} `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: Arc<io::Error>,
    },

    /// The database refused.
    #[error("failed to {doing} in the store")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// The database's word.
        #[source]
        source: Arc<sqlx::Error>,
    },

    /// The schema could not be brought up to date.
    #[error("failed to migrate the store `{store}`")]
    Migrate {
        /// The file, or the engine's name.
        store: String,
        /// The migrator's word.
        #[source]
        source: Arc<sqlx::migrate::MigrateError>,
    },

    /// A row holds what this code never writes.
    #[error("failed to read a row of `{table}`: {reason}; the store was changed by other hands")]
    Row {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        reason: String,
    },

    /// No pass has this id on this chain.
    #[error("failed to find the pass `{pass}`")]
    NoPass {
        /// The id.
        pass: PassId,
    },

    /// The pass has had its last event.
    #[error("failed to write to the pass `{pass}`: it has ended as `{status}`")]
    PassEnded {
        /// The id.
        pass: PassId,
        /// How it ended.
        status: String,
    },

    /// An address set could not be imported; the set that was there stays.
    #[error(
        "failed to import the address set `{set}` of chain `{chain}`; the stored set is unchanged"
    )]
    Import {
        /// The chain.
        chain: ChainName,
        /// The set.
        set: String,
        /// Why.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },

    /// The system's random generator failed, so no id could be made.
    #[error("failed to take random bytes from the system: {reason}")]
    Random {
        /// The generator's word.
        reason: String,
    },

    /// The store was opened for looking only.
    #[error("failed to write to the store: it was opened for reading only")]
    ReadOnly,

    /// The store was closed; nothing was written.
    #[error("failed to write to the store: it is closed")]
    Closed,
}

impl LedgerError {
    /// For `map_err`: an I/O error with what was tried.
    pub(super) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            doing,
            path,
            source: Arc::new(source),
        }
    }

    /// For `map_err`: a database error with what was tried.
    pub(super) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database {
            doing,
            source: Arc::new(source),
        }
    }
}
