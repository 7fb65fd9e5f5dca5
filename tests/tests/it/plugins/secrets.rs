//! A plugin that repeats whatever it sees shows no secret.

use std::fs;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use scanhost_tests::product::Run;

use super::{Lab, built_fixture, serve};

const KEY: &str = "k3y-0f-the-0perat0r-1n-t3sts";

/// A service that says what it was asked, with all headers, in its own headers and its body.
async fn mirror() -> String {
    async fn echo(headers: HeaderMap, request: Request) -> Response {
        let mut said = request.uri().to_string();
        for (name, value) in &headers {
            said.push_str(&format!(" {name}={}", value.to_str().unwrap_or_default()));
        }
        ([("x-echo", said.clone())], said).into_response()
    }
    serve(Router::new().fallback(any(echo))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_repeats_shows_no_key() {
    let lab = Lab::start().await;
    let folder = lab.folder(&[&built_fixture("fixture-leaks")]);
    let mirror = mirror().await;
    let backwards: String = KEY.chars().rev().collect();
    for leak in ["reading", "call", "identity", "panic", "log", "backwards"] {
        let more = format!(
            "api_key = {{ env = \"ODD_KEY\" }}\nheaders = {{ x-odd = \"{{key}}\" }}\ntimeout = \
             \"1s\"\n[providers.odd.options]\nleak = {leak:?}"
        );
        let config = lab.config(&[&folder], "fixture-leaks", &mirror, &more);
        let product = lab.product(&config);
        let mut command = product.command(&["scan", "--format", "json"]);
        let output = command
            .env("ODD_KEY", KEY)
            .env("SCANHOST__LOG__LEVEL", "trace")
            .output()
            .expect("the binary starts");
        let run = Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("results are text"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let run = run.expect(3);
        lab.expect_unharmed(&run);
        // It did see the echo of its request, and repeated it.
        let echoed = if leak == "backwards" {
            "ddo-x"
        } else {
            "x-odd"
        };
        let told = match leak {
            "log" => run.stderr.contains(echoed),
            _ => run.stdout.contains(echoed),
        };
        assert!(told, "{leak}: {}\n{}", run.stdout, run.stderr);
        let mut places = vec![run.stdout.into_bytes(), run.stderr.into_bytes()];
        for entry in fs::read_dir(product.folder())
            .expect("it is ours")
            .flatten()
        {
            if entry.path().is_file() {
                places.push(fs::read(entry.path()).expect("it is ours"));
            }
        }
        assert!(places.len() > 3, "the store is among them");
        for secret in [KEY, &backwards] {
            for place in &places {
                let mut windows = place.windows(secret.len());
                assert!(
                    !windows.any(|window| window == secret.as_bytes()),
                    "{leak}: {}",
                    String::from_utf8_lossy(place)
                );
            }
        }
    }
}
