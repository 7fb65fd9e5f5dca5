//! What a store holds, read from a copy, so that the product alone mends what a kill left.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

/// The rows of a store that tests look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    /// In the order of their start.
    pub(crate) passes: Vec<Pass>,
    /// In the order of their ids.
    pub(crate) events: Vec<Event>,
    pub(crate) balances: Vec<Balance>,
    /// Rows of `history`, by pass.
    pub(crate) history: BTreeMap<String, usize>,
    /// The view `provider_health`, by chain and name.
    pub(crate) health: BTreeMap<(String, String), Health>,
    /// HTTP attempts of all days, by chain and name.
    pub(crate) usage: BTreeMap<(String, String), u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) chain: String,
    pub(crate) status: String,
    pub(crate) cells: usize,
    pub(crate) known: usize,
    pub(crate) unknown: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) scan: Option<String>,
    pub(crate) data: Value,
}

#[derive(Clone, Debug)]
pub(crate) struct Balance {
    pub(crate) chain: String,
    pub(crate) address: String,
    pub(crate) symbol: String,
    pub(crate) amount: String,
    pub(crate) pass: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) status: String,
    pub(crate) circuit: String,
    pub(crate) fails: i64,
    pub(crate) last_success: Option<String>,
    pub(crate) last_error: Option<String>,
    pub(crate) last_error_msg: Option<String>,
}

impl Book {
    /// What `scanhost.db` in the folder holds; nothing where there is none yet.
    pub(crate) async fn read(folder: &Path) -> Self {
        let copy = tempfile::tempdir().expect("a temporary folder");
        for name in ["scanhost.db", "scanhost.db-wal"] {
            // The log is gone where the store was closed.
            let _ = std::fs::copy(folder.join(name), copy.path().join(name));
        }
        let file = copy.path().join("scanhost.db");
        if !file.exists() {
            return Self::default();
        }
        let options = SqliteConnectOptions::new().filename(file);
        let mut store = Store(
            SqliteConnection::connect_with(&options)
                .await
                .expect("the copy opens"),
        );
        let whole: Vec<String> = store.all("PRAGMA integrity_check", |row| row.get(0)).await;
        assert_eq!(whole, ["ok"]);
        let views = "SELECT name FROM sqlite_master WHERE name = 'provider_health'";
        if store.all(views, |_| ()).await.is_empty() {
            return Self::default();
        }
        store.book().await
    }

    /// The newest pass of a chain.
    pub(crate) fn pass(&self, chain: &str) -> Option<&Pass> {
        let mut passes = self.passes.iter();
        passes.rfind(|pass| pass.chain == chain)
    }

    /// The events of a pass of these types.
    pub(crate) fn events_of(&self, pass: &str, kinds: &[&str]) -> Vec<&Event> {
        let of = |event: &&Event| {
            event.scan.as_deref() == Some(pass) && kinds.contains(&event.kind.as_str())
        };
        self.events.iter().filter(of).collect()
    }

    /// The readings of a pass.
    pub(crate) fn readings_of(&self, pass: &str) -> impl Iterator<Item = &Balance> {
        self.balances.iter().filter(move |it| it.pass == pass)
    }

    /// What must hold in every store at every moment: each pass was begun once, has exactly one
    /// last event if it ended and none before; ids grow; counts are those of the rows.
    #[track_caller]
    pub(crate) fn check(&self) {
        let ids = self.events.iter().map(|event| event.id);
        assert!(ids.is_sorted_by(|one, next| one < next), "ids grow");
        for pass in &self.passes {
            let begun = self.events_of(&pass.id, &["scan_started"]);
            assert_eq!(begun.len(), 1, "{pass:?}");
            let ended = self.events_of(&pass.id, &["scan_complete", "scan_error"]);
            let expected = usize::from(pass.status != "running");
            assert_eq!(ended.len(), expected, "{pass:?}: {ended:?}");
            assert!(pass.known + pass.unknown <= pass.cells, "{pass:?}");
        }
        let mut newest = BTreeMap::new();
        newest.extend(self.passes.iter().map(|pass| (&pass.chain, pass)));
        for pass in newest.into_values() {
            if pass.kind == "spot" {
                // What it read may have been read again by the set's pass beside it.
                continue;
            }
            assert_eq!(self.readings_of(&pass.id).count(), pass.known, "{pass:?}");
        }
    }
}

struct Store(SqliteConnection);

impl Store {
    async fn all<T>(&mut self, sql: &str, read: impl Fn(&SqliteRow) -> T) -> Vec<T> {
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut self.0).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter().map(read).collect()
    }

    async fn book(&mut self) -> Book {
        let count = |row: &SqliteRow, at: usize| {
            usize::try_from(row.get::<i64, _>(at)).expect("counts are not negative")
        };
        let provider = |row: &SqliteRow| (row.get(0), row.get(1));
        let passes = "SELECT id, chain, status, cells, known, unknown, kind FROM scan_state \
             ORDER BY started_at, rowid";
        let events = "SELECT id, type, scan, data FROM events ORDER BY id";
        let balances = "SELECT chain, address, symbol, amount, pass_id FROM balances";
        let history = "SELECT pass_id, count(*) FROM history GROUP BY pass_id";
        let health = "SELECT chain, provider_name, status, circuit_state, consecutive_fails, \
             last_success, last_error, last_error_msg FROM provider_health";
        let usage = "SELECT chain, provider_name, sum(requests) FROM usage_daily \
             GROUP BY chain, provider_name";
        let passes = self.all(passes, |row| Pass {
            id: row.get(0),
            chain: row.get(1),
            status: row.get(2),
            cells: count(row, 3),
            known: count(row, 4),
            unknown: count(row, 5),
            kind: row.get(6),
        });
        let passes = passes.await;
        let events = self.all(events, |row| Event {
            id: row.get(0),
            kind: row.get(1),
            scan: row.get(2),
            data: serde_json::from_str(row.get(3)).expect("an event is JSON"),
        });
        let events = events.await;
        let balances = self.all(balances, |row| Balance {
            chain: row.get(0),
            address: row.get(1),
            symbol: row.get(2),
            amount: row.get(3),
            pass: row.get(4),
        });
        let balances = balances.await;
        let history = self.all(history, |row| (row.get(0), count(row, 1))).await;
        let health = self.all(health, |row| {
            let health = Health {
                status: row.get(2),
                circuit: row.get(3),
                fails: row.get(4),
                last_success: row.get(5),
                last_error: row.get(6),
                last_error_msg: row.get(7),
            };
            (provider(row), health)
        });
        let health = health.await;
        let usage = self.all(usage, |row| (provider(row), row.get::<i64, _>(2)));
        let usage = usage.await.into_iter();
        let usage = usage.map(|(key, sum)| (key, u64::try_from(sum).expect("it counts")));
        Book {
            passes,
            events,
            balances,
            history: history.into_iter().collect(),
            health: health.into_iter().collect(),
            usage: usage.collect(),
        }
    }
}
