//! Answers that are too long, broken, or not there.

use super::*;

#[tokio::test]
async fn a_body_beyond_the_cap_is_refused() {
    let server = Server::start(|head| {
        let body = "x".repeat(1001);
        if head.contains(" /chunked") {
            Reply::raw(&format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{body}\r\n0\r\n\r\n"
            ))
        } else if head.contains(" /limited") {
            Reply::raw(&format!(
                "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 1001\r\n\r\n{body}"
            ))
        } else {
            Reply::json(200, &body)
        }
    })
    .await;
    let mut provider = provider(&server.url("/"));
    provider.body_max = 1000;
    let capped = client(provider.clone());
    for path in ["/x", "/chunked"] {
        let error = capped.send(Request::get(path), &()).await.unwrap_err();
        assert!(
            matches!(error, HttpError::BodyTooLarge { max: 1000, .. }),
            "{error}"
        );
        assert_eq!(
            (error.class(), error.http_status()),
            (Class::Malformed, Some(200))
        );
    }
    // A refusal keeps its status and its wait.
    let response = capped.send(Request::get("/limited"), &()).await.unwrap();
    assert_eq!(
        (response.status, response.retry_after),
        (429, Some(Duration::from_secs(7)))
    );
    assert_eq!((response.body.len(), response.truncated), (1000, true));

    provider.body_max = 1001;
    let exact = client(provider);
    let response = exact.send(Request::get("/x"), &()).await.unwrap();
    assert_eq!((response.body.len(), response.truncated), (1001, false));
    let mut request = Request::get("/x");
    request.body_max = Some(10);
    let error = exact.send(request, &()).await.unwrap_err();
    assert!(
        matches!(error, HttpError::BodyTooLarge { max: 10, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_refusal_that_breaks_off_keeps_its_status() {
    let server = Server::start(|_| {
        Reply::raw("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 10\r\n\r\n123")
    })
    .await;
    let client = client(provider(&server.url("/")));
    let log = Log::default();
    let response = client.send(Request::get("/x"), &log).await.unwrap();
    assert_eq!(response.retry_after, Some(Duration::from_secs(7)));
    assert_eq!((response.status, response.truncated), (429, true));
    assert_eq!(response.body, b"123");
    assert_eq!(log.entries(), [None, Some(AttemptEnd::Status(429))]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_transport_failure() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n",
        "HTTP/1.1 200 OK\r\nConte",
        "no http at all\r\n\r\n",
        "",
    ] {
        let server = Server::start(move |_| Reply::raw(answer)).await;
        let client = client(provider(&server.url("/")));
        let log = Log::default();
        let error = client.send(Request::get("/x"), &log).await.unwrap_err();
        assert!(
            matches!(error, HttpError::Transport { .. }),
            "{answer:?}: {error}"
        );
        assert_eq!(error.class(), Class::Transport);
        assert_eq!(
            log.entries(),
            [None, Some(AttemptEnd::Failed(Class::Transport))]
        );
        // No hidden second attempt.
        assert_eq!(server.requests().len(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_transport_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let place = KeyPlace::Query("apikey".to_owned());
    let client = client(with_key(&format!("http://{address}/api"), place));
    let error = client.send(Request::get("/x"), &()).await.unwrap_err();
    assert!(
        matches!(error, HttpError::Transport { status: None, .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.to_lowercase().contains("refused"), "{text}");
    assert!(
        text.starts_with(&format!("failed to talk to http://{address}: ")),
        "{text}"
    );
    assert_no_key(&format!("{text} {error:?}"));
}

#[tokio::test]
async fn tls_must_be_tls() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let url = server.url("/").replace("http:", "https:");
    let error = client(provider(&url))
        .send(Request::get("/x"), &())
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Transport);
    assert!(!server.requests()[0].contains("GET"));
}

#[tokio::test]
async fn only_a_known_authority_is_trusted() {
    let (server, ca_pem) = Server::start_tls(|_| Reply::json(200, "{}")).await;
    let mut provider = provider(&server.url("/api"));
    let error = client(provider.clone())
        .send(Request::get("/x"), &())
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Transport);
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(server.requests().is_empty());

    let ca_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca_file.path(), ca_pem).unwrap();
    provider.ca_file = Some(ca_file.path().to_owned());
    let response = client(provider)
        .send(Request::get("/x"), &())
        .await
        .unwrap();
    assert_eq!(response.status, 200);
    assert!(server.requests()[0].starts_with("GET /api/x HTTP/1.1"));
}

#[tokio::test]
async fn a_proxy_carries_requests_and_its_password_stays_hidden() {
    let proxy = Server::start(|_| Reply::json(200, "{\"by\":\"proxy\"}")).await;
    let mut provider = provider("http://h.example/api");
    provider.allow_http = true;
    let url = proxy
        .url("")
        .replace("http://", &format!("http://user:{KEY_ENCODED}@"));
    provider.proxy = ProxySetting::Url(SecretString::from(url));
    let client = client(provider.clone());
    let response = client.send(Request::get("/x"), &()).await.unwrap();
    assert_eq!(response.body, b"{\"by\":\"proxy\"}");
    let seen = proxy.requests().remove(0);
    assert!(
        seen.starts_with("GET http://h.example/api/x HTTP/1.1\r\n"),
        "{seen}"
    );
    assert!(seen.contains("proxy-authorization: Basic "), "{seen}");
    assert_no_key(&client.redactor().redact(&seen));
    assert_no_key(&format!("{provider:?} {client:?}"));
}
