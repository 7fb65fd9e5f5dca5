//! A plugin in this process, on a thread of its own.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scanhost_abi::host::settle;
use scanhost_abi::types as abi;
use scanhost_abi::{HostHandle, ProviderObject, RString, RVec};
use tokio::runtime::Handle;

use super::convert::clean;
use super::opened::{Opened, Place, Said};
use super::{CallError, OpenSettings};
use crate::clock::SharedClock;
use crate::http::HttpClient;
use crate::model::Class;
use crate::plugin::loader::Library;
use crate::plugin::runtime::PluginRuntime;
use crate::plugin::services::{Calls, Services};
use crate::plugin::{ErrorCode, PluginError, PluginFile};

/// Longest wait for `open`.
pub(in crate::plugin) const OPEN_MAX: Duration = Duration::from_secs(5);
/// Addresses that are validated in one turn of a plugin's thread.
pub(in crate::plugin) const VALIDATE_CHUNK: usize = 1_000;

/// A provider whose code runs in this process, on the plugin's own thread.
#[derive(Debug)]
struct InProcess {
    provider: Arc<ProviderObject>,
    runtime: Arc<PluginRuntime>,
}

/// A loaded library and its thread, shared by the providers that it serves.
#[derive(Clone, Debug)]
pub struct PluginHost {
    library: Library,
    pub(in crate::plugin) runtime: Arc<PluginRuntime>,
    io: Handle,
}

// === impl PluginHost ===

impl PluginHost {
    /// Loads a judged file and starts its thread. `io` is the host's runtime.
    ///
    /// # Errors
    ///
    /// The load step that failed.
    pub fn load(file: &PluginFile, copies: &Path, io: &Handle) -> Result<Self, PluginError> {
        Self::start(Library::load(file, copies)?, io)
    }

    /// Starts the thread of a loaded library.
    pub(in crate::plugin) fn start(library: Library, io: &Handle) -> Result<Self, PluginError> {
        let file = library.file();
        let runtime = PluginRuntime::start(file.manifest.name.as_str(), io).map_err(|error| {
            PluginError::new(ErrorCode::Open, &file.path, format!("its thread: {error}"))
        })?;
        Ok(Self::new(library, Arc::new(runtime), io.clone()))
    }

    /// A loaded library with its thread.
    pub(in crate::plugin) fn new(
        library: Library,
        runtime: Arc<PluginRuntime>,
        io: Handle,
    ) -> Self {
        Self {
            library,
            runtime,
            io,
        }
    }

    /// The library.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Opens one provider.
    ///
    /// # Errors
    ///
    /// `open` refused, panicked, or did not come back; or the provider says impossible things.
    pub async fn open(
        &self,
        settings: &OpenSettings,
        client: Arc<HttpClient>,
        clock: SharedClock,
    ) -> Result<Opened, PluginError> {
        let path = &self.library.file().path;
        let fail = |code, message: String| PluginError::new(code, path, message);
        let calls = Arc::new(Calls::default());
        let services = Services {
            provider: settings.provider.clone(),
            client: client.clone(),
            start: clock.now(),
            clock,
            io: self.io.clone(),
            calls: calls.clone(),
        };
        let host = HostHandle::new(Arc::new(services));
        let json = serde_json::to_string(settings)
            .map_err(|error| fail(ErrorCode::Options, error.to_string()))?;
        let library = self.library.clone();
        let opening = self.runtime.spawn(async move {
            let provider = library.open(host, json)?;
            let caps = provider
                .describe()
                .map_err(|error| error.message.into_string())?;
            Ok::<_, String>((provider, caps))
        });
        let opened = tokio::time::timeout(OPEN_MAX, opening).await;
        let (provider, caps) = opened
            .map_err(|_elapsed| fail(ErrorCode::OpenDeadline, open_overdue()))?
            .map_err(|error| fail(ErrorCode::Open, error.to_string()))?
            .map_err(|message| fail(ErrorCode::Open, refusal(&message, settings, &client)))?;
        let place = Box::new(InProcess {
            provider: Arc::new(provider),
            runtime: self.runtime.clone(),
        });
        Opened::new(place, &caps, calls, client).map_err(|why| fail(ErrorCode::Descriptor, why))
    }
}

/// Why `open` failed, in the plugin's words.
pub(in crate::plugin) fn refusal(
    message: &str,
    settings: &OpenSettings,
    client: &HttpClient,
) -> String {
    let message = client.redactor().redact_line(&clean(message));
    format!("provider `{}`: {message}", settings.provider)
}

pub(in crate::plugin) fn open_overdue() -> String {
    format!("`open` did not come back within {} s", OPEN_MAX.as_secs())
}

// === impl InProcess ===

impl InProcess {
    /// Runs `ask` on the plugin's thread until it ends or the plugin hangs.
    async fn run<T: Send + 'static>(
        &self,
        ask: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, CallError> {
        let hung = || CallError::new(Class::PluginFault, "the plugin hangs; it is in quarantine");
        if self.runtime.is_hung() {
            return Err(hung());
        }
        let mut task = AbortOnDrop(self.runtime.spawn(ask));
        tokio::select! {
            done = &mut task.0 => {
                done.map_err(|join| CallError::new(Class::PluginFault, join.to_string()))
            }
            () = self.runtime.hung() => Err(hung()),
        }
    }
}

#[async_trait]
impl Place for InProcess {
    async fn validate_addresses(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Result<RString, abi::AbiError>>, CallError> {
        let provider = self.provider.clone();
        self.run(async move {
            let mut judged = Vec::with_capacity(addresses.len());
            for chunk in addresses.chunks(VALIDATE_CHUNK) {
                for address in chunk {
                    judged.push(provider.validate_address(address));
                }
                tokio::task::yield_now().await;
            }
            judged
        })
        .await
    }

    async fn identity(&self, call: abi::CallContext) -> Said<RString> {
        let provider = self.provider.clone();
        let asked = async move { settle(provider.identity(call)).await };
        self.run(asked).await
    }

    async fn balances(
        &self,
        call: abi::CallContext,
        request: abi::BalancesRequest,
    ) -> Said<RVec<abi::Reading>> {
        let provider = self.provider.clone();
        let asked = async move { settle(provider.balances(call, request)).await };
        self.run(asked).await
    }

    async fn derive(&self, request: abi::DeriveRequest) -> Said<abi::Derived> {
        let provider = self.provider.clone();
        let asked = async move { provider.derive(request) };
        self.run(asked).await
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
