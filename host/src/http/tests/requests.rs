//! What goes out: paths, headers, keys.

use super::*;

#[tokio::test]
async fn a_post_arrives_as_it_was_made() {
    let server = Server::start(|_| Reply::json(200, "{\"ok\":1}")).await;
    let client = client(provider(&server.url("/rpc")));
    let mut request = Request::post("", b"[1,2]".to_vec());
    request.headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let response = client.send(request, &()).await.unwrap();

    assert_eq!(response.status, 200);
    assert_eq!(response.body, b"{\"ok\":1}");
    assert!(
        response
            .headers
            .contains(&("content-type".to_owned(), "application/json".to_owned()))
    );
    let seen = server.requests().remove(0).to_lowercase();
    assert!(seen.starts_with("post /rpc http/1.1\r\n"), "{seen}");
    assert!(
        seen.contains("content-type: application/json\r\n"),
        "{seen}"
    );
    assert!(seen.contains("content-length: 5\r\n"), "{seen}");
    assert!(seen.contains(&format!(
        "user-agent: scanhost/{}\r\n",
        env!("CARGO_PKG_VERSION")
    )));
    assert!(!seen.contains("accept-encoding"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n[1,2]"), "{seen}");
}

#[tokio::test]
async fn a_key_goes_where_it_belongs() {
    #[track_caller]
    fn check(seen: &str, expected_line: &str) {
        assert!(
            seen.contains(expected_line),
            "{expected_line:?} is not in {seen}"
        );
    }
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let ask = async |provider: ProviderHttp, path: &str| {
        let response = client(provider)
            .send(Request::get(path), &())
            .await
            .unwrap();
        assert_eq!(response.status, 200);
        server.requests().pop().unwrap()
    };
    let query = |name: &str| KeyPlace::Query(name.to_owned());
    let header = |name: &str, prefix: &str| KeyPlace::Header(name.to_owned(), prefix.to_owned());

    let seen = ask(
        with_key(&server.url("/v2/api"), query("apikey")),
        "?chainid=56",
    )
    .await;
    check(
        &seen,
        &format!("GET /v2/api?chainid=56&apikey={KEY_ENCODED} HTTP/1.1\r\n"),
    );
    let seen = ask(with_key(&server.url("/v2/api?own=1"), query("apikey")), "").await;
    check(
        &seen,
        &format!("GET /v2/api?own=1&apikey={KEY_ENCODED} HTTP/1.1\r\n"),
    );
    let seen = ask(with_key(&server.url("/rpc"), header("X-Api-Key", "")), "/x").await;
    check(&seen, "GET /rpc/x HTTP/1.1\r\n");
    check(&seen, &format!("x-api-key: {KEY}\r\n"));
    let seen = ask(
        with_key(&server.url(""), header("Authorization", "Bearer ")),
        "/x",
    )
    .await;
    check(&seen, &format!("authorization: Bearer {KEY}\r\n"));
    let seen = ask(with_key(&server.url("/v3"), KeyPlace::Path), "/x").await;
    check(&seen, &format!("GET /v3/{KEY_ENCODED}/x HTTP/1.1\r\n"));

    // What the configuration names wins over the manifest's place.
    let seen = ask(
        with_key(&server.url("/{key}/v1?k={key}"), query("apikey")),
        "/x",
    )
    .await;
    check(
        &seen,
        &format!("GET /{KEY_ENCODED}/v1/x?k={KEY_ENCODED} HTTP/1.1\r\n"),
    );
    let mut named = with_key(&server.url("/v1"), query("apikey"));
    named.headers = vec![("X-Token".to_owned(), "t-{key}".to_owned())];
    let seen = ask(named, "/x").await;
    check(&seen, "GET /v1/x HTTP/1.1\r\n");
    check(&seen, &format!("x-token: t-{KEY}\r\n"));
}

#[tokio::test]
async fn a_plugin_cannot_have_the_key_put_in() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let client = client(with_key(&server.url("/api"), header_place()));
    let mut request = Request::post("/{key}?k={key}", b"{key}".to_vec());
    request.headers = vec![("x-mine".to_owned(), "{key}".to_owned())];
    client.send(request, &()).await.unwrap();
    let seen = server.requests().remove(0);
    let own = format!("x-api-key: {KEY}\r\n");
    assert!(seen.contains(&own), "{seen}");
    assert_no_key(&seen.replace(&own, ""));
}

#[tokio::test]
async fn a_basic_key_is_sent_in_base64() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let mut provider = provider(&server.url("/"));
    provider.credential = Credential::Key {
        key: SecretString::from("user:pa55word"),
        place: KeyPlace::Header("Authorization".to_owned(), "Basic ".to_owned()),
    };
    client(provider).send(Request::get(""), &()).await.unwrap();
    let seen = server.requests().remove(0);
    assert!(
        seen.contains("authorization: Basic dXNlcjpwYTU1d29yZA==\r\n"),
        "{seen}"
    );
}

#[tokio::test]
async fn the_operators_headers_win() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let mut provider = provider(&server.url("/"));
    provider.headers = vec![
        ("User-Agent".to_owned(), "me/1".to_owned()),
        ("Accept".to_owned(), "application/json".to_owned()),
    ];
    let mut request = Request::get("");
    request.headers = vec![
        ("accept".to_owned(), "text/html".to_owned()),
        ("x-extra".to_owned(), "1".to_owned()),
    ];
    client(provider).send(request, &()).await.unwrap();
    let seen = server.requests().remove(0);
    assert!(seen.contains("user-agent: me/1\r\n"), "{seen}");
    assert!(seen.contains("accept: application/json\r\n"), "{seen}");
    assert!(seen.contains("x-extra: 1\r\n"), "{seen}");
    assert!(!seen.contains("text/html"), "{seen}");
}

#[tokio::test]
async fn a_plugins_fault_sends_nothing() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let client = client(with_key(
        &server.url("/api"),
        KeyPlace::Query("apikey".to_owned()),
    ));
    let counter = AttemptCounter::default();
    for path in [
        "x",
        "//evil.example/",
        "/../x",
        "https://evil.example/",
        "/x?apikey=1",
        "?ApiKey=1",
        "/\r\n",
    ] {
        let error = client.send(Request::get(path), &counter).await.unwrap_err();
        assert!(
            matches!(error, HttpError::BadPath { .. }),
            "{path:?}: {error}"
        );
        assert_eq!(error.class(), Class::PluginFault);
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
    for (name, value) in [
        ("Host", "evil.example"),
        ("Content-Length", "7"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
        ("Proxy-Authorization", "x"),
        ("Accept-Encoding", "gzip"),
        ("x-injected", "a\r\nHost: evil.example"),
        ("bad name", "x"),
        ("", "x"),
    ] {
        let mut request = Request::get("/x");
        request.headers = vec![(name.to_owned(), value.to_owned())];
        let error = client.send(request, &counter).await.unwrap_err();
        assert!(
            matches!(error, HttpError::BadHeader { .. }),
            "{name:?}: {error}"
        );
        assert_eq!(error.class(), Class::PluginFault);
    }
    assert_eq!((counter.started(), server.requests().len()), (0, 0));
}

#[tokio::test]
async fn a_plugin_cannot_replace_the_key_header() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let client = client(with_key(&server.url("/"), header_place()));
    let mut request = Request::get("/x");
    request.headers = vec![("x-api-key".to_owned(), "mine".to_owned())];
    let error = client.send(request, &()).await.unwrap_err();
    assert_eq!(error.class(), Class::PluginFault);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_watcher_is_told_what_was_sent_beside_the_calls_own_observer() {
    #[derive(Default)]
    struct Watcher(std::sync::Mutex<Vec<(Method, String, AttemptEnd)>>);
    impl HttpObserver for Watcher {
        fn started(&self) {}

        fn finished(&self, attempt: &Attempt<'_>) {
            let told = (attempt.method, attempt.url.to_owned(), attempt.end);
            self.0.lock().unwrap().push(told);
        }
    }
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let watcher = Arc::new(Watcher::default());
    let client = client(with_key(&server.url("/api"), header_place())).watched_by(watcher.clone());
    let log = Log::default();
    client.send(Request::get("/x?a=1"), &log).await.unwrap();
    assert_eq!(log.entries(), [None, Some(AttemptEnd::Status(200))]);
    let told = watcher.0.lock().unwrap().clone();
    let [(method, url, end)] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!((*method, *end), (Method::Get, AttemptEnd::Status(200)));
    assert!(url.ends_with("/x?a=1") && !url.contains(KEY), "{url}");
}
