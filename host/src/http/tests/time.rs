//! Deadlines, cancellation, the number of open requests.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn a_hung_socket_is_a_timeout() {
    for reply in [
        Reply::hang(""),
        Reply::hang("HTTP/1.1 200 OK\r\nContent-Le"),
        Reply::hang("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123"),
        Reply::hang("HTTP/1.1 429 Too Many\r\nContent-Length: 10\r\n\r\n123"),
    ] {
        let server = Server::start(move |_| reply.clone()).await;
        let client = client(provider(&server.url("/")));
        let mut request = Request::get("/x");
        request.timeout = Some(Duration::from_millis(200));
        let (counter, log) = (AttemptCounter::default(), Log::default());
        let started = Instant::now();
        let error = client.send(request.clone(), &counter).await.unwrap_err();
        let elapsed = started.elapsed();
        assert!(matches!(error, HttpError::Timeout { .. }), "{error}");
        assert_eq!(error.class(), Class::Timeout);
        assert!(
            error.to_string().ends_with("did not answer within 200ms"),
            "{error}"
        );
        assert!(elapsed >= Duration::from_millis(200), "{elapsed:?}");
        assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
        assert_eq!((counter.started(), counter.in_flight()), (1, 0));
        client.send(request, &log).await.unwrap_err();
        assert_eq!(
            log.entries(),
            [None, Some(AttemptEnd::Failed(Class::Timeout))]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_connect_headers_body_and_redirects() {
    // Four seconds for each hop and for the last body: the fifteen are over in the fourth step.
    let mut provider = provider("https://h.example/");
    provider.timeout = Duration::from_secs(15);
    let client = in_process(provider, |request: WireRequest| async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let hop = request
            .url
            .path()
            .trim_start_matches("/hop")
            .parse::<u32>()
            .unwrap();
        let (status, location) = if hop < 3 {
            (302, format!("/hop{}", hop + 1))
        } else {
            (200, String::new())
        };
        let body = futures_util::stream::once(async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Ok(b"late".to_vec())
        });
        let mut response = WireResponse::whole(status, vec![("location".into(), location)], vec![]);
        if hop == 3 {
            response.body = Box::pin(body);
        }
        Ok(response)
    });
    let started = Instant::now();
    let error = client.send(Request::get("/hop0"), &()).await.unwrap_err();
    assert_eq!(error.class(), Class::Timeout);
    assert_eq!(started.elapsed(), Duration::from_secs(15));

    let response = client.send(Request::get("/hop1"), &()).await;
    assert_eq!(response.unwrap_err().class(), Class::Timeout);
    let response = client.send(Request::get("/hop2"), &()).await.unwrap();
    assert_eq!(
        (response.body, response.elapsed),
        (b"late".to_vec(), Duration::from_secs(12))
    );
}

#[tokio::test(start_paused = true)]
async fn a_plugin_may_wait_shorter_but_not_longer() {
    let mut provider = provider("https://h.example/");
    provider.timeout = Duration::from_secs(15);
    let client = in_process(provider, |_| std::future::pending());
    for (asked, expected_secs) in [(None, 15), (Some(3), 3), (Some(600), 15)] {
        let mut request = Request::get("/x");
        request.timeout = asked.map(Duration::from_secs);
        let started = Instant::now();
        client.send(request, &()).await.unwrap_err();
        assert_eq!(started.elapsed(), Duration::from_secs(expected_secs));
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_read_by_the_clock() {
    // Each has a client of its own: the pause that one asks for would hold up the next.
    let client = || {
        in_process(
            provider("https://h.example/"),
            |request: WireRequest| async move {
                let value = match request.url.path() {
                    "/seconds" => "7",
                    // The virtual clock starts at 2026-11-21 00:00:00 UTC.
                    "/date" => "Sat, 21 Nov 2026 00:00:30 GMT",
                    _ => "soon",
                };
                let headers = vec![("retry-after".to_owned(), value.to_owned())];
                Ok(WireResponse::whole(429, headers, vec![]))
            },
        )
    };
    for (path, expected_secs) in [("/seconds", Some(7)), ("/date", Some(30)), ("/x", None)] {
        let response = client().send(Request::get(path), &()).await.unwrap();
        assert_eq!(
            response.retry_after,
            expected_secs.map(Duration::from_secs),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_leaves_nothing_open() {
    let mut provider = provider("https://h.example/");
    provider.connections = 1;
    let client = in_process(provider, |_| std::future::pending());
    let (counter, log) = (AttemptCounter::default(), Log::default());
    let limit = Duration::from_secs(1);
    for _ in 0..3 {
        // The outer deadline is shorter than the client's, as a cancelled call's is.
        let sent = tokio::time::timeout(limit, client.send(Request::get("/x"), &counter)).await;
        assert!(sent.is_err());
        assert_eq!(counter.in_flight(), 0);
    }
    assert_eq!(counter.started(), 3);
    let sent = tokio::time::timeout(limit, client.send(Request::get("/x"), &log)).await;
    assert!(sent.is_err());
    assert_eq!(log.entries(), [None, Some(AttemptEnd::Dropped)]);
}

#[tokio::test]
async fn a_dropped_request_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(provider(&format!(
        "http://{}/",
        listener.local_addr().unwrap()
    )));
    let counter = AttemptCounter::default();
    let mut arrived = Vec::new();
    let mut stream = {
        let request = client.send(Request::get("/x"), &counter);
        tokio::pin!(request);
        let arrival = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut arrived).await.unwrap();
            stream
        };
        tokio::select! {
            answer = &mut request => panic!("nobody answered, yet there is {answer:?}"),
            stream = arrival => stream,
        }
    };
    assert_eq!((counter.started(), counter.in_flight()), (1, 0));
    // The end comes at once, not with a timeout.
    let end = tokio::time::timeout(Duration::from_secs(4), async {
        while stream.read_buf(&mut arrived).await.unwrap_or(0) > 0 {}
    });
    end.await.unwrap();
    assert!(arrived.starts_with(b"GET /x HTTP/1.1\r\n"));
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_open_than_allowed() {
    let open = Arc::new(AttemptCounter::default());
    let peak = Arc::new(AtomicU32::new(0));
    let release = Arc::new(Notify::new());
    let mut provider = provider("https://h.example/");
    provider.connections = 3;
    provider.timeout = Duration::from_secs(15);
    let client = {
        let (open, peak) = (open.clone(), peak.clone());
        Arc::new(in_process(provider, move |_| {
            let (open, peak) = (open.clone(), peak.clone());
            async move {
                peak.fetch_max(open.in_flight(), Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(10)).await;
                Ok(WireResponse::whole(200, vec![], vec![]))
            }
        }))
    };
    let started = Instant::now();
    let tasks: Vec<_> = (0..9)
        .map(|_| {
            let (client, open, release) = (client.clone(), open.clone(), release.clone());
            tokio::spawn(async move {
                release.notified().await;
                client.send(Request::get("/x"), &*open).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    release.notify_waiters();
    for task in tasks {
        // Waiting for a connection is not the provider's time: none of the late ones times out.
        assert_eq!(
            task.await.unwrap().unwrap().elapsed,
            Duration::from_secs(10)
        );
    }
    assert_eq!(peak.load(Ordering::SeqCst), 3);
    assert_eq!(started.elapsed(), Duration::from_secs(30));
    assert_eq!((open.started(), open.in_flight()), (9, 0));
}
