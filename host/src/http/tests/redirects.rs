//! Redirects stay within the origin.

use super::*;

#[tokio::test]
async fn a_redirect_to_another_port_gets_nothing() {
    let other = Server::start(|_| Reply::json(200, "{}")).await;
    for status in [301, 302, 303, 307, 308] {
        let target = other.url("/elsewhere");
        let server = Server::start(move |_| Reply::redirect(status, &target)).await;
        for (place, path) in [
            (KeyPlace::Query("apikey".to_owned()), "/x"),
            (header_place(), "/x"),
            (KeyPlace::Path, "/x"),
        ] {
            let client = client(with_key(&server.url("/api"), place));
            for request in [Request::get(path), Request::post(path, b"{}".to_vec())] {
                let error = client.send(request, &()).await.unwrap_err();
                let expected_to = other.url("");
                assert!(
                    matches!(&error, HttpError::RedirectElsewhere { to, .. } if *to == expected_to),
                    "{error}"
                );
                assert_eq!(error.class(), Class::Transport);
            }
        }
    }
    assert_eq!(other.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_redirect_to_another_host_or_scheme_is_refused() {
    for target in [
        "http://localhost.example/",
        "https://127.0.0.1/",
        "//evil.example/x",
        "file:///etc/passwd",
        &format!("https://{}.evil.example/", "S3cr3tK3y42"),
    ] {
        let target = target.to_owned();
        let server = {
            let target = target.clone();
            Server::start(move |_| Reply::redirect(302, &target)).await
        };
        let mut provider = with_key(&server.url("/"), header_place());
        provider.credential = Credential::Key {
            key: SecretString::from("S3cr3tK3y42"),
            place: header_place(),
        };
        let error = client(provider)
            .send(Request::get("/x"), &())
            .await
            .unwrap_err();
        assert!(
            matches!(error, HttpError::RedirectElsewhere { .. }),
            "{target}: {error}"
        );
        assert_no_key(&format!("{error} {error:?}"));
    }
}

#[tokio::test]
async fn a_redirect_within_the_origin_keeps_method_and_key() {
    let server = Server::start(|head| {
        if head.contains(" /api/old") {
            Reply::redirect_to_own(|own| format!("http://user:pass@{own}/new?a=1#f"))
        } else {
            Reply::json(200, "{}")
        }
    })
    .await;
    let client = client(with_key(&server.url("/api"), header_place()));
    let log = Log::default();
    let response = client.send(Request::get("/old"), &log).await.unwrap();
    assert_eq!(response.status, 200);
    let seen = server.requests().pop().unwrap();
    assert!(seen.starts_with("GET /new?a=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("x-api-key: {KEY}\r\n")), "{seen}");
    assert!(!seen.to_lowercase().contains("authorization"), "{seen}");
    // Two real attempts, two counts.
    assert_eq!(
        log.entries(),
        [
            None,
            Some(AttemptEnd::Status(308)),
            None,
            Some(AttemptEnd::Status(200))
        ]
    );
}

#[tokio::test]
async fn a_post_does_not_follow() {
    let server = Server::start(|_| Reply::redirect(307, "/new")).await;
    let client = client(provider(&server.url("/")));
    let response = client
        .send(Request::post("/old", b"{}".to_vec()), &())
        .await
        .unwrap();
    assert_eq!(response.status, 307);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|_| Reply::redirect(302, "/again")).await;
    let client = client(provider(&server.url("/")));
    let counter = AttemptCounter::default();
    let error = client.send(Request::get("/x"), &counter).await.unwrap_err();
    assert!(
        matches!(error, HttpError::TooManyRedirects { max: 5, .. }),
        "{error}"
    );
    assert_eq!((counter.started(), server.requests().len()), (6, 6));
}
