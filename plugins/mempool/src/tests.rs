//! The answers of mempool.space's gateway.

mod conformance;
mod matrix;

use std::time::Duration;

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::Kit;
use serde_json::json;

use crate::Mempool;

const ADDRESS: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";

/// The failure that reading a balance ends with when everything is answered so.
fn failure(answer: impl Fn() -> Result<Response, Error> + Send + Sync + 'static) -> Error {
    let kit = Kit::new(move |_| answer());
    let provider: Mempool = kit.open("mainnet", None, json!({})).unwrap();
    let native = Asset {
        contract: None,
        decimals: 8,
    };
    let request = Balances::new(&[ADDRESS], &[native], &[(0, 0)], Commitment::Confirmed);
    kit.run(async |cx| provider.balances(&cx, &request).await)
        .unwrap_err()
}

fn html(status: u16, title: &str) -> Result<Response, Error> {
    Ok(Response {
        status,
        headers: vec![("content-type".to_owned(), "text/html".to_owned())],
        body: format!("<html><head><title>{title}</title></head><body></body></html>").into(),
    })
}

#[test]
fn the_html_429_is_a_rate_answer_with_advice() {
    let error = failure(|| html(429, "429 Too Many Requests"));
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert!(error.message.contains("bans who ignores them"), "{error}");
}

#[test]
fn a_page_with_status_200_is_no_amount() {
    let error = failure(|| html(200, "Just a moment..."));
    assert_eq!(error.kind, ErrorKind::Malformed);
}

#[test]
fn a_403_is_a_ban_and_ends_by_itself() {
    let error = failure(|| html(403, "403 Forbidden"));
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!(error.retry_after, Some(Duration::from_mins(10)));
}

#[test]
fn a_stalled_connection_is_a_timeout() {
    let error = failure(|| Err(Error::new(ErrorKind::Timeout, "no answer within 15 s")));
    assert_eq!(error.kind, ErrorKind::Timeout);
}
