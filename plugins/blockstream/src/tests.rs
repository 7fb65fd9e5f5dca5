//! The answers of blockstream.info's gateway.

mod conformance;
mod matrix;

use scanhost_plugin_api::prelude::*;
use scanhost_plugin_api::test_kit::Kit;
use serde_json::json;

use crate::Blockstream;

const ADDRESS: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";

/// The failure that reading a balance ends with when everything is answered so.
fn failure(status: u16, body: &'static str) -> Error {
    let kit = Kit::new(move |_| {
        Ok(Response {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        })
    });
    let provider: Blockstream = kit.open("mainnet", None, json!({})).unwrap();
    let native = Asset {
        contract: None,
        decimals: 8,
    };
    let request = Balances::new(&[ADDRESS], &[native], &[(0, 0)], Commitment::Confirmed);
    kit.run(async |cx| provider.balances(&cx, &request).await)
        .unwrap_err()
}

#[test]
fn the_json_429_is_a_rate_answer_with_advice_and_no_delay() {
    let body = r#"{"error":"Too Many Requests","message":"Blockstream Explorer API NOTICE: Your request rate exceeds the current limit."}"#;
    let error = failure(429, body);
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!(error.retry_after, None);
    assert!(error.message.contains("700 requests an hour"), "{error}");
    // The same notice with the wrong status is no amount either, and no fault.
    let error = failure(200, body);
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert!(error.message.contains("700 requests an hour"), "{error}");
}

#[test]
fn a_403_is_about_the_key() {
    assert_eq!(failure(403, "{}").kind, ErrorKind::Unauthorized);
    assert_eq!(failure(401, "{}").kind, ErrorKind::Unauthorized);
}
