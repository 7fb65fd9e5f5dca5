//! Providers, usage, learned limits, address sets.

use crate::gate::{CircuitState, HealthStatus, ProviderType};
use sqlx::Row;

use super::super::readers::Read as _;
use super::*;

fn key() -> ProviderKey {
    ProviderKey {
        chain: chain(),
        provider: "bsc-dataseed".into(),
        kind: ProviderType::Scan,
    }
}

#[tokio::test]
async fn successes_and_failures_are_noted() {
    let store = Store::new();
    let ledger = store.open().await;
    assert_eq!(ledger.provider(&key()).await.unwrap(), None);
    for at in [10, 20] {
        ledger.record_failure(key(), at, "timeout").await.unwrap();
    }
    let failed = ledger.provider(&key()).await.unwrap().unwrap();
    assert_eq!(failed.status, HealthStatus::Degraded);
    assert_eq!(failed.consecutive_fails, 2);
    assert_eq!(failed.last_error, Some(20));
    assert_eq!(failed.last_error_msg.as_deref(), Some("timeout"));
    assert_eq!(failed.last_success, None);

    ledger.record_success(key(), 30).await.unwrap();
    let mended = ledger.provider(&key()).await.unwrap().unwrap();
    assert_eq!(mended.status, HealthStatus::Healthy);
    assert_eq!(mended.consecutive_fails, 0);
    assert_eq!(mended.last_success, Some(30));
    assert_eq!(mended.last_error, Some(20), "history is not erased");
}

#[tokio::test]
async fn records_survive_a_restart_in_every_state() {
    let store = Store::new();
    let ledger = store.open().await;
    let mut saved = Vec::new();
    for (name, status, circuit_state) in [
        ("a", HealthStatus::Healthy, CircuitState::Closed),
        ("b", HealthStatus::Degraded, CircuitState::HalfOpen),
        ("c", HealthStatus::Down, CircuitState::Open),
    ] {
        let record = ProviderRecord {
            status,
            circuit_state,
            consecutive_fails: 3,
            last_error: Some(START_MS),
            last_error_msg: Some("HTTP 502".to_owned()),
            persisted: Some(r#"{"until":7}"#.to_owned()),
            ..ProviderRecord::new(
                ProviderKey {
                    provider: name.into(),
                    ..key()
                },
                START_MS,
            )
        };
        ledger
            .save_provider(record.clone(), Vec::new())
            .await
            .unwrap();
        saved.push(record);
    }
    ledger.close().await;
    let ledger = store.open().await;
    assert_eq!(ledger.providers_of(&chain()).await.unwrap(), saved);
    assert_eq!(ledger.all_providers().await.unwrap(), saved);
    assert!(ledger.providers_of(&"btc".into()).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_view_has_the_columns_that_operators_know() {
    let store = Store::new();
    let ledger = store.open().await;
    ledger
        .record_failure(key(), 1_795_219_200_007, "timeout")
        .await
        .unwrap();
    let row = sqlx::query("SELECT * FROM provider_health")
        .first(ledger.readers(), "read the view")
        .await
        .unwrap()
        .unwrap();
    let columns: Vec<_> = row
        .columns()
        .iter()
        .map(|column| sqlx::Column::name(column).to_owned())
        .collect();
    assert_eq!(
        columns,
        [
            "provider_name",
            "chain",
            "provider_type",
            "status",
            "consecutive_fails",
            "last_success",
            "last_error",
            "last_error_msg",
            "circuit_state",
            "updated_at",
        ]
    );
    let last_error: String = row.get("last_error");
    assert_eq!(last_error, "2026-11-21T00:00:00.007Z");
    let last_success: Option<String> = row.get("last_success");
    assert_eq!(last_success, None);
    let circuit_state: String = row.get("circuit_state");
    assert_eq!(circuit_state, "closed");
}

#[tokio::test]
async fn usage_adds_up_per_day() {
    let store = Store::new();
    let ledger = store.open().await;
    let row = |day: &str, requests| UsageRow {
        day: day.to_owned(),
        key: key(),
        usage: Usage {
            requests,
            successes: requests - 1,
            failures: 1,
            rate_limited: 1,
        },
    };
    ledger
        .add_usage(vec![row("2026-11-20", 9), row("2026-11-21", 5)])
        .await
        .unwrap();
    ledger.add_usage(vec![row("2026-11-21", 7)]).await.unwrap();
    let usage = ledger.usage(Some(&chain()), "2026-11-21").await.unwrap();
    assert_eq!(usage.len(), 1);
    assert_eq!(
        usage[0].usage,
        Usage {
            requests: 12,
            successes: 10,
            failures: 2,
            rate_limited: 2,
        }
    );
    assert_eq!(ledger.usage(None, "2026-01-01").await.unwrap().len(), 2);
}

#[tokio::test]
async fn learned_limits_expire() {
    let store = Store::new();
    let ledger = store.open().await;
    let provider = "bsc-dataseed".into();
    let learned = |value: &str, expires_at| Learned {
        key: "cells_per_call".to_owned(),
        value: value.to_owned(),
        expires_at,
    };
    for limit in [learned("500", START_MS + 1), learned("250", START_MS + 10)] {
        ledger.learn(&chain(), &provider, limit).await.unwrap();
    }
    let limits = ledger.learned(&chain(), &provider).await.unwrap();
    assert_eq!(limits, [learned("250", START_MS + 10)]);
    store.clock.advance(Duration::from_millis(10));
    assert!(
        ledger
            .learned(&chain(), &provider)
            .await
            .unwrap()
            .is_empty()
    );
    ledger
        .forget(&chain(), &provider, "cells_per_call")
        .await
        .unwrap();
}

fn address(index: u64, canonical: &str) -> Result<AddressRow, ListError> {
    Ok(AddressRow {
        index,
        address: canonical.to_uppercase(),
        canonical: canonical.to_owned(),
        label: (index == 0).then(|| "cold".to_owned()),
    })
}

#[tokio::test]
async fn an_import_replaces_the_set_and_keeps_the_first_of_doubled_addresses() {
    let store = Store::new();
    let ledger = store.open().await;
    let import = |list: Vec<Result<AddressRow, ListError>>| {
        let ledger = ledger.clone();
        async move { ledger.import_set(&chain(), "hot", list.into_iter()).await }
    };
    let many = (0..1_234).map(|index| address(index, &format!("0x{index}")));
    let imported = import(many.collect()).await.unwrap();
    assert_eq!((imported.addresses, imported.doubled), (1_234, 0));
    let list = vec![address(0, "0xa"), address(1, "0xb"), address(2, "0xa")];
    let imported = import(list).await.unwrap();
    assert_eq!((imported.addresses, imported.doubled), (2, 1));

    let page = ledger.set_page(&chain(), "hot", None, 10).await.unwrap();
    assert_eq!(
        page,
        [address(0, "0xa").unwrap(), address(1, "0xb").unwrap()]
    );
    let rest = ledger.set_page(&chain(), "hot", Some(0), 10).await.unwrap();
    assert_eq!(rest.len(), 1);
    let sets = ledger.list_sets().await.unwrap();
    assert_eq!(sets.len(), 1);
    assert_eq!((sets[0].name.as_str(), sets[0].addresses), ("hot", 2));
}

#[tokio::test]
async fn a_broken_import_leaves_the_set_as_it_was() {
    let store = Store::new();
    let ledger = store.open().await;
    let good = vec![address(0, "0xa")];
    ledger
        .import_set(&chain(), "hot", good.into_iter())
        .await
        .unwrap();
    for broken in [
        vec![address(0, "0xb"), Err("line 2: not UTF-8".into())],
        vec![address(0, "0xb"), address(0, "0xc")],
    ] {
        let error = ledger
            .import_set(&chain(), "hot", broken.into_iter())
            .await
            .unwrap_err();
        assert!(matches!(error, LedgerError::Import { .. }), "{error}");
        let page = ledger.set_page(&chain(), "hot", None, 10).await.unwrap();
        assert_eq!(page, [address(0, "0xa").unwrap()]);
    }
}

#[tokio::test]
async fn the_newest_decisions_are_kept_and_found_by_id_and_chain() {
    use crate::pool::decision::{Decision, Purpose};

    let store = Store::new();
    let ledger = store.open().await;
    let decision = |id: i64, chain: &str| Decision {
        id,
        at: id / 1_000,
        chain: chain.into(),
        scan: PassId::from("00"),
        purpose: Purpose::Work,
        provider: None,
        cells: 7,
        skipped: Vec::new(),
    };
    let kept = i64::try_from(crate::ledger::DECISIONS_KEPT).unwrap();
    let chain_of = |id: i64| if id % 2 == 0 { "bsc" } else { "btc" };
    let first = (1..=kept).map(|id| decision(id, chain_of(id))).collect();
    ledger.save_decisions(first).await.unwrap();
    let more = (kept + 1..=kept + 3).map(|id| decision(id, chain_of(id)));
    ledger.save_decisions(more.collect()).await.unwrap();
    // Once more is no second one.
    ledger
        .save_decisions(vec![decision(kept, "bsc")])
        .await
        .unwrap();

    let ids = |found: Vec<Decision>| found.iter().map(|it| it.id).collect::<Vec<_>>();
    let newest = ledger.decisions(None, None, 2).await.unwrap();
    assert_eq!(ids(newest), [kept + 3, kept + 2]);
    let of_bsc = ledger
        .decisions(Some(&"bsc".into()), None, 2)
        .await
        .unwrap();
    assert_eq!(ids(of_bsc), [kept + 2, kept]);
    assert_eq!(ledger.decision(3).await.unwrap(), None);
    assert_eq!(ledger.decision(4).await.unwrap(), Some(decision(4, "bsc")));
}
