//! The headless service: chains scanned by schedule and request, an HTTP API, a stream of events.
//!
//! [`setup`] is what it works by, and what a reload replaces; `chain` is the task of one chain;
//! `feed` keeps the newest events for the streams; `http` is the API; `server` its connections;
//! [`metrics`] tells numbers of all of it, `webhooks` tell others of events, `alerts` of sums that cross
//! a threshold, `retention` keeps the store from growing, and `app` holds them together. Starting is
//! crash-only: a service that was killed and one that was shut down go on in the same way, with what
//! the store tells.

mod alerts;
mod app;
mod chain;
mod event;
mod feed;
mod http;
mod limits;
pub mod metrics;
mod page;
mod retention;
mod server;
mod sets;
pub mod setup;
mod webhooks;

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::app::App;
use self::setup::{SetupError, Surroundings};
use crate::config::Loaded;
use crate::ledger::{Ledger, LedgerError};
use crate::plugin::Catalog;

/// What the service is told from outside its API.
#[derive(Debug)]
pub struct Signals {
    /// End, in good order.
    pub shutdown: CancellationToken,
    /// Read the configuration again.
    pub reload: tokio::sync::mpsc::Receiver<()>,
}

/// Why a service did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The store.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The address.
    #[error(
        "failed to listen at {address}: {source}; another service may listen there, or change \
         `listen` in [service]"
    )]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Runs until it is told to shut down. `ready` hears of the address once requests are answered.
///
/// # Errors
///
/// It could not start.
pub async fn serve(
    surroundings: Surroundings,
    read: (Loaded, Catalog),
    ledger: Ledger,
    mut signals: Signals,
    ready: impl FnOnce(std::net::SocketAddr),
) -> Result<(), ServiceError> {
    let service = read.0.config.service.clone();
    let listener = TcpListener::bind(service.listen).await;
    let listener = listener.map_err(|source| ServiceError::Listen {
        address: service.listen,
        source,
    })?;
    let setup = surroundings.assemble(read, &ledger, None).await?;
    let shutdown = signals.shutdown.clone();
    let app = App::new(surroundings, ledger.clone(), setup, shutdown.clone());
    app.start().await?;
    let reloading = app.clone();
    app.spawn(async move {
        while let Some(()) = until_shutdown(&reloading, signals.reload.recv())
            .await
            .flatten()
        {
            reload(&reloading).await;
        }
    });
    if let Ok(address) = listener.local_addr() {
        ready(address);
    }
    let patience = service.shutdown_timeout;
    let served = server::serve(
        listener,
        http::router(&app),
        service.header_timeout,
        shutdown,
        patience,
    );
    served.await;
    // Passes end between two chunks; what they committed is safe whatever happens now.
    if tokio::time::timeout(patience, app.ended()).await.is_err() {
        tracing::warn!(
            "some work was cut off at the end of the service; its chunks are asked again"
        );
    }
    const CLOSING: Duration = Duration::from_secs(5);
    if tokio::time::timeout(CLOSING, ledger.close()).await.is_err() {
        tracing::warn!("the store did not close in time");
    }
    Ok(())
}

/// The `OpenAPI` 3.1 document of the API, as a service without a base path has it.
///
/// # Panics
///
/// Never: the document is made of what serializes.
#[must_use]
pub fn openapi() -> String {
    let document = http::document("/");
    document.to_pretty_json().expect("a document serializes")
}

async fn until_shutdown<T>(app: &App, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = app.shutdown().cancelled() => None,
        done = work => Some(done),
    }
}

/// A reload by signal: what comes of it is told in the log.
async fn reload(app: &App) {
    match app.reload().await {
        Ok(reloaded) => {
            for warning in reloaded.warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!("the configuration was read again");
        }
        Err(SetupError::Config(errors)) => {
            tracing::error!("the configuration has mistakes, the one before stays: {errors}");
        }
        Err(SetupError::Ledger(error)) => {
            tracing::error!(%error, "the configuration could not be taken: {error}");
        }
    }
}
