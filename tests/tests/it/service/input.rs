use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{Lab, Plugin};
use crate::served::{Answer, Served};

/// Neither done nor a fault of ours, and told as a problem.
#[track_caller]
fn refused(answer: &Answer) {
    assert!(
        (400..500).contains(&answer.status),
        "{}: {}",
        answer.status,
        answer.text
    );
    assert_eq!(
        answer.headers["content-type"], "application/problem+json",
        "{}",
        answer.text
    );
    let problem: Value = serde_json::from_str(&answer.text).expect("it is JSON");
    assert!(
        problem["code"].is_string() && problem["detail"].is_string(),
        "{problem}"
    );
}

/// Every path of the served document, with its methods.
fn operations(document: &Value) -> Vec<(Method, String)> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let method = method.to_uppercase().parse().expect("it is one");
            operations.push((method, path.trim_start_matches('/').to_owned()));
        }
    }
    operations
}

#[test]
fn what_no_endpoint_understands_is_a_problem_and_changes_nothing() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let served = Served::start(&lab.product);
    let document = served.get("openapi.json").expect(200);
    assert_eq!(
        document["openapi"].as_str().unwrap()[..3],
        *"3.1",
        "{document}"
    );
    let operations = operations(&document);
    assert!(operations.len() >= 12, "{operations:?}");
    let fill = |path: &str, with: &str| {
        let mut filled = String::new();
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            filled.push_str(with);
            rest = after.split_once('}').unwrap().1;
        }
        filled + rest
    };
    for (method, path) in &operations {
        // Foreign ids, path tricks, what is no text.
        for with in [
            "nope",
            "%2e%2e%2f%2e%2e%2fetc",
            "%00",
            "%ff%fe",
            "..%2f",
            "a%0ab",
            &"x".repeat(2_000),
        ] {
            if path.contains('{') {
                refused(&served.send(served.request(method.clone(), &fill(path, with))));
            }
        }
        if *path == "reload" || path.starts_with("session") {
            continue;
        }
        let path = fill(path, "nope");
        if *method == Method::GET {
            for query in [
                "?limit=0",
                "?limit=x",
                "?limit=1001",
                "?cursor=%00",
                "?nonsense=1",
                "?limit=-1",
            ] {
                refused(&served.get(&format!("{path}{query}")));
            }
        }
        if *method == Method::POST {
            let bodies = [
                "",
                "{",
                "[]",
                "null",
                "7",
                "\"x\"",
                "{\"chain\":7}",
                "{\"nonsense\":1}",
                "{\"chain\":\"bsc\",\"addresses\":[1]}",
                "{\"chain\":null}",
                "[\"bsc\",null,null]",
                "\u{feff}{}",
            ];
            for body in bodies {
                let request = served.request(method.clone(), &path);
                let request = request.header("content-type", "application/json");
                refused(&served.send(request.body(body)));
            }
            let request = served.request(method.clone(), &path);
            let request = request.header("content-type", "application/json");
            let huge = format!("{{\"chain\":\"{}\"}}", "x".repeat(3 << 20));
            refused(&served.send(request.body(huge)));
        }
    }
    refused(&served.get("nothing"));
    refused(&served.get("/nothing"));
    refused(&served.send(served.request(Method::PUT, "scans")));
    refused(&served.send(served.request(Method::PATCH, "/livez")));
    assert!(served.items("scans").is_empty());
    assert!(
        served
            .items("providers")
            .iter()
            .all(|it| it["forced"].is_null())
    );
    assert_eq!(served.stop().code, 0);
}

#[test]
fn a_request_for_a_scan_says_what_is_wrong_with_it() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let served = Served::start(&lab.product);
    let check = |body: Value, status: u16, code: &str| {
        served.post("scans", &body).problem(status, code);
    };
    check(json!({ "chain": "bcs" }), 404, "unknown_chain");
    check(
        json!({ "chain": "bsc", "addresses": [] }),
        422,
        "invalid_addresses",
    );
    check(
        json!({ "chain": "bsc", "addresses": ["0x1", "bc1q"] }),
        422,
        "invalid_addresses",
    );
    let many = vec![lab.addresses[0].clone(); 10_001];
    check(
        json!({ "chain": "bsc", "addresses": many }),
        422,
        "invalid_addresses",
    );
    let asset = json!({ "chain": "bsc", "addresses": [lab.addresses[0]], "assets": ["NOPE"] });
    check(asset, 404, "unknown_asset");
    check(
        json!({ "chain": "bsc", "assets": ["BNB"] }),
        422,
        "assets_without_addresses",
    );
    let problem = served.post("scans", &json!({ "chain": "bcs" })).expect(404);
    assert!(
        problem["detail"].as_str().unwrap().contains("bsc"),
        "{problem}"
    );
}

#[test]
fn what_is_no_http_hurts_nobody() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let served = Served::start(&lab.product);
    let address = served.url.strip_prefix("http://").unwrap().to_owned();
    let requests: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"POST /api/v1/scans HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nx",
        b"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    for request in requests {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let done = answer.starts_with("HTTP/1.1 2") || answer.starts_with("HTTP/1.1 5");
        assert!(!done, "{:?}: {answer}", String::from_utf8_lossy(request));
    }
    assert_eq!(served.get("/livez").status, 200);
}
