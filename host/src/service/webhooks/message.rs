//! What goes over the wire: Standard Webhooks (<https://www.standardwebhooks.com>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use serde_json::json;
use sha2::Sha256;

use crate::clock::rfc3339;
use crate::ledger::StoredEvent;

/// Most bytes of a body; events are far smaller.
const BODY_MAX: usize = 256 << 10;

/// An event on its way; the same in every attempt.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Unique for the event, in every store; receivers know repeats by it.
    pub(super) id: String,
    /// JSON.
    pub(super) body: Vec<u8>,
}

// === impl Message ===

impl Message {
    /// `None` where it would be too large for any receiver.
    pub(super) fn of(event: &StoredEvent) -> Option<Self> {
        let body = json!({
            "id": event.id.to_string(),
            "type": event.kind,
            "timestamp": rfc3339(event.at),
            "data": event.data,
        });
        let body = body.to_string().into_bytes();
        (body.len() <= BODY_MAX).then(|| Self {
            // Ids are unique within a store; with its moment an event is so beyond it.
            id: format!("evt_{}_{}", event.id, event.at),
            body,
        })
    }

    /// The headers of an attempt at that time, in seconds since 1970.
    pub(super) fn headers(&self, key: &[u8], now_unix: i64) -> HeaderMap {
        let signature = signature(key, &self.id, now_unix, &self.body);
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            let value = HeaderValue::from_str(value).expect("it is letters, digits and signs");
            headers.insert(name, value);
        };
        set(CONTENT_TYPE, "application/json");
        set(USER_AGENT, concat!("scanhost/", env!("CARGO_PKG_VERSION")));
        set(HeaderName::from_static("webhook-id"), &self.id);
        let at = now_unix.to_string();
        set(HeaderName::from_static("webhook-timestamp"), &at);
        set(HeaderName::from_static("webhook-signature"), &signature);
        headers
    }
}

/// `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
fn signature(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_published_example() {
        // Of the reference implementations' own tests.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signature = signature(&key, id, 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
