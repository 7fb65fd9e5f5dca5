//! Keys: put in by the host, shown to nobody else.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use scanhost_tests::product::Run;
use scanhost_tests::upstream::{BodyForm, Fault, Kind};

use crate::lab::{API_KEY, Lab, Plugin, Setup};

/// All that came to a port of another origin; it answers every request with `200 {}`.
pub(super) struct Elsewhere {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Elsewhere {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = [0; 8192];
                let length = stream.read(&mut head).unwrap_or(0);
                kept.lock().expect("no panic").extend(&head[..length]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
            }
        });
        Self { url, seen }
    }

    pub(super) fn seen(&self) -> Vec<u8> {
        self.seen.lock().expect("no panic").clone()
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// The key stands nowhere but in the file that holds it.
#[track_caller]
pub(super) fn check_unseen(lab: &Lab, run: &Run, key: &str, allowed: &[&str]) {
    assert!(!run.stdout.contains(key), "{}", run.stdout);
    assert!(!run.stderr.contains(key), "{}", run.stderr);
    let mut files = 0;
    check_folder(lab.product.folder(), key, allowed, &mut files);
    assert!(files >= 3, "configuration, list and store");
}

fn check_folder(folder: &Path, key: &str, allowed: &[&str], files: &mut usize) {
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            check_folder(&path, key, allowed, files);
            continue;
        }
        *files += 1;
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let bytes = fs::read(&path).expect("it can be read");
        assert!(
            allowed.contains(&name) || !holds(&bytes, key),
            "{}",
            path.display()
        );
    }
}

/// With everything logged.
pub(super) fn loud(lab: &Lab, setup: &Setup) {
    let text = lab.config(setup).text();
    let text = text.replacen("level = \"warn\"", "level = \"trace\"", 1);
    lab.product.write("scanhost.toml", text);
}

#[test]
fn a_key_of_the_query_reaches_its_host_alone() {
    let lab = Lab::new(Plugin::Bscscan, 3);
    loud(&lab, &Setup::of(&["first"]));
    // The host refuses every other key.
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    check_unseen(&lab, &run, API_KEY, &["bscscan.key"]);
}

#[test]
fn a_failing_host_makes_nobody_tell_the_key() {
    let body = BodyForm::Json;
    for what in [
        Kind::Status { code: 500, body },
        Kind::Status { code: 403, body },
        Kind::Reset,
        Kind::Html,
        Kind::Truncated,
    ] {
        let lab = Lab::new(Plugin::Bscscan, 3);
        loud(&lab, &Setup::of(&["first"]));
        lab.fault(Fault::at("first", what));
        let run = lab.scan(&[]).expect(3);
        check_unseen(&lab, &run, API_KEY, &["bscscan.key"]);
    }
}

#[test]
fn a_refused_key_is_told_without_showing_it() {
    let lab = Lab::new(Plugin::Bscscan, 3);
    let wrong = "wrong-8d1c77e0aa";
    lab.product.write("bscscan.key", wrong);
    loud(&lab, &Setup::of(&["first"]));
    let run = lab.scan(&[]).expect(3);
    let rows = lab.expect_honest(&run, &lab.truth(), None);
    let said = &rows[0]["error"]["providers"][0];
    assert_eq!(said["class"], "unauthorized", "{said}");
    check_unseen(&lab, &run, wrong, &["bscscan.key"]);
}

#[test]
fn a_redirect_to_another_port_takes_no_key_along() {
    let elsewhere = Elsewhere::start();
    let lab = Lab::new(Plugin::Bscscan, 3);
    loud(&lab, &Setup::of(&["first"]));
    let location = format!("{}/v2/api", elsewhere.url);
    lab.fault(Fault::at("first", Kind::Redirect { location }));
    let run = lab.scan(&[]).expect(3);
    let _ = lab.expect_honest(&run, &lab.truth(), None);
    check_unseen(&lab, &run, API_KEY, &["bscscan.key"]);
    let seen = elsewhere.seen();
    assert!(!holds(&seen, API_KEY), "{}", String::from_utf8_lossy(&seen));
    assert_eq!(seen, b"", "nobody calls there");
}

#[test]
fn a_key_in_the_endpoint_and_a_header_stay_hidden() {
    let elsewhere = Elsewhere::start();
    let lab = Lab::new(Plugin::BscRpc, 3);
    let setup = Setup::of(&["first"]).first(
        "api_key = { file = \"node.key\" }\nheaders = { x-token = { file = \"token.key\" } }\n",
    );
    let (key, token) = ("node-44d0e1f2b3", "token-99aabbccdd");
    lab.product.write("node.key", key);
    lab.product.write("token.key", token);
    let text = lab.config(&setup).text();
    let text = text.replacen("level = \"warn\"", "level = \"trace\"", 1);
    let endpoint = lab.upstream.endpoint("first");
    let with_key = format!("{}/{{key}}", elsewhere.url);
    lab.product
        .write("scanhost.toml", text.replacen(&endpoint, &with_key, 1));
    let run = lab.scan(&[]).expect(3);
    let seen = elsewhere.seen();
    assert!(
        holds(&seen, &format!("POST /{key} ")),
        "{}",
        String::from_utf8_lossy(&seen)
    );
    assert!(
        holds(&seen, &format!("x-token: {token}")),
        "{}",
        String::from_utf8_lossy(&seen)
    );
    check_unseen(&lab, &run, key, &["node.key"]);
    check_unseen(&lab, &run, token, &["token.key"]);
}

#[test]
fn a_redirect_takes_no_key_of_the_path_or_a_header_along() {
    let elsewhere = Elsewhere::start();
    let lab = Lab::new(Plugin::BscRpc, 3);
    let (key, token) = ("node-77b1c0d9e4", "token-0f1e2d3c4b");
    lab.product.write("node.key", key);
    lab.product.write("token.key", token);
    let setup = Setup::of(&["first"]).first(
        "api_key = { file = \"node.key\" }\nheaders = { x-token = { file = \"token.key\" } }\n",
    );
    let text = lab.config(&setup).text();
    let text = text.replacen("level = \"warn\"", "level = \"trace\"", 1);
    let endpoint = lab.upstream.endpoint("first");
    let with_key = format!("{endpoint}/{{key}}");
    let quoted = |endpoint: &str| format!("endpoint = {endpoint:?}");
    let text = text.replacen(&quoted(&endpoint), &quoted(&with_key), 1);
    lab.product.write("scanhost.toml", text);
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    let location = format!("{}/{key}", elsewhere.url);
    lab.fault(Fault::at("first", Kind::Redirect { location }));
    let run = lab.scan(&["--fresh"]).expect(3);
    check_unseen(&lab, &run, key, &["node.key"]);
    check_unseen(&lab, &run, token, &["token.key"]);
    assert_eq!(elsewhere.seen(), b"", "nobody calls there");
}

#[test]
fn a_proxy_carries_all_and_its_password_stays_hidden() {
    let proxy = Elsewhere::start();
    let lab = Lab::new(Plugin::BscRpc, 3);
    let password = "proxy-3c5a7e9f01";
    let with_password = proxy
        .url
        .replace("http://", &format!("http://me:{password}@"));
    lab.product.write("proxy.key", with_password);
    let setup =
        Setup::of(&["first"]).first("allow_http = true\nproxy = { file = \"proxy.key\" }\n");
    let text = lab.config(&setup).text();
    let text = text.replacen("level = \"warn\"", "level = \"trace\"", 1);
    let endpoint = lab.upstream.endpoint("first");
    let beyond = "http://node.example/rpc";
    lab.product
        .write("scanhost.toml", text.replacen(&endpoint, beyond, 1));
    let run = lab.scan(&[]).expect(3);
    let seen = proxy.seen();
    let shown = String::from_utf8_lossy(&seen).into_owned();
    assert!(holds(&seen, &format!("POST {beyond} ")), "{shown}");
    assert!(holds(&seen, "proxy-authorization: Basic "), "{shown}");
    check_unseen(&lab, &run, password, &["proxy.key"]);
}

#[test]
fn a_ca_file_without_certificates_leaves_its_provider_out() {
    let lab = Lab::new(Plugin::BscRpc, 3);
    lab.product.write("ca.pem", "nothing");
    lab.set_up(&Setup::of(&["first", "second"]).first("ca_file = \"ca.pem\"\n"));
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    assert!(
        run.stderr.contains("ca.pem holds no PEM certificate"),
        "{}",
        run.stderr
    );
    assert!(lab.asked("first").is_empty());
}
