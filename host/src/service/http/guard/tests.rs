use axum::http::HeaderValue;

use super::*;
use crate::config::{Env, load_text};

fn service(lines: &str) -> Service {
    let env: Env = [("TOKEN", "the-token"), ("READ", "the-read-token")]
        .into_iter()
        .collect();
    let text = format!("[service]\n{lines}\n");
    let path = std::path::Path::new("scanhost.toml");
    load_text(path, &text, &env).unwrap().config.service
}

#[track_caller]
fn check(service: &Service, headers: &[(&'static str, &str)], expected: Option<&str>) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let found = check_names(service, &map, None).err();
    let found = found.map(|problem| serde_json::to_value(problem).unwrap()["code"].clone());
    assert_eq!(
        found.as_ref().and_then(|it| it.as_str()),
        expected,
        "{headers:?}"
    );
}

#[test]
fn only_own_names_are_answered_to() {
    let foreign = Some("host_not_allowed");
    let loopback = service("allowed_hosts = [\"scan.example\", \"other.example:8443\"]");
    for own in [
        "127.0.0.1:8080",
        "localhost",
        "LOCALHOST:99",
        "[::1]:8080",
        "scan.example:443",
    ] {
        check(&loopback, &[("host", own)], None);
    }
    check(&loopback, &[("host", "other.example")], None);
    for other in [
        "evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "",
        "scan.example.evil",
    ] {
        check(&loopback, &[("host", other)], foreign);
    }
    check(&loopback, &[], Some("host_missing"));
    let twice = [("host", "localhost"), ("host", "evil.example")];
    check(&loopback, &twice, Some("host_missing"));
    let open = service("listen = \"0.0.0.0:80\"\ntoken = { env = \"TOKEN\" }");
    check(&open, &[("host", "192.168.1.7")], None);
    check(&open, &[("host", "evil.example")], foreign);
}

#[test]
fn pages_of_other_origins_are_refused() {
    let service = service("allowed_hosts = [\"scan.example\"]");
    let foreign = Some("origin_not_allowed");
    let host = ("host", "127.0.0.1:8080");
    check(&service, &[host, ("origin", "http://127.0.0.1:8080")], None);
    check(&service, &[host, ("origin", "https://scan.example")], None);
    for origin in [
        "null",
        "http://evil.example",
        "http://127.0.0.1:9999",
        "http://127.0.0.1",
    ] {
        check(&service, &[host, ("origin", origin)], foreign);
    }
}

#[test]
fn a_session_gives_its_role_until_its_end_and_only_with_its_token() {
    let lines = "token = { env = \"TOKEN\" }\nread_token = { env = \"READ\" }";
    let configured = service(lines);
    for role in [Role::Admin, Role::Read] {
        let cookie = role.cookie(&configured, 1_000).unwrap();
        assert_eq!(Role::of_cookie(&configured, &cookie, 999), Some(role));
        assert_eq!(Role::of_cookie(&configured, &cookie, 1_000), None);
        assert!(!cookie.contains("the-"), "{cookie}");
    }
    let read = Role::Read.cookie(&configured, 1_000).unwrap();
    let forged = read.replacen("read", "admin", 1);
    assert_eq!(Role::of_cookie(&configured, &forged, 1), None);
    let longer = read.replacen("1000", "9000", 1);
    assert_eq!(Role::of_cookie(&configured, &longer, 1), None);
    let other = service("token = { env = \"READ\" }\nread_token = { env = \"TOKEN\" }");
    assert_eq!(Role::of_cookie(&other, &read, 1), None);
}

#[test]
fn a_token_gives_its_role() {
    let service = service("token = { env = \"TOKEN\" }\nread_token = { env = \"READ\" }");
    let check = |value: &str, expected| {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        assert_eq!(role_of(&service, &headers, 0), expected, "{value}");
    };
    check("Bearer the-token", Some(Role::Admin));
    check("bearer the-read-token", Some(Role::Read));
    // `x:the-token`
    check("Basic eDp0aGUtdG9rZW4=", Some(Role::Admin));
    for wrong in [
        "Bearer ",
        "Bearer the-toke",
        "Bearer the-token2",
        "the-token",
        "Basic the-token",
    ] {
        check(wrong, None);
    }
}
