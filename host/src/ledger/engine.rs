//! The one place that knows which database it is.
//!
//! Everything else speaks the SQL that both understand, through sqlx's `Any` driver: `$1`
//! parameters, TEXT and BIGINT, `INSERT … ON CONFLICT`, `RETURNING`, `->>`.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Once};

use sqlx::any::install_default_drivers;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, Connection, Row};

use super::error::LedgerError;
use super::file::{FileState, StoreFile, StoreLock};
use super::readers::{Read, Readers};
use super::sql::get;
use crate::clock::SharedClock;

/// Marks a SQLite file as a Scanhost store: `SHLG` in ASCII, shown by `file`.
const APPLICATION_ID: i64 = 0x5348_4c47;

/// How the connection that writes to SQLite is set: pages in memory until a group is committed, in
/// KiB, and pages in the log before they are folded into the file.
pub const SQLITE_SETTINGS: &str = "PRAGMA cache_size = -24576; PRAGMA wal_autocheckpoint = 8192";

static SQLITE_MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    joined(
        &sqlx::migrate!("../migrations/shared"),
        &sqlx::migrate!("../migrations/sqlite"),
    )
});
static POSTGRES_MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    joined(
        &sqlx::migrate!("../migrations/shared"),
        &sqlx::migrate!("../migrations/postgres"),
    )
});

/// An opened store, before the writer starts.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) engine: Engine,
    pub(super) readers: Readers,
    /// `None` when opened for looking only.
    pub(super) writer: Option<WriterConnection>,
    pub(super) lock: Option<StoreLock>,
}

/// The connection that writes; made anew after it failed.
pub(super) struct WriterConnection {
    engine: Engine,
    url: String,
    connection: Option<AnyConnection>,
}

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

/// What a URL names.
enum Location {
    Sqlite(StoreFile),
    Postgres(String),
}

/// How far a store's schema is.
#[derive(Debug, PartialEq, Eq)]
enum Schema {
    Fresh,
    At(i64),
    Foreign(String),
}

/// Opens the store at `url`; the time names the backup that precedes a migration.
pub(super) async fn open(url: &str, clock: SharedClock) -> Result<Opened, LedgerError> {
    let _hold = clock.hold();
    match Location::parse(url)? {
        Location::Sqlite(file) => open_sqlite(file, clock).await,
        Location::Postgres(url) => open_postgres(url, clock).await,
    }
}

/// Opens the store at `url` for looking only; never creates, migrates or locks.
pub(super) async fn open_read_only(url: &str, clock: SharedClock) -> Result<Opened, LedgerError> {
    let _hold = clock.hold();
    match Location::parse(url)? {
        Location::Sqlite(file) => {
            if file.state()? == FileState::Empty {
                return Err(LedgerError::Missing {
                    path: file.path().to_owned(),
                });
            }
            let schema = sqlite_schema(&file, "mode=ro").await?;
            check_current(&file, schema)?;
            Ok(Opened {
                engine: Engine::Sqlite,
                readers: Readers::connect(file.url("mode=ro")?, clock).await?,
                writer: None,
                lock: None,
            })
        }
        Location::Postgres(url) => {
            let readers = Readers::connect(url, clock).await?;
            let known = newest(&POSTGRES_MIGRATIONS);
            let row = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations")
                .first(&readers, "read the schema's version")
                .await?;
            let found: Option<i64> = match &row {
                Some(row) => get(row, "_sqlx_migrations", "version")?,
                None => None,
            };
            let found = found.unwrap_or(0);
            compare("PostgreSQL", found, known)?;
            Ok(Opened {
                engine: Engine::Postgres,
                readers,
                writer: None,
                lock: None,
            })
        }
    }
}

async fn open_sqlite(file: StoreFile, clock: SharedClock) -> Result<Opened, LedgerError> {
    // First the look that cannot change anything, then the lock, then SQLite.
    let state = file.state()?;
    let lock = file.lock()?;
    let known = newest(&SQLITE_MIGRATIONS);
    if state == FileState::Sqlite {
        // With an empty log nobody's changes are missed, and SQLite makes no files beside it.
        let query = if file.has_log() {
            "mode=ro"
        } else {
            "mode=ro&immutable=1"
        };
        match sqlite_schema(&file, query).await? {
            Schema::Fresh => {}
            Schema::Foreign(reason) => {
                return Err(LedgerError::NotAStore {
                    path: file.path().to_owned(),
                    reason,
                });
            }
            Schema::At(found) if found > known => {
                return Err(LedgerError::Newer {
                    store: file.display(),
                    found,
                    known,
                });
            }
            Schema::At(found) if found < known => {
                let backup = backup(&file, found, clock.unix_ms()).await?;
                tracing::info!(
                    store = %file.display(),
                    backup = %backup.display(),
                    "migrating the store from schema {found} to {known}; the old one is kept as `{}`",
                    backup.display(),
                );
            }
            Schema::At(_) => {}
        }
    }

    let mut writer = WriterConnection::new(Engine::Sqlite, file.url("mode=rwc")?);
    let connection = writer
        .get()
        .await
        .map_err(LedgerError::database("open the file"))?;
    set_up_sqlite(connection).await?;
    SQLITE_MIGRATIONS
        .run_direct(None, connection, false)
        .await
        .map_err(|error| migrate_error(&file.display(), error, known))?;
    Ok(Opened {
        engine: Engine::Sqlite,
        readers: Readers::connect(file.url("mode=ro")?, clock).await?,
        writer: Some(writer),
        lock: Some(lock),
    })
}

async fn open_postgres(url: String, clock: SharedClock) -> Result<Opened, LedgerError> {
    let mut writer = WriterConnection::new(Engine::Postgres, url.clone());
    let known = newest(&POSTGRES_MIGRATIONS);
    let connection = writer
        .get()
        .await
        .map_err(LedgerError::database("open the database"))?;
    POSTGRES_MIGRATIONS
        .run_direct(None, connection, false)
        .await
        .map_err(|error| migrate_error("PostgreSQL", error, known))?;
    Ok(Opened {
        engine: Engine::Postgres,
        readers: Readers::connect(url, clock).await?,
        writer: Some(writer),
        lock: None,
    })
}

async fn set_up_sqlite(connection: &mut AnyConnection) -> Result<(), LedgerError> {
    let doing = "prepare the file";
    let id = pragma_number(connection, "PRAGMA application_id").await?;
    if id != APPLICATION_ID {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "PRAGMA application_id = {APPLICATION_ID}"
        )))
        .execute(&mut *connection)
        .await
        .map_err(LedgerError::database(doing))?;
    }
    sqlx::raw_sql("PRAGMA journal_mode = WAL")
        .execute(&mut *connection)
        .await
        .map_err(LedgerError::database(doing))?;
    Ok(())
}

/// Reads how far the schema is, over a connection of its own.
async fn sqlite_schema(file: &StoreFile, query: &str) -> Result<Schema, LedgerError> {
    install_drivers();
    let unreadable = |error: sqlx::Error| match &error {
        // SQLITE_CORRUPT and SQLITE_NOTADB.
        sqlx::Error::Database(refusal)
            if matches!(
                refusal.code().as_deref(),
                Some("11" | "26" | "267" | "523" | "779")
            ) =>
        {
            LedgerError::NotAStore {
                path: file.path().to_owned(),
                reason: format!("it is damaged or no SQLite database ({refusal})"),
            }
        }
        _ => LedgerError::database("read the schema's version")(error),
    };
    let mut connection = AnyConnection::connect(&file.url(query)?)
        .await
        .map_err(unreadable)?;
    let schema = read_sqlite_schema(&mut connection).await;
    connection
        .close()
        .await
        .map_err(LedgerError::database("close the file"))?;
    schema.map_err(unreadable)
}

async fn read_sqlite_schema(connection: &mut AnyConnection) -> sqlx::Result<Schema> {
    let tables: i64 = sqlx::query("SELECT COUNT(*) FROM sqlite_master")
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    let migrations: i64 =
        sqlx::query("SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'")
            .fetch_one(&mut *connection)
            .await?
            .try_get(0)?;
    let id = as_number(
        sqlx::query("PRAGMA application_id")
            .fetch_one(&mut *connection)
            .await?,
    )?;
    if id != 0 && id != APPLICATION_ID {
        return Ok(Schema::Foreign(format!(
            "it is a database of another program (application id {id})"
        )));
    }
    if migrations == 0 {
        return Ok(match tables {
            0 => Schema::Fresh,
            _ => Schema::Foreign("it is a SQLite database, but no Scanhost store".to_owned()),
        });
    }
    if id == 0 {
        return Ok(Schema::Foreign(
            "it is a SQLite database, but no Scanhost store".to_owned(),
        ));
    }
    let version: Option<i64> = sqlx::query("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(connection)
        .await?
        .try_get(0)?;
    Ok(version.map_or(Schema::Fresh, Schema::At))
}

/// Copies the store, with what its log holds, to a new file beside it.
async fn backup(file: &StoreFile, version: i64, now_ms: i64) -> Result<PathBuf, LedgerError> {
    let doing = "back up the store before migrating it";
    let path = file.beside(&format!(".backup-{version}-{now_ms}"));
    let Some(target) = path.to_str() else {
        return Err(LedgerError::Url {
            reason: format!("the path `{}` is not UTF-8", path.display()),
        });
    };
    let mut connection = AnyConnection::connect(&file.url("mode=ro")?)
        .await
        .map_err(LedgerError::database(doing))?;
    sqlx::query("VACUUM INTO $1")
        .bind(target)
        .execute(&mut connection)
        .await
        .map_err(LedgerError::database(doing))?;
    connection
        .close()
        .await
        .map_err(LedgerError::database(doing))?;
    Ok(path)
}

fn check_current(file: &StoreFile, schema: Schema) -> Result<(), LedgerError> {
    match schema {
        Schema::Foreign(reason) => Err(LedgerError::NotAStore {
            path: file.path().to_owned(),
            reason,
        }),
        Schema::Fresh => Err(LedgerError::Older {
            store: file.display(),
            found: 0,
            known: newest(&SQLITE_MIGRATIONS),
        }),
        Schema::At(found) => compare(&file.display(), found, newest(&SQLITE_MIGRATIONS)),
    }
}

fn compare(store: &str, found: i64, known: i64) -> Result<(), LedgerError> {
    let store = store.to_owned();
    if found > known {
        return Err(LedgerError::Newer {
            store,
            found,
            known,
        });
    }
    if found < known {
        return Err(LedgerError::Older {
            store,
            found,
            known,
        });
    }
    Ok(())
}

fn migrate_error(store: &str, error: MigrateError, known: i64) -> LedgerError {
    match error {
        // Applied, but not among ours: a newer build was here.
        MigrateError::VersionMissing(found) => LedgerError::Newer {
            store: store.to_owned(),
            found,
            known,
        },
        error => LedgerError::Migrate {
            store: store.to_owned(),
            source: Arc::new(error),
        },
    }
}

fn joined(shared: &Migrator, own: &Migrator) -> Migrator {
    Migrator::with_migrations(shared.iter().chain(own.iter()).cloned().collect())
}

fn newest(migrations: &Migrator) -> i64 {
    migrations
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

async fn pragma_number(
    connection: &mut AnyConnection,
    pragma: &'static str,
) -> Result<i64, LedgerError> {
    sqlx::query(pragma)
        .fetch_one(connection)
        .await
        .and_then(as_number)
        .map_err(LedgerError::database("read the file's settings"))
}

fn as_number(row: sqlx::any::AnyRow) -> sqlx::Result<i64> {
    row.try_get::<i64, _>(0)
        .or_else(|_| row.try_get::<i32, _>(0).map(i64::from))
}

/// Tells sqlx which databases a URL may name.
fn install_drivers() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(install_default_drivers);
}

// === impl WriterConnection ===

impl WriterConnection {
    fn new(engine: Engine, url: String) -> Self {
        Self {
            engine,
            url,
            connection: None,
        }
    }

    /// The connection, made now if there is none.
    pub(super) async fn get(&mut self) -> sqlx::Result<&mut AnyConnection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = AnyConnection::connect(&self.url).await?;
                if let Some(settings) = self.engine.settings() {
                    sqlx::raw_sql(settings).execute(&mut connection).await?;
                }
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Drops a connection that failed.
    pub(super) fn discard(&mut self) {
        self.connection = None;
    }

    /// Closes it, folding SQLite's log into the file.
    pub(super) async fn close(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if let Some(statement) = self.engine.before_close()
            && let Err(error) = sqlx::raw_sql(statement).execute(&mut connection).await
        {
            tracing::debug!(%error, "the log of the store was not folded in at close");
        }
        if let Err(error) = connection.close().await {
            tracing::debug!(%error, "the writing connection did not close well");
        }
    }
}

impl fmt::Debug for WriterConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterConnection").finish_non_exhaustive()
    }
}

// === impl Engine ===

impl Engine {
    /// Starts a transaction that will write.
    ///
    /// SQLite must take its write lock at once: a reader that turns writer may find that its
    /// snapshot is old.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// The elements of the JSON array in `$PARAMETER`, as the column `value`.
    pub(super) fn rows_of(self, parameter: usize) -> String {
        match self {
            Self::Sqlite => format!("json_each(${parameter})"),
            Self::Postgres => format!("json_array_elements(${parameter}::json) AS item (value)"),
        }
    }

    /// The texts of the JSON array in `$PARAMETER`, for `IN`.
    pub(super) fn texts_of(self, parameter: usize) -> String {
        match self {
            Self::Sqlite => format!("(SELECT value FROM json_each(${parameter}))"),
            Self::Postgres => format!("(SELECT json_array_elements_text(${parameter}::json))"),
        }
    }

    /// What to run on a new connection that writes.
    fn settings(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some(SQLITE_SETTINGS),
            Self::Postgres => None,
        }
    }

    /// What to run before the last connection closes.
    fn before_close(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("PRAGMA wal_checkpoint(TRUNCATE)"),
            Self::Postgres => None,
        }
    }
}

// === impl Location ===

impl Location {
    fn parse(url: &str) -> Result<Self, LedgerError> {
        install_drivers();
        let sqlite = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"));
        if let Some(rest) = sqlite {
            return Ok(Self::Sqlite(StoreFile::from_url(rest)?));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err(LedgerError::Url {
            reason: "`url` in [store] must start with `sqlite://` or `postgres://`".to_owned(),
        })
    }
}
