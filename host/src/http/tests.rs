//! The client over real sockets on the loopback, and over an in-process upstream on paused time.

mod answers;
mod pacing;
mod redirects;
mod requests;
mod secrets;
mod server;
mod setup;
mod time;
mod tokens;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::*;
use crate::clock::{SharedClock, SystemClock, VirtualClock};
use crate::model::{Class, ProviderName};
use server::{Reply, Server};

/// A key whose encoded forms all differ from it.
const KEY: &str = "S3cr3t/K+y?=42";
const KEY_ENCODED: &str = "S3cr3t%2FK%2By%3F%3D42";

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

fn provider(endpoint: &str) -> ProviderHttp {
    let mut provider = ProviderHttp::new(
        ProviderName::from("test"),
        Endpoint::parse(endpoint).unwrap(),
    );
    provider.timeout = Duration::from_secs(5);
    provider
}

fn with_key(endpoint: &str, place: KeyPlace) -> ProviderHttp {
    ProviderHttp {
        credential: Credential::Key {
            key: SecretString::from(KEY),
            place,
        },
        ..provider(endpoint)
    }
}

fn client(provider: ProviderHttp) -> HttpClient {
    HttpClient::new(provider, clock()).unwrap()
}

fn header_place() -> KeyPlace {
    KeyPlace::Header("X-Api-Key".to_owned(), String::new())
}

/// Neither the key nor any of its forms, in any case, is in `text`.
#[track_caller]
fn assert_no_key(text: &str) {
    let lower = text.to_lowercase();
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, KEY);
    for form in [KEY, KEY_ENCODED, base64.as_str(), "S3cr3t"] {
        assert!(!lower.contains(&form.to_lowercase()), "{form} is in {text}");
    }
}

/// An upstream that is a function in this process.
struct Upstream<F>(F);

impl<F> std::fmt::Debug for Upstream<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upstream")
    }
}

#[async_trait]
impl<F, R> Transport for Upstream<F>
where
    F: Fn(WireRequest) -> R + Send + Sync,
    R: Future<Output = Result<WireResponse, TransportError>> + Send,
{
    async fn send(&self, request: WireRequest) -> Result<WireResponse, TransportError> {
        (self.0)(request).await
    }
}

fn in_process<F, R>(provider: ProviderHttp, answer: F) -> HttpClient
where
    F: Fn(WireRequest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<WireResponse, TransportError>> + Send + 'static,
{
    let clock = Arc::new(VirtualClock::starting_at(1_795_219_200_000));
    HttpClient::with_transport(provider, clock, Arc::new(Upstream(answer))).unwrap()
}

/// Keeps what it was told.
#[derive(Default)]
struct Log(Mutex<Vec<Option<AttemptEnd>>>);

impl HttpObserver for Log {
    fn started(&self) {
        self.0.lock().unwrap().push(None);
    }

    fn finished(&self, attempt: &Attempt<'_>) {
        self.0.lock().unwrap().push(Some(attempt.end));
    }
}

impl Log {
    fn entries(&self) -> Vec<Option<AttemptEnd>> {
        self.0.lock().unwrap().clone()
    }
}
