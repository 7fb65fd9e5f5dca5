//! Nothing that anyone can read shows a key.

use super::*;

#[tokio::test]
async fn an_echoed_key_does_not_reach_a_plugin() {
    let server = Server::start(|head| {
        Reply::raw(&format!(
            "HTTP/1.1 403 No\r\nX-Echo: {KEY}\r\nConnection: close\r\n\r\nbad key {KEY} in {head}"
        ))
    })
    .await;
    let client = client(with_key(&server.url("/"), KeyPlace::Query("k".to_owned())));
    let response = client.send(Request::get("/x"), &()).await.unwrap();
    assert_eq!(response.status, 403);
    assert_no_key(&format!(
        "{response:?} {}",
        String::from_utf8_lossy(&response.body)
    ));
    assert!(
        response
            .body
            .starts_with(b"bad key [redacted] in GET /x?k=[redacted] HTTP/1.1")
    );
}

#[test]
fn nothing_shows_a_secret() {
    let mut provider = with_key("https://h.example/api", header_place());
    provider.headers = vec![("Authorization".to_owned(), format!("Bearer {KEY}"))];
    provider.proxy = ProxySetting::Url(SecretString::from(format!("http://u:{KEY_ENCODED}@p")));
    let client = client(provider.clone());
    let credential = &provider.credential;
    let redactor = client.redactor();
    assert_no_key(&format!(
        "{provider:?} {credential:?} {client:?} {redactor:?}"
    ));
    assert_no_key(&redactor.redact(&format!("{KEY} {KEY_ENCODED}")));
    let settings = TransportSettings {
        connections: 1,
        proxy: provider.proxy.clone(),
        ca_file: None,
        tls: true,
        is_loopback: false,
    };
    let transport = ReqwestTransport::new(&settings, redactor).unwrap();
    assert_no_key(&format!("{settings:?} {transport:?}"));
}

#[tokio::test]
async fn wire_requests_show_no_secret() {
    let shown = Arc::new(Mutex::new(String::new()));
    let client = {
        let shown = shown.clone();
        let place = KeyPlace::Query("k".to_owned());
        in_process(
            with_key("https://h.example/pasted-key", place),
            move |request| {
                assert!(request.url.as_str().contains(KEY_ENCODED));
                *shown.lock().unwrap() = format!("{request:?}");
                std::future::ready(Ok(WireResponse::whole(200, vec![], vec![])))
            },
        )
    };
    client.send(Request::get("/x?y=1"), &()).await.unwrap();
    let shown = shown.lock().unwrap().clone();
    assert_no_key(&shown);
    assert!(shown.contains("https://h.example/…/x?y=1"), "{shown}");
    assert!(!shown.contains("pasted"), "{shown}");
}

/// A writer that keeps what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_line_has_a_secret() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // With only one dispatcher alive, tracing remembers for a callsite what the first thread that
    // meets it thinks of it, and tests beside this one have no subscriber.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);

    let server = Server::start(|head| {
        if head.contains("/broken") {
            Reply::raw(&format!(
                "HTTP/1.1 200 OK\r\nX: {KEY}\r\nContent-Length: 99\r\n\r\n{KEY}"
            ))
        } else if head.contains("/moved") {
            Reply::redirect(302, &format!("/new?k={KEY_ENCODED}"))
        } else if head.contains("/hang") {
            Reply::hang("")
        } else {
            Reply::json(200, "{}")
        }
    })
    .await;
    let mut failed = 0;
    for place in [
        KeyPlace::Query("k".to_owned()),
        header_place(),
        KeyPlace::Header("Authorization".to_owned(), "Basic ".to_owned()),
        KeyPlace::Path,
    ] {
        let client = client(with_key(&server.url("/api"), place));
        for path in [
            "/ok",
            "/broken",
            "/moved",
            "/hang",
            &format!("/echo?x={KEY_ENCODED}"),
            "/..",
        ] {
            let mut request = Request::get(path);
            request.timeout = Some(Duration::from_millis(200));
            match client.send(request, &()).await {
                Ok(response) => assert_no_key(&format!("{response:?}")),
                Err(error) => {
                    failed += 1;
                    assert_no_key(&format!("{error} {error:?}"));
                }
            }
        }
    }
    assert!(failed >= 8, "only {failed} failed");
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for shown in [
        "provider=test",
        "method=\"GET\"",
        "status=200",
        "class=timeout",
    ] {
        assert!(logged.contains(shown), "{shown} is not in {logged}");
    }
    assert_no_key(&logged);
}
