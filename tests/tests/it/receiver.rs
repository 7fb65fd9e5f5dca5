//! A receiver of webhooks, as an integrator writes one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::runtime::Runtime;

/// A request that came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) timestamp: i64,
    pub(crate) signature: String,
    pub(crate) body: Vec<u8>,
    /// What was answered.
    pub(crate) status: u16,
}

/// Answers what the test says, and keeps what came.
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

#[derive(Debug, Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// The status from now on; 0 is 204.
    status: Mutex<(u16, Option<&'static str>)>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into())
    }

    fn at(address: SocketAddr) -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let shared = Arc::<Shared>::default();
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state(shared.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address));
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            url: format!("http://{address}/hook"),
            shared,
            _runtime: runtime,
        }
    }

    /// Answers with this status from now on, and with this header.
    pub(crate) fn answer(&self, status: u16, header: Option<&'static str>) {
        *self.shared.status.lock().expect("nobody panics") = (status, header);
    }

    /// Everything that came, in its order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("nobody panics").clone()
    }

    /// The events that were taken, in their order.
    pub(crate) fn taken(&self) -> Vec<Value> {
        let received = self.received();
        let taken = received.iter().filter(|it| it.status == 204);
        taken.map(Received::event).collect()
    }
}

impl Received {
    pub(crate) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).expect("it is JSON")
    }

    /// What Standard Webhooks has a receiver check.
    #[track_caller]
    pub(crate) fn check(&self, key: &[u8]) {
        let signed = [
            format!("{}.{}.", self.id, self.timestamp).as_bytes(),
            &self.body,
        ]
        .concat();
        let expected = format!("v1,{}", STANDARD.encode(hmac_sha256(key, &signed)));
        assert_eq!(self.signature, expected);
    }
}

/// HMAC by its definition (RFC 2104), for keys of at most a block: what is checked is not what
/// checks.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    use bitcoin::hashes::{Hash, sha256};
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |with: u8, rest: &[u8]| {
        let mut bytes = block.map(|byte| byte ^ with).to_vec();
        bytes.extend_from_slice(rest);
        sha256::Hash::hash(&bytes).to_byte_array()
    };
    padded(0x5c, &padded(0x36, message))
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (status, retry_after) = *shared.status.lock().expect("nobody panics");
    let status = if status == 0 { 204 } else { status };
    shared
        .received
        .lock()
        .expect("nobody panics")
        .push(Received {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp").parse().unwrap_or(0),
            signature: header("webhook-signature"),
            body: body.to_vec(),
            status,
        });
    let status = StatusCode::from_u16(status).expect("it is a status");
    match retry_after {
        Some(value) => (status, [("retry-after", value)]).into_response(),
        None => status.into_response(),
    }
}
