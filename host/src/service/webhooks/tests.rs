//! One courier under paused time, and a receiver that is a function.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::clock::VirtualClock;
use crate::config::{Env, load_text};
use crate::http::{TransportError, WireRequest, WireResponse};
use crate::ledger::{NewEvent, WebhookRow};
use crate::model::ChainName;

const START_MS: i64 = 1_795_219_200_000;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a receiver does with a request.
#[derive(Clone, Debug)]
enum Answer {
    Status(u16, Option<&'static str>),
    Hang,
    Refuse,
}

/// Answers by a script, and with 204 when that is through.
#[derive(Debug)]
struct Receiver {
    clock: SharedClock,
    script: Mutex<VecDeque<Answer>>,
    /// When, with which id, and what.
    got: Mutex<Vec<(i64, String, Value)>>,
}

#[async_trait]
impl Transport for Receiver {
    async fn send(&self, request: WireRequest) -> Result<WireResponse, TransportError> {
        let id = request.headers["webhook-id"].to_str().unwrap().to_owned();
        let body = serde_json::from_slice(&request.body).unwrap();
        self.got
            .lock()
            .unwrap()
            .push((self.clock.unix_ms(), id, body));
        let answer = self.script.lock().unwrap().pop_front();
        match answer.unwrap_or(Answer::Status(204, None)) {
            Answer::Status(status, retry_after) => {
                let header = |value: &str| ("retry-after".to_owned(), value.to_owned());
                let headers = retry_after.map(header).into_iter().collect();
                Ok(WireResponse::whole(status, headers, Vec::new()))
            }
            Answer::Hang => std::future::pending().await,
            Answer::Refuse => Err(TransportError("connection refused".to_owned())),
        }
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    clock: SharedClock,
    ledger: Ledger,
    receiver: Arc<Receiver>,
}

impl Bench {
    async fn new(script: &[Answer]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("scanhost.db").display());
        let clock: SharedClock = Arc::new(VirtualClock::starting_at(START_MS));
        let ledger = Ledger::open(&url, clock.clone()).await.unwrap();
        let receiver = Receiver {
            clock: clock.clone(),
            script: Mutex::new(script.iter().cloned().collect()),
            got: Mutex::default(),
        };
        Self {
            _folder: folder,
            clock,
            ledger,
            receiver: Arc::new(receiver),
        }
    }

    /// Starts the courier of a webhook with these lines.
    fn start(&self, lines: &str) -> Working {
        let manager = Webhooks::new(self.ledger.clone(), self.clock.clone());
        manager.start(webhook(lines), self.receiver.clone(), false)
    }

    async fn begun(&self, lines: &str) -> Working {
        let working = self.start(lines);
        while self.ledger.webhooks().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        working
    }

    async fn add(&self, kinds: &[&'static str]) {
        let event = |kind: &&'static str| NewEvent {
            kind,
            chain: Some(ChainName::from("bsc")),
            scan: None,
            data: json!({ "chain": "bsc" }),
        };
        let events = kinds.iter().map(event).collect();
        self.ledger.add_events(events).await.unwrap();
    }

    async fn row(&self) -> WebhookRow {
        let mut rows = self.ledger.webhooks().await.unwrap();
        rows.pop().unwrap()
    }

    /// Waits for so many requests; when they came, in milliseconds from the start, and their ids.
    async fn requests(&self, count: usize) -> Vec<(i64, String)> {
        let began = self.clock.unix_ms();
        loop {
            {
                let got = self.receiver.got.lock().unwrap();
                if got.len() >= count {
                    let told = |(at, id, _): &(i64, String, Value)| (at - START_MS, id.clone());
                    return got.iter().map(told).collect();
                }
            }
            assert!(
                self.clock.unix_ms() - began < 40 * 86_400_000,
                "they do not come"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn webhook(lines: &str) -> Webhook {
    let text = format!(
        "[chains.bsc]\npool = [\"one\"]\nassets = [{{ symbol = \"BNB\", decimals = 18 }}]\n\
         [chains.btc]\npool = [\"one\"]\nassets = [{{ symbol = \"BTC\", decimals = 8 }}]\n\
         [providers.one]\nplugin = \"bsc-rpc\"\nendpoint = \"https://rpc.example.com\"\n\
         [[webhooks]]\nname = \"ops\"\nurl = \"https://hooks.example.com/scanhost\"\n\
         secret = {{ env = \"HOOK\" }}\n{lines}"
    );
    let env: Env = [("HOOK", SECRET)].into_iter().collect();
    let loaded = load_text(std::path::Path::new("scanhost.toml"), &text, &env);
    loaded.unwrap().config.webhooks.remove(0)
}

async fn end(working: Working) {
    working.stop.cancel();
    working.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_webhook_begins_with_the_next_event_and_keeps_the_order() {
    let bench = Bench::new(&[]).await;
    bench.add(&["scan_started", "scan_complete"]).await;
    let working = bench.begun("").await;
    bench.add(&["balance_changed"; 250]).await;
    let requests = bench.requests(250).await;
    let ids: Vec<_> = requests.iter().map(|(_, id)| id.clone()).collect();
    let expected: Vec<_> = (3..253).map(|id| format!("evt_{id}_{START_MS}")).collect();
    assert_eq!(ids, expected);
    let (_, _, body) = bench.receiver.got.lock().unwrap()[0].clone();
    assert_eq!(
        body,
        json!({
            "id": "3",
            "type": "balance_changed",
            "timestamp": "2026-11-21T00:00:00.000Z",
            "data": { "chain": "bsc" },
        })
    );
    end(working).await;
    let row = bench.row().await;
    assert_eq!((row.cursor, row.delivered, row.failures), (252, 250, 0));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_fails_is_asked_again_ever_later_and_misses_nothing() {
    let fails = |status| Answer::Status(status, None);
    let script = [
        fails(500),
        Answer::Refuse,
        fails(302),
        fails(404),
        Answer::Hang,
    ];
    let bench = Bench::new(&script).await;
    let working = bench.begun("").await;
    bench.add(&["scan_started", "scan_complete"]).await;
    let requests = bench.requests(7).await;
    let ids: Vec<_> = requests.iter().map(|(_, id)| id.as_str()).collect();
    let (first, second) = (format!("evt_1_{START_MS}"), format!("evt_2_{START_MS}"));
    assert_eq!(
        ids[..6],
        [first.as_str(); 6],
        "an event goes on until it is taken"
    );
    assert_eq!(ids[6], second);
    let waits: Vec<i64> = requests.windows(2).map(|two| two[1].0 - two[0].0).collect();
    for (at, wait) in waits[..4].iter().enumerate() {
        let whole = 1_000 << at;
        assert!((whole / 2..=whole + 1).contains(wait), "{waits:?}");
    }
    // The one that hung took its 15 s.
    assert!(
        (15_000 + 8_000..=15_000 + 16_001).contains(&waits[4]),
        "{waits:?}"
    );
    end(working).await;
    let row = bench.row().await;
    assert_eq!((row.cursor, row.delivered, row.failures), (2, 2, 0));
    let why = row.last_error_msg.unwrap();
    assert_eq!(why, "the receiver did not answer within 15s");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_and_no_wait_is_longer_than_ten_minutes() {
    let mut script = vec![Answer::Status(429, Some("120"))];
    script.extend(vec![Answer::Status(503, None); 14]);
    let bench = Bench::new(&script).await;
    let working = bench.begun("").await;
    bench.add(&["scan_started"]).await;
    let requests = bench.requests(16).await;
    let waits: Vec<i64> = requests.windows(2).map(|two| two[1].0 - two[0].0).collect();
    assert!((120_000..=120_001).contains(&waits[0]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 600_001), "{waits:?}");
    assert!(waits[14] >= 300_000, "{waits:?}");
    end(working).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was_and_keeps_waiting() {
    let bench = Bench::new(&[Answer::Status(429, Some("1000"))]).await;
    let working = bench.begun("").await;
    bench.add(&["scan_started"]).await;
    bench.requests(1).await;
    while bench.row().await.failures == 0 {
        tokio::task::yield_now().await;
    }
    end(working).await;
    bench.add(&["scan_complete"]).await;
    let working = bench.start("");
    let requests = bench.requests(3).await;
    assert!(requests[1].0 >= 1_000_000, "{requests:?}");
    assert_eq!(requests[0].1, requests[1].1);
    assert!(requests[2].1.starts_with("evt_2_"));
    end(working).await;
    assert_eq!(bench.row().await.delivered, 2);
}

#[tokio::test(start_paused = true)]
async fn only_what_was_asked_for_is_sent() {
    let bench = Bench::new(&[]).await;
    let lines = "events = [\"scan_complete\"]\nchains = [\"bsc\"]\n";
    let working = bench.begun(lines).await;
    for _ in 0..6 {
        bench.add(&["balance_changed"; 99]).await;
    }
    let other = NewEvent {
        kind: "scan_complete",
        chain: Some(ChainName::from("btc")),
        scan: None,
        data: json!({}),
    };
    bench.ledger.add_events(vec![other]).await.unwrap();
    // What was passed over is written down at times, so that it can leave the store.
    while bench.row().await.cursor < 500 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.add(&["scan_complete"]).await;
    let requests = bench.requests(1).await;
    assert!(requests[0].1.starts_with("evt_596_"), "{requests:?}");
    end(working).await;
    assert_eq!(bench.row().await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_is_left_alone_until_its_configuration_changes() {
    let bench = Bench::new(&[Answer::Status(410, None)]).await;
    let working = bench.begun("").await;
    bench.add(&["scan_started"]).await;
    bench.requests(1).await;
    working.task.await.unwrap();
    assert!(bench.row().await.gone);
    // A restart changes nothing.
    bench.start("").task.await.unwrap();
    assert_eq!(bench.receiver.got.lock().unwrap().len(), 1);
    let working = bench.start("events = [\"scan_started\"]\n");
    let requests = bench.requests(2).await;
    assert_eq!(requests[0].1, requests[1].1);
    end(working).await;
    assert!(!bench.row().await.gone);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_delivered_in_time_is_passed_over_and_counted() {
    let bench = Bench::new(&vec![Answer::Status(500, None); 10_000]).await;
    let working = bench.begun("expires = \"1h\"\n").await;
    bench.add(&["scan_started", "scan_started"]).await;
    tokio::time::sleep(Duration::from_secs(2 * 3_600)).await;
    while bench.row().await.skipped < 2 {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    bench.receiver.script.lock().unwrap().clear();
    let asked = bench.receiver.got.lock().unwrap().len();
    bench.add(&["scan_complete"]).await;
    let requests = bench.requests(asked + 1).await;
    assert!(requests[asked].1.starts_with("evt_3_"), "{requests:?}");
    end(working).await;
    let row = bench.row().await;
    assert_eq!((row.skipped, row.delivered), (2, 1));
}
