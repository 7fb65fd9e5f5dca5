//! The rows that the ledger wrote, written again with nothing around it: the same tables, kind of
//! connection and settings, multi-row `VALUES`, large transactions.

use scanhost::clock::SharedClock;
use scanhost::ledger::{Ledger, SQLITE_SETTINGS};
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection, Row};

use crate::Failure;

/// Rows in one statement.
const ROWS: usize = 250;
/// Statements in one transaction.
const STATEMENTS: usize = 32;

/// A table, with its columns in groups of one type.
#[derive(Debug)]
struct TableSpec {
    name: &'static str,
    /// The column that names the pass.
    pass: &'static str,
    texts: &'static [&'static str],
    bigints: &'static [&'static str],
    on_conflict: &'static str,
}

const TABLES: [TableSpec; 4] = [
    TableSpec {
        name: "balances",
        pass: "pass_id",
        texts: &[
            "chain",
            "address",
            "asset",
            "amount",
            "amount_key",
            "pending",
            "symbol",
            "commitment",
            "scope",
            "provider",
            "block_hash",
            "pass_id",
        ],
        bigints: &["decimals", "height", "observed_at"],
        on_conflict: "ON CONFLICT (chain, address, asset) DO UPDATE SET \
            amount = excluded.amount, amount_key = excluded.amount_key, \
            pending = excluded.pending, decimals = excluded.decimals, symbol = excluded.symbol, \
            commitment = excluded.commitment, scope = excluded.scope, \
            provider = excluded.provider, height = excluded.height, \
            block_hash = excluded.block_hash, observed_at = excluded.observed_at, \
            pass_id = excluded.pass_id WHERE excluded.observed_at >= balances.observed_at",
    },
    TableSpec {
        name: "history",
        pass: "pass_id",
        texts: &[
            "chain",
            "address",
            "asset",
            "previous",
            "amount",
            "amount_key",
            "symbol",
            "commitment",
            "provider",
            "block_hash",
            "pass_id",
        ],
        bigints: &["id", "decimals", "height", "observed_at"],
        on_conflict: "",
    },
    TableSpec {
        name: "holes",
        pass: "pass_id",
        texts: &[
            "pass_id",
            "address",
            "asset",
            "chain",
            "class",
            "message",
            "providers",
        ],
        bigints: &["final", "at"],
        on_conflict: "ON CONFLICT (pass_id, address, asset) DO UPDATE SET \
            class = excluded.class, message = excluded.message, providers = excluded.providers, \
            final = excluded.final, at = excluded.at",
    },
    TableSpec {
        name: "events",
        pass: "scan",
        texts: &["type", "chain", "scan", "data"],
        bigints: &["id", "at"],
        on_conflict: "",
    },
];

/// A row: its texts, its numbers.
type Values = (Vec<Option<String>>, Vec<Option<i64>>);

/// The rows of a pass, by table.
#[derive(Debug)]
pub(crate) struct Rows(Vec<Vec<Values>>);

/// A store of its own that only rows are written to.
#[derive(Debug)]
pub(crate) struct Bare {
    connection: AnyConnection,
}

// === impl Bare ===

impl Bare {
    /// A store with the ledger's tables.
    pub(crate) async fn create(url: &str, clock: &SharedClock) -> Result<Self, Failure> {
        Ledger::open(url, clock.clone()).await?.close().await;
        let mut connection = AnyConnection::connect(&format!("{url}?mode=rwc")).await?;
        sqlx::raw_sql(SQLITE_SETTINGS)
            .execute(&mut connection)
            .await?;
        Ok(Self { connection })
    }

    /// What the ledger wrote for a pass, in the order in which it wrote it.
    pub(crate) async fn rows_of(&self, store: &str, pass: &str) -> Result<Rows, Failure> {
        let mut reader = AnyConnection::connect(&format!("{store}?mode=ro")).await?;
        let mut tables = Vec::new();
        for table in &TABLES {
            let columns = [table.texts, table.bigints].concat().join(", ");
            let sql = format!(
                "SELECT {columns} FROM {} WHERE {} = $1 ORDER BY rowid",
                table.name, table.pass
            );
            let rows = sqlx::query(AssertSqlSafe(sql))
                .bind(pass)
                .fetch_all(&mut reader)
                .await?;
            let values = rows.iter().map(|row| {
                let texts = (0..table.texts.len()).map(|at| row.try_get(at));
                let behind = table.texts.len()..table.texts.len() + table.bigints.len();
                let bigints = behind.map(|at| row.try_get(at));
                Ok((
                    texts.collect::<sqlx::Result<_>>()?,
                    bigints.collect::<sqlx::Result<_>>()?,
                ))
            });
            tables.push(values.collect::<sqlx::Result<_>>()?);
        }
        reader.close().await?;
        Ok(Rows(tables))
    }

    pub(crate) async fn write(&mut self, rows: &Rows) -> Result<(), Failure> {
        for (table, rows) in TABLES.iter().zip(&rows.0) {
            for rows in rows.chunks(ROWS * STATEMENTS) {
                let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
                for rows in rows.chunks(ROWS) {
                    let sql = table.insert(rows.len());
                    let query: Query<'_, Any, AnyArguments> = sqlx::query(AssertSqlSafe(sql));
                    let query = rows.iter().fold(query, |query, (texts, bigints)| {
                        let query = texts.iter().fold(query, |query, text| query.bind(text));
                        bigints
                            .iter()
                            .fold(query, |query, number| query.bind(number))
                    });
                    query.execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn close(self) -> Result<(), Failure> {
        Ok(self.connection.close().await?)
    }
}

// === impl TableSpec ===

impl TableSpec {
    /// SQLite finds parameters without a number faster than numbered ones.
    fn insert(&self, rows: usize) -> String {
        let columns = [self.texts, self.bigints].concat();
        let row = format!("({})", vec!["?"; columns.len()].join(", "));
        format!(
            "INSERT INTO {} ({}) VALUES {} {}",
            self.name,
            columns.join(", "),
            vec![row; rows].join(", "),
            self.on_conflict
        )
    }
}
