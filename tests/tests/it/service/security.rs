use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{Lab, Plugin};
use crate::served::Served;

const TOKEN: &str = "a-token-of-the-admin-4711";
const READ: &str = "a-token-for-looking-0815";

fn guarded(lab: &Lab) -> Served {
    let variables = [
        ("SCANHOST__SERVICE__TOKEN", "{ env = \"ADMIN\" }"),
        ("SCANHOST__SERVICE__READ_TOKEN", "{ env = \"READ\" }"),
        ("ADMIN", TOKEN),
        ("READ", READ),
        ("SCANHOST__LOG__LEVEL", "trace"),
    ];
    Served::with(&lab.product, &variables)
}

#[test]
fn without_the_token_nothing_is_told_and_with_the_smaller_one_nothing_is_changed() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let mut served = guarded(&lab);
    let reads = [
        "scans",
        "chains",
        "providers",
        "balances",
        "decisions",
        "events",
        "openapi.json",
    ];
    for path in reads {
        served.get(path).problem(401, "unauthorized");
    }
    served
        .post("scans", &json!({ "chain": "bsc" }))
        .problem(401, "unauthorized");
    for open in ["/livez", "/readyz", "/"] {
        assert_eq!(served.get(open).status, 200, "{open}");
    }
    served.log_in("wrong");
    served.get("scans").problem(401, "unauthorized");
    served.log_in(READ);
    served.get("chains").expect(200);
    served
        .post("scans", &json!({ "chain": "bsc" }))
        .problem(403, "read_only");
    served
        .post("reload", &Value::Null)
        .problem(403, "read_only");
    assert!(served.items("scans").is_empty());
    served.log_in(TOKEN);
    served.ended(&served.scan("bsc"));
    let stopped = served.stop();
    let store = std::fs::read(lab.product.folder().join("scanhost.db")).unwrap();
    for secret in [TOKEN, READ] {
        assert!(!stopped.stderr.contains(secret), "the log tells it");
        let in_store = store
            .windows(secret.len())
            .any(|it| it == secret.as_bytes());
        assert!(!in_store, "the store has it");
    }
}

#[test]
fn a_session_is_a_cookie_without_the_token_and_ends() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let served = guarded(&lab);
    served
        .post("session", &json!({ "token": "wrong" }))
        .problem(401, "unauthorized");
    let begun = served.post("session", &json!({ "token": READ }));
    begun.expect(204);
    let cookie = begun.headers["set-cookie"].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(READ), "{cookie}");
    let pair = cookie.split(';').next().unwrap().to_owned();
    let with = |method: Method, path: &str, pair: &str| {
        served.send(served.request(method, path).header("cookie", pair))
    };
    assert_eq!(
        with(Method::GET, "session", &pair).expect(200)["role"],
        "read"
    );
    with(Method::GET, "chains", &pair).expect(200);
    with(Method::POST, "reload", &pair).problem(403, "read_only");
    let forged = pair.replace("=read.", "=admin.");
    with(Method::GET, "chains", &forged).problem(401, "unauthorized");
    let ended = served.delete("session");
    assert!(
        ended.headers["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
}

#[test]
fn a_page_of_another_origin_gets_nothing_and_changes_nothing() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let served = Served::start(&lab.product);
    let own = served.url.clone();
    let origin = |value: &str| {
        let request = served
            .request(Method::POST, "scans")
            .header("origin", value);
        let request = request.header("content-type", "application/json");
        served.send(request.body(r#"{"chain":"bsc"}"#))
    };
    origin("https://evil.example").problem(403, "origin_not_allowed");
    origin("null").problem(403, "origin_not_allowed");
    for path in ["chains", "/", "/livez", "events", "scans/x"] {
        let request = served
            .request(Method::GET, path)
            .header("host", "evil.example:80");
        served.send(request).problem(421, "host_not_allowed");
    }
    // A form cannot send JSON.
    let form = served
        .request(Method::POST, "scans")
        .header("content-type", "text/plain");
    served
        .send(form.body(r#"{"chain":"bsc"}"#))
        .problem(415, "unsupported_media_type");
    assert!(served.items("scans").is_empty());
    let answer = origin(&own);
    assert_eq!(answer.status, 202, "{}", answer.text);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(answer.headers[name], value);
    }
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[test]
fn guessing_the_token_is_slowed_down() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let mut served = guarded(&lab);
    served.log_in("guess");
    let statuses: Vec<u16> = (0..30).map(|_| served.get("chains").status).collect();
    assert!(
        statuses.contains(&401) && statuses.contains(&429),
        "{statuses:?}"
    );
    served.log_in(TOKEN);
    served.get("chains").expect(200);
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let served = Served::with(
        &lab.product,
        &[("SCANHOST__SERVICE__HEADER_TIMEOUT", "500ms")],
    );
    let address = served.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        .unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut answer = String::new();
    // The end of the connection, or a word about it; not the read's own timeout.
    let ended = stream.read_to_string(&mut answer);
    assert!(ended.is_ok(), "{ended:?}");
    assert!(!answer.contains("200 OK"), "{answer}");
    served.get("/livez");
}

#[test]
fn a_service_that_others_reach_needs_a_token() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let mut command = lab.product.command(&["serve"]);
    command.env("SCANHOST__SERVICE__LISTEN", "0.0.0.0:0");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("needs a token"), "{said}");
}

#[test]
fn below_a_base_path_are_the_page_and_the_api_and_nothing_of_them_above() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let variables = [("SCANHOST__SERVICE__BASE_PATH", "/scan/host")];
    let served = Served::with(&lab.product, &variables);
    assert!(served.url.ends_with("/scan/host"), "{}", served.url);
    // A relative link of the page needs the slash, which a redirect brings.
    let bare = served.client().get(&served.url);
    let page = served.send(bare);
    assert_eq!(page.status, 200);
    assert!(
        page.text
            .contains("<script type=\"module\" src=\"js/main.js\">")
    );
    assert_eq!(served.get("/js/main.js").status, 200);
    served.get("chains").expect(200);
    assert_eq!(served.get("/livez").status, 200);
    let origin = served.url.trim_end_matches("/scan/host");
    let above = |path: &str| served.send(served.client().get(format!("{origin}{path}")));
    // Whoever watches the process need not know where a proxy mounts it.
    assert_eq!(above("/livez").status, 200);
    for path in ["/", "/js/main.js", "/api/v1/chains"] {
        above(path).problem(404, "not_found");
    }
}

#[test]
fn a_stream_ends_with_the_token_that_opened_it() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    lab.product.write("token", TOKEN);
    let variables = [("SCANHOST__SERVICE__TOKEN", "{ file = \"token\" }")];
    let mut served = Served::with(&lab.product, &variables);
    served.log_in(TOKEN);
    let mut stream = served.events("", None);
    served.read_until(&mut stream, |event| event.kind == "scan_state");
    lab.product.write("token", "another-token-altogether");
    served.post("reload", &Value::Null).expect(200);
    served.get("chains").problem(401, "unauthorized");
    let rest = lab.wait(async { stream.next().await });
    assert_eq!(rest, None, "it goes on");
}
