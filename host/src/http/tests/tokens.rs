//! Tokens of OAuth2: fetched once for many, renewed, replaced when refused, shown to nobody.

use std::sync::atomic::AtomicUsize;

use super::*;

const SECRET: &str = "cl13nt/s3cret+of=mine";
const SECRET_ENCODED: &str = "cl13nt%2Fs3cret%2Bof%3Dmine";
const LIFE: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);

fn with_oauth2(endpoint: &str, token_url: &str) -> ProviderHttp {
    ProviderHttp {
        oauth2: Some(ClientCredentials {
            token_url: Endpoint::parse(token_url).unwrap(),
            client_id: SecretString::from("my-id"),
            hides_id: false,
            client_secret: SecretString::from(SECRET),
            scope: Some("openid".to_owned()),
        }),
        ..provider(endpoint)
    }
}

fn token_answer(token: &str, expires_in: &str) -> String {
    format!(r#"{{"access_token":"{token}","token_type":"Bearer"{expires_in}}}"#)
}

/// A server of tokens and data on virtual time. Tokens are `token-1`, `token-2`, and so on.
struct World {
    /// Requests for a token so far.
    asked: AtomicUsize,
    /// What each request for a token after this one is answered with.
    failing: Mutex<Option<(usize, u16, &'static str)>>,
    /// How long the token server takes.
    latency: Mutex<Duration>,
    expires_in: &'static str,
    /// Tokens that the data's server takes; `None`: all of them.
    accepted: Mutex<Option<Vec<String>>>,
    /// The tokens with which data was asked for.
    seen: Mutex<Vec<String>>,
}

impl World {
    fn start(expires_in: &'static str) -> (Arc<Self>, Arc<HttpClient>) {
        let world = Arc::new(Self {
            asked: AtomicUsize::new(0),
            failing: Mutex::default(),
            latency: Mutex::new(SECOND),
            expires_in,
            accepted: Mutex::default(),
            seen: Mutex::default(),
        });
        let mut provider = with_oauth2("https://h.example/api", "https://login.example/token");
        provider.timeout = Duration::from_secs(15);
        provider.connections = 100;
        let client = {
            let world = world.clone();
            in_process(provider, move |request| {
                let world = world.clone();
                async move {
                    match request.url.host_str() {
                        Some("login.example") => Ok(world.grant(&request).await),
                        _ => Ok(world.answer(&request)),
                    }
                }
            })
        };
        (world, Arc::new(client))
    }

    async fn grant(&self, request: &WireRequest) -> WireResponse {
        assert_eq!(request.method, Method::Post);
        assert_eq!(request.url.as_str(), "https://login.example/token");
        let form = format!(
            "grant_type=client_credentials&client_id=my-id&client_secret={SECRET_ENCODED}\
             &scope=openid"
        );
        assert_eq!(String::from_utf8_lossy(&request.body), form);
        assert!(!request.headers.contains_key("authorization"));
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let latency = *self.latency.lock().unwrap();
        tokio::time::sleep(latency).await;
        let failing = *self.failing.lock().unwrap();
        match failing.filter(|(after, ..)| number > *after) {
            Some((_, status, body)) => WireResponse::whole(status, vec![], body.into()),
            None => {
                let body = token_answer(&format!("token-{number}"), self.expires_in);
                WireResponse::whole(200, vec![], body.into())
            }
        }
    }

    fn answer(&self, request: &WireRequest) -> WireResponse {
        let value = &request.headers["authorization"];
        assert!(value.is_sensitive());
        let token = value.to_str().unwrap().strip_prefix("Bearer ").unwrap();
        self.seen.lock().unwrap().push(token.to_owned());
        let accepted = self.accepted.lock().unwrap();
        let is_good = accepted
            .as_ref()
            .is_none_or(|good| good.iter().any(|it| it == token));
        let status = if is_good { 200 } else { 401 };
        WireResponse::whole(status, vec![], token.into())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The tokens with which data was asked for since the last look.
    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    fn accept(&self, tokens: &[&str]) {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        *self.accepted.lock().unwrap() = Some(tokens);
    }

    /// Requests for a token fail like this once there were so many.
    fn fail_after(&self, count: usize, status: u16, body: &'static str) {
        *self.failing.lock().unwrap() = Some((count, status, body));
    }
}

async fn status(client: &HttpClient) -> u16 {
    client.send(Request::get("/x"), &()).await.unwrap().status
}

#[tokio::test(start_paused = true)]
async fn many_requests_wait_for_one_token() {
    let (world, client) = World::start(r#","expires_in":300"#);
    let counter = Arc::new(AttemptCounter::default());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (client, counter) = (client.clone(), counter.clone());
        tasks.spawn(async move { client.send(Request::get("/x"), &*counter).await });
    }
    for response in tasks.join_all().await {
        assert_eq!(response.unwrap().status, 200);
    }
    assert_eq!(world.asked(), 1);
    assert_eq!(world.seen(), vec!["token-1"; 50]);
    // The request for the token is none of the provider's.
    assert_eq!(counter.started(), 50);
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_leaves_the_fetch_to_the_others() {
    let (world, client) = World::start(r#","expires_in":300"#);
    let first = {
        let client = client.clone();
        tokio::spawn(async move { status(&client).await })
    };
    let half = Duration::from_millis(500);
    tokio::time::sleep(half).await;
    first.abort();
    let started = Instant::now();
    assert_eq!(status(&client).await, 200);
    assert_eq!((world.asked(), started.elapsed()), (1, half));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_its_end_and_nobody_waits() {
    let (world, client) = World::start(r#","expires_in":300"#);
    let start = Instant::now();
    let mut waited = Vec::new();
    while start.elapsed() < 10 * LIFE {
        let asked = Instant::now();
        assert_eq!(status(&client).await, 200);
        waited.push(asked.elapsed());
        tokio::time::sleep(SECOND).await;
    }
    // Asked for when 60 of the 300 seconds are left, by the next request.
    assert!((12..=13).contains(&world.asked()), "{}", world.asked());
    let (first, others) = waited.split_first().unwrap();
    assert_eq!(*first, SECOND);
    assert!(others.iter().all(Duration::is_zero), "{others:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_server_that_is_away_for_a_while_is_not_noticed() {
    let (world, client) = World::start(r#","expires_in":300"#);
    assert_eq!(status(&client).await, 200);
    world.fail_after(1, 503, "busy");
    tokio::time::sleep(Duration::from_secs(245)).await;
    let start = Instant::now();
    while start.elapsed() < 50 * SECOND {
        assert_eq!(status(&client).await, 200);
        tokio::time::sleep(SECOND / 10).await;
    }
    assert_eq!(world.seen().last().unwrap(), "token-1");
    // Not a storm: once in a while.
    assert!((7..=11).contains(&world.asked()), "{}", world.asked());
    *world.failing.lock().unwrap() = None;
    for _ in 0..8 {
        tokio::time::sleep(SECOND).await;
        assert_eq!(status(&client).await, 200);
    }
    assert_ne!(world.seen().last().unwrap(), "token-1");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_while_its_request_waits_for_a_slot_is_not_sent() {
    let (world, client) = World::start(r#","expires_in":30"#);
    let client = Arc::into_inner(client).unwrap();
    let client = client.paced_by(super::pacing::pacer(&["1/m"]));
    for expected in ["token-1", "token-2", "token-3"] {
        assert_eq!(status(&client).await, 200);
        assert_eq!(world.seen(), [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_end_is_not_told_is_used_until_it_is_refused() {
    for expires_in in ["", r#","expires_in":0"#, r#","expires_in":"soon""#] {
        let (world, client) = World::start(expires_in);
        assert_eq!(status(&client).await, 200);
        tokio::time::sleep(Duration::from_secs(365 * 86_400)).await;
        assert_eq!(status(&client).await, 200);
        assert_eq!(world.asked(), 1, "{expires_in}");
        world.accept(&["token-2"]);
        assert_eq!(status(&client).await, 200);
        assert_eq!(world.asked(), 2, "{expires_in}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_and_the_request_repeated_once() {
    let (world, client) = World::start(r#","expires_in":300"#);
    assert_eq!(status(&client).await, 200);
    world.accept(&["token-2"]);
    let _ = world.seen();
    let log = Log::default();
    let request = Request::post("/x", b"{}".to_vec());
    let response = client.send(request, &log).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(world.seen(), ["token-1", "token-2"]);
    // Two real attempts, two counts.
    let ends = [401, 200].map(|status| Some(AttemptEnd::Status(status)));
    assert_eq!(log.entries(), [None, ends[0], None, ends[1]]);

    // Nobody knows us any more: the answer is the server's.
    world.accept(&[]);
    assert_eq!(status(&client).await, 401);
    assert_eq!(world.seen(), ["token-2", "token-3"]);
    assert_eq!(world.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn requests_that_find_one_token_refused_fetch_one_new_token() {
    let (world, client) = World::start(r#","expires_in":300"#);
    assert_eq!(status(&client).await, 200);
    world.accept(&["token-2"]);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        tasks.spawn(async move { status(&client).await });
    }
    assert_eq!(tasks.join_all().await, [200; 50]);
    assert_eq!(world.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_token_server_says_has_its_class() {
    #[track_caller]
    fn check(error: &HttpError, class: Class, status: Option<u16>, expected: &str) {
        let text = error.to_string();
        let expected =
            format!("failed to fetch an OAuth2 token from https://login.example: {expected}");
        assert!(text.starts_with(&expected), "{text}");
        assert_eq!(
            (error.class(), error.http_status()),
            (class, status),
            "{text}"
        );
        assert!(!format!("{text} {error:?}").contains("cl13nt"), "{text}");
    }
    let echo = r#"{"error":"invalid_client","error_description":"no cl13nt/s3cret+of=mine"}"#;
    let refusal = "it refuses the client credentials";
    for (status, body, class, expected) in [
        (500, "", Class::ServerError, "it failed with HTTP 500"),
        (503, "", Class::ServerError, "it failed with HTTP 503"),
        (400, echo, Class::Unauthorized, refusal),
        (401, echo, Class::Unauthorized, refusal),
        (403, "", Class::Unauthorized, refusal),
        (404, "", Class::Malformed, "it answered with HTTP 404"),
        (429, "", Class::RateLimited, "it asks for a pause"),
        (200, "{}", Class::Malformed, "it answered with HTTP 200"),
        (200, "<html>", Class::Malformed, "it answered with HTTP 200"),
    ] {
        let (world, client) = World::start("");
        world.fail_after(0, status, body);
        let log = Log::default();
        let error = client.send(Request::get("/x"), &log).await.unwrap_err();
        check(&error, class, Some(status), expected);
        // Nothing was sent to the provider.
        assert_eq!((world.seen().len(), log.entries().len()), (0, 0));
        // What failed once is tried again by the next request.
        *world.failing.lock().unwrap() = None;
        assert_eq!(self::status(&client).await, 200);
    }

    let (world, client) = World::start("");
    *world.latency.lock().unwrap() = 600 * SECOND;
    let started = Instant::now();
    let error = client.send(Request::get("/x"), &()).await.unwrap_err();
    check(&error, Class::Timeout, None, "it did not answer within 15s");
    assert_eq!(started.elapsed(), 15 * SECOND);
    assert_eq!(world.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_failing_fetch_share_its_failure() {
    let (world, client) = World::start("");
    world.fail_after(0, 500, "");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        tasks.spawn(async move { client.send(Request::get("/x"), &()).await });
    }
    for outcome in tasks.join_all().await {
        assert_eq!(outcome.unwrap_err().class(), Class::ServerError);
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_and_its_request_share_the_timeout() {
    let (world, client) = World::start("");
    *world.latency.lock().unwrap() = 4 * SECOND;
    let mut request = Request::get("/x");
    request.timeout = Some(3 * SECOND);
    let started = Instant::now();
    let error = client.send(request, &()).await.unwrap_err();
    assert_eq!(error.class(), Class::Timeout);
    assert!(error.to_string().ends_with("within 3s"), "{error}");
    assert_eq!(started.elapsed(), 3 * SECOND);
    // The fetch goes on, and serves the next.
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(status(&client).await, 200);
    assert_eq!((world.asked(), started.elapsed()), (1, 5 * SECOND));
}

#[tokio::test]
async fn a_token_goes_to_the_endpoint_alone_and_the_secret_to_the_token_server_alone() {
    let other = Server::start(|_| Reply::json(200, "{}")).await;
    let login = Server::start(|_| Reply::json(200, &token_answer("t0ken-of-mine", ""))).await;
    let target = other.url("/elsewhere");
    let server = Server::start(move |head| {
        if head.contains(" /api/moved") {
            Reply::redirect(302, &target)
        } else if head.contains(" /api/echo") {
            Reply::raw(&format!(
                "HTTP/1.1 403 No\r\nConnection: close\r\n\r\n{head}"
            ))
        } else {
            Reply::json(200, "{}")
        }
    })
    .await;
    let mut provider = with_oauth2(&server.url("/api"), &login.url("/token"));
    provider.headers = vec![("X-Tenant".to_owned(), "t".to_owned())];
    let client = client(provider.clone());
    let send = |path: &'static str| client.send(Request::get(path), &());
    assert_eq!(send("/x").await.unwrap().status, 200);
    let error = send("/moved").await.unwrap_err();
    assert!(
        matches!(error, HttpError::RedirectElsewhere { .. }),
        "{error}"
    );
    let echoed = send("/echo").await.unwrap();
    let echoed = String::from_utf8_lossy(&echoed.body).into_owned();
    assert!(
        echoed.contains("authorization: Bearer [redacted]"),
        "{echoed}"
    );

    assert_eq!(other.requests(), Vec::<String>::new());
    let asked = login.requests();
    let [asked] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    assert!(asked.starts_with("POST /token HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("content-type: application/x-www-form-urlencoded\r\n"));
    // Headers of the configuration belong to the endpoint.
    assert!(!asked.contains("x-tenant"), "{asked}");
    for seen in server.requests() {
        assert!(
            seen.contains("authorization: Bearer t0ken-of-mine\r\n"),
            "{seen}"
        );
        assert!(
            seen.contains("x-tenant: t\r\n") && !seen.contains("cl13nt"),
            "{seen}"
        );
    }
    assert!(!format!("{provider:?} {client:?}").contains("cl13nt"));
}

#[tokio::test]
async fn a_redirect_of_the_token_server_gets_nothing() {
    let other = Server::start(|_| Reply::json(200, &token_answer("t", ""))).await;
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    for status in [301, 302, 303, 307, 308] {
        for target in [other.url("/token"), "/new".to_owned()] {
            let login = Server::start(move |_| Reply::redirect(status, &target)).await;
            let client = client(with_oauth2(&server.url("/api"), &login.url("/token")));
            let error = client.send(Request::get("/x"), &()).await.unwrap_err();
            assert_eq!(error.class(), Class::Transport);
            assert!(error.to_string().contains("change `token_url`"), "{error}");
            assert_eq!(login.requests().len(), 1);
        }
    }
    assert_eq!(other.requests().len() + server.requests().len(), 0);
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_for_tokens_too() {
    let (login, ca_pem) = Server::start_tls(|_| Reply::json(200, &token_answer("t", ""))).await;
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let mut provider = with_oauth2(&server.url("/api"), &login.url("/token"));
    let error = client(provider.clone()).send(Request::get("/x"), &()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    let ca_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca_file.path(), ca_pem).unwrap();
    provider.ca_file = Some(ca_file.path().to_owned());
    assert_eq!(status(&client(provider)).await, 200);
}

#[tokio::test]
async fn a_proxy_carries_requests_for_tokens_too() {
    let proxy = Server::start(|head| {
        if head.starts_with("POST http://login.example/token ") {
            Reply::json(200, &token_answer("t", ""))
        } else {
            Reply::json(200, "{}")
        }
    })
    .await;
    let mut provider = with_oauth2("http://h.example/api", "http://login.example/token");
    provider.allow_http = true;
    provider.proxy = ProxySetting::Url(SecretString::from(proxy.url("")));
    assert_eq!(status(&client(provider)).await, 200);
    assert_eq!(proxy.requests().len(), 2);
}

#[test]
fn a_configuration_of_tokens_that_cannot_work_says_why() {
    #[track_caller]
    fn check(provider: ProviderHttp, expected: &str) {
        let error = HttpClient::new(provider, clock()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let endpoint = "https://h.example/";
    check(
        with_oauth2(endpoint, "http://login.example/token"),
        "`token_url` at http://login.example is not encrypted",
    );
    let good = || with_oauth2(endpoint, "https://login.example/token");
    let headers = vec![("authorization".to_owned(), "Bearer x".to_owned())];
    check(
        ProviderHttp { headers, ..good() },
        "`oauth2` and `headers` both set `Authorization`",
    );
    let place = KeyPlace::Header("Authorization".to_owned(), "Bearer ".to_owned());
    check(
        ProviderHttp {
            oauth2: good().oauth2,
            ..with_key(endpoint, place)
        },
        "`oauth2` and `api_key` both set `Authorization`",
    );
    // A key elsewhere is no matter.
    client(ProviderHttp {
        oauth2: good().oauth2,
        ..with_key(endpoint, header_place())
    });
}
