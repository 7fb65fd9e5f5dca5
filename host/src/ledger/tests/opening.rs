//! Files: made, refused, locked, backed up.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use sqlx::{AnyConnection, Connection};

use super::*;

pub(super) async fn sql(path: &Path, statements: &'static str) {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(statements)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn refused_untouched(store: &Store, expected: &str) {
    let before = fs::read(store.path()).unwrap();
    for error in [
        store.try_open().await.unwrap_err(),
        store.look().await.unwrap_err(),
    ] {
        let message = error.to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("untouched"), "{message}");
    }
    assert_eq!(fs::read(store.path()).unwrap(), before);
    let beside = names_in(store.folder.path());
    assert!(
        !beside.iter().any(|name| name.contains("backup")),
        "{beside:?}"
    );
}

#[tokio::test]
async fn a_missing_file_is_made_and_keeps_what_it_is_told() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    let reading = known("0xaa", &bnb(), "7", START_MS);
    ledger
        .commit(readings(&pass.id, vec![reading]))
        .await
        .unwrap();
    ledger.close().await;
    assert_eq!(
        names_in(store.folder.path()),
        ["scanhost.db", "scanhost.db.lock"],
        "close folds the log into the file"
    );

    let ledger = store.open().await;
    let row = balance(&ledger, "0xaa", &bnb()).await.unwrap();
    assert_eq!(row.amount, amount("7"));
    assert_eq!(row.pending, Some(-2_500));
    assert_eq!(row.pass, pass.id);
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let store = Store::new();
    let url = url_of(&store.folder.path().join("no/such/scanhost.db"));
    let error = Ledger::open(&url, store.shared_clock()).await.unwrap_err();
    assert!(matches!(error, LedgerError::NoFolder { .. }), "{error}");
    assert!(error.to_string().contains("no/such"), "{error}");
}

#[tokio::test]
async fn urls_that_name_no_store_are_refused() {
    let clock = Store::new().shared_clock();
    for url in [
        "mysql://host/db",
        "scanhost.db",
        "sqlite://",
        "sqlite::memory:",
        "sqlite://a.db?mode=memory",
    ] {
        let error = Ledger::open(url, Arc::clone(&clock)).await.unwrap_err();
        assert!(matches!(error, LedgerError::Url { .. }), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_path_is_taken_as_it_stands() {
    let store = Store::new();
    let path = store.folder.path().join("50% of my #1 store é.db");
    let ledger = Ledger::open(&url_of(&path), store.shared_clock())
        .await
        .unwrap();
    ledger.close().await;
    assert!(path.is_file(), "{:?}", names_in(store.folder.path()));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_untouched() {
    for content in [
        "not a database, but somebody's letter".as_bytes().to_vec(),
        b"short".to_vec(),
        [b"SQLite format 3\0".as_slice(), &[0xff; 4_096]].concat(),
    ] {
        let store = Store::new();
        fs::write(store.path(), content).unwrap();
        refused_untouched(&store, "database").await;
    }
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_untouched() {
    let store = Store::new();
    sql(&store.path(), "CREATE TABLE letters (id BIGINT)").await;
    refused_untouched(&store, "no Scanhost store").await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_untouched() {
    let store = Store::new();
    store.open().await.close().await;
    sql(
        &store.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99990101000000, 'from the future', true, x'00', 0)",
    )
    .await;
    refused_untouched(&store, "schema is 99990101000000").await;
}

#[tokio::test]
async fn an_older_schema_is_migrated_after_a_backup() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    ledger
        .commit(readings(&pass.id, vec![known("0xaa", &bnb(), "7", 1)]))
        .await
        .unwrap();
    ledger.close().await;
    // Back to the schema of the first migration.
    sql(
        &store.path(),
        "DROP VIEW provider_health; DROP TABLE decisions; DROP TABLE pacer; \
         DROP TABLE webhooks; DROP TABLE alerts; ALTER TABLE balances DROP COLUMN used; \
         DELETE FROM _sqlx_migrations WHERE version > 20261121000000",
    )
    .await;
    let error = store.look().await.unwrap_err();
    assert!(matches!(error, LedgerError::Older { .. }), "{error}");

    let ledger = store.open().await;
    assert!(ledger.all_providers().await.unwrap().is_empty());
    assert!(balance(&ledger, "0xaa", &bnb()).await.is_some());
    // What held something was used.
    let asked = vec!["0xaa".to_owned(), "0xbb".to_owned()];
    let used = ledger.used_of(&"bsc".into(), asked).await.unwrap();
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["0xaa"]);
    let backup = store
        .folder
        .path()
        .join(format!("scanhost.db.backup-20261121000000-{START_MS}"));
    let bytes = fs::read(backup).unwrap();
    assert!(bytes.starts_with(b"SQLite format 3\0"));
}

#[tokio::test]
async fn a_second_ledger_is_told_who_holds_the_store() {
    let store = Store::new();
    let first = store.open().await;
    let error = store.try_open().await.unwrap_err();
    let holder = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    first.close().await;
    store.open().await.close().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_lock_holds_between_processes_and_goes_with_its_holder() {
    let store = Store::new();
    store.open().await.close().await;
    let lock = store.folder.path().join("scanhost.db.lock");
    // The shell keeps the lock until its input ends.
    let mut holder = Command::new("flock")
        .arg(&lock)
        .args(["sh", "-c"])
        .arg(format!("echo $$ > {}; echo held; cat", lock.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(holder.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    let error = store.try_open().await.unwrap_err();
    let pid = fs::read_to_string(&lock).unwrap();
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", pid.trim())),
        "{error}"
    );
    // Looking needs no lock.
    store.look().await.unwrap().close().await;

    drop(holder.stdin.take());
    holder.wait().unwrap();
    let ledger = store.open().await;
    let refused = Command::new("flock")
        .arg("--nonblock")
        .arg(&lock)
        .arg("true")
        .status()
        .unwrap();
    assert!(!refused.success(), "another process could take the lock");
    ledger.close().await;
}

#[tokio::test]
async fn looking_makes_nothing_and_writes_nothing() {
    let store = Store::new();
    let error = store.look().await.unwrap_err();
    assert!(matches!(error, LedgerError::Missing { .. }), "{error}");
    assert!(names_in(store.folder.path()).is_empty());

    let writer = store.open().await;
    let reader = store.look().await.unwrap();
    let pass = writer.begin_pass(set_pass("a")).await.unwrap();
    assert_eq!(reader.pass(&pass.id).await.unwrap().unwrap().id, pass.id);
    let error = reader.begin_pass(set_pass("a")).await.unwrap_err();
    assert!(matches!(error, LedgerError::ReadOnly), "{error}");
}

#[tokio::test]
async fn close_finishes_what_was_handed_in_and_refuses_the_rest() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    let commits: Vec<_> = (0..100)
        .map(|number| {
            let reading = known(&format!("0x{number}"), &bnb(), "1", START_MS);
            let ledger = ledger.clone();
            let chunk = readings(&pass.id, vec![reading]);
            tokio::spawn(async move { ledger.commit(chunk).await })
        })
        .collect();
    // Let each task hand its work in.
    tokio::task::yield_now().await;
    ledger.clone().close().await;
    let mut committed = 0;
    for commit in commits {
        match commit.await.unwrap() {
            Ok(_) => committed += 1,
            Err(error) => assert!(matches!(error, LedgerError::Closed), "{error}"),
        }
    }
    assert!(committed > 0, "nothing was handed in before the close");
    let late = ledger.commit(chunk(&pass.id)).await.unwrap_err();
    assert!(matches!(late, LedgerError::Closed), "{late}");
    drop(ledger);

    let ledger = store.open().await;
    let pass = ledger.pass(&pass.id).await.unwrap().unwrap();
    assert_eq!(pass.counters.known, committed);
}
