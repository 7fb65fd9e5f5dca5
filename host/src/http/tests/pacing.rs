//! Slots, pauses and connections of clients that share a pacer, as a server sees them.

use std::num::NonZeroU32;

use super::*;
use crate::gate::{Pacer, PacerConfig};

const SECOND: Duration = Duration::from_secs(1);

/// When requests arrived, by path.
type Arrivals = Arc<Mutex<Vec<(Instant, String)>>>;

pub(super) fn pacer(limits: &[&str]) -> Pacer {
    let config = PacerConfig {
        windows: limits.iter().map(|limit| limit.parse().unwrap()).collect(),
        ..PacerConfig::default()
    };
    Pacer::new(
        &config,
        Arc::new(VirtualClock::starting_at(1_795_219_200_000)),
    )
}

/// A client whose server notes what arrives and answers after `latency`, as `answer` says.
fn noting(
    pacer: &Pacer,
    arrivals: &Arrivals,
    latency: Duration,
    answer: impl Fn(&str) -> (u16, Option<(&'static str, &'static str)>) + Send + Sync + 'static,
) -> Arc<HttpClient> {
    let arrivals = arrivals.clone();
    let mut provider = provider("https://h.example/");
    provider.connections = 20;
    provider.timeout = 13 * SECOND;
    let client = in_process(provider, move |request: WireRequest| {
        let path = request.url.path().to_owned();
        arrivals
            .lock()
            .unwrap()
            .push((Instant::now(), path.clone()));
        let (status, header) = answer(&path);
        async move {
            tokio::time::sleep(latency).await;
            let headers = header.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Ok(WireResponse::whole(
                status,
                headers.into_iter().collect(),
                vec![],
            ))
        }
    });
    Arc::new(client.paced_by(pacer.clone()))
}

fn times(arrivals: &Arrivals, since: Instant) -> Vec<Duration> {
    let arrivals = arrivals.lock().unwrap();
    arrivals.iter().map(|(at, _)| *at - since).collect()
}

#[tokio::test(start_paused = true)]
async fn two_clients_of_a_host_use_its_rate_together_and_never_more() {
    let pacer = pacer(&["10/s", "300/m"]);
    let arrivals = Arrivals::default();
    let latency = Duration::from_millis(80);
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for client in [
        noting(&pacer, &arrivals, latency, |_| (200, None)),
        noting(&pacer, &arrivals, latency, |_| (404, None)),
    ] {
        for _ in 0..10 {
            let client = client.clone();
            tasks.spawn(async move {
                while start.elapsed() < 600 * SECOND {
                    client.send(Request::get("/x"), &()).await.unwrap();
                }
            });
        }
    }
    tasks.join_all().await;
    let times = times(&arrivals, start);
    for (count, per) in [(10, SECOND), (300, 60 * SECOND)] {
        for (first, next) in times.iter().zip(&times[count..]) {
            assert!(*next - *first >= per, "{count} and one more within {per:?}");
        }
    }
    let in_time = times.iter().filter(|at| **at < 600 * SECOND).count();
    assert!(in_time >= 3_000 * 97 / 100, "{in_time}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_pauses_the_host_for_all_who_share_it_while_others_go_on() {
    for (status, header, pause_secs) in [
        (429, Some(("retry-after", "7")), 7),
        (503, Some(("retry-after", "7")), 7),
        // Two hours are cut to one, and no time at all is a second.
        (429, Some(("retry-after", "7200")), 3_600),
        (429, None, 1),
        (503, None, 0),
    ] {
        let (shared, other) = (pacer(&["100/s"]), pacer(&["100/s"]));
        let arrivals = Arrivals::default();
        let answer = move |path: &str| match path {
            "/limited" => (status, header),
            _ => (200, None),
        };
        let one = noting(&shared, &arrivals, Duration::ZERO, answer);
        let two = noting(&shared, &arrivals, Duration::ZERO, answer);
        let elsewhere = noting(&other, &Arrivals::default(), Duration::ZERO, answer);
        one.send(Request::get("/limited"), &()).await.unwrap();
        let asked = Instant::now();
        elsewhere.send(Request::get("/x"), &()).await.unwrap();
        assert_eq!(asked.elapsed(), Duration::ZERO);
        let sent = two.send(Request::get("/x"), &()).await;
        if pause_secs > 2 {
            // A call does not wait for that: others may answer meanwhile.
            let error = sent.unwrap_err();
            assert_eq!(error.class(), Class::RateLimited);
            assert!(
                error.to_string().contains("a pause that is too long"),
                "{error}"
            );
            assert_eq!(arrivals.lock().unwrap().len(), 1);
            assert_eq!(shared.pause(), Some(asked + pause_secs * SECOND));
            // To the millisecond.
            tokio::time::sleep_until(asked + (pause_secs - 2) * SECOND).await;
            two.send(Request::get("/x"), &()).await.unwrap();
            assert_eq!(times(&arrivals, asked)[1], pause_secs * SECOND);
        } else {
            sent.unwrap();
            assert_eq!(
                times(&arrivals, asked)[1],
                pause_secs * SECOND,
                "{status} {header:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn redirects_take_slots_and_no_wait_for_one_is_the_servers_time() {
    let pacer = pacer(&["1/10s"]);
    let arrivals = Arrivals::default();
    let client = noting(&pacer, &arrivals, 4 * SECOND, |path| match path {
        "/a" => (302, Some(("location", "/b"))),
        "/b" => (302, Some(("location", "/c"))),
        _ => (200, None),
    });
    let start = Instant::now();
    let response = client.send(Request::get("/a"), &()).await.unwrap();
    // Twenty seconds more were ours; the server had thirteen.
    assert_eq!(response.elapsed, 12 * SECOND);
    let times = times(&arrivals, start);
    assert_eq!(times.len(), 3);
    assert!(
        times[1] >= 10 * SECOND && times[1] < 11 * SECOND,
        "{times:?}"
    );
    assert!(times[2] >= times[1] + 10 * SECOND, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_weighs_as_many_slots_as_it_has_calls() {
    let pacer = pacer(&["10/s"]);
    let arrivals = Arrivals::default();
    let client = noting(&pacer, &arrivals, Duration::ZERO, |_| (200, None));
    let start = Instant::now();
    for weight in [6, 0, 3, 1, 10] {
        let request = Request {
            weight,
            ..Request::post("/x", vec![])
        };
        client.send(request, &()).await.unwrap();
    }
    let times = times(&arrivals, start);
    assert_eq!(times[..3], [Duration::ZERO; 3]);
    assert!(
        times[3] >= SECOND && times[3] < SECOND.mul_f64(1.03),
        "{times:?}"
    );
    assert!(times[4] >= times[3] + SECOND, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn connections_are_capped_together_and_waiting_for_one_is_not_the_servers_time() {
    let config = PacerConfig {
        connections: NonZeroU32::new(1),
        ..PacerConfig::default()
    };
    let clock = Arc::new(VirtualClock::starting_at(1_795_219_200_000));
    let pacer = Pacer::new(&config, clock);
    let arrivals = Arrivals::default();
    let clients = [0, 1, 2].map(|_| noting(&pacer, &arrivals, 4 * SECOND, |_| (200, None)));
    let start = Instant::now();
    let sent = clients
        .iter()
        .map(|client| client.send(Request::get("/x"), &()));
    for response in futures_util::future::join_all(sent).await {
        assert_eq!(response.unwrap().elapsed, 4 * SECOND);
    }
    let expected: Vec<_> = [0, 4, 8].map(|secs| secs * SECOND).into();
    assert_eq!(times(&arrivals, start), expected);
}
