//! The plugin libraries of this process, each loaded once, whatever the number of reloads.
//!
//! A library is never unloaded. A file that has not changed is the library that is there, with the
//! thread that its providers have; a changed one is loaded beside the one before, which is needed
//! until its last provider is gone. How many of one plugin there may be is limited: each stays mapped
//! until the process ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;

use super::backend::PluginHost;
use super::loader::{Library, private_copy};
use super::runtime::PluginRuntime;
use super::{ErrorCode, PluginError, PluginFile, probe};
use crate::model::PluginName;

/// Libraries of one plugin in one process.
const VERSIONS_MAX: usize = 32;

/// The loaded libraries; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    loaded: Arc<Mutex<BTreeMap<PluginName, Versions>>>,
}

/// The libraries of one plugin by the hash of their files.
type Versions = BTreeMap<String, Loaded>;

#[derive(Debug)]
struct Loaded {
    library: Library,
    /// Ends with the last provider that uses it.
    runtime: Weak<PluginRuntime>,
}

impl Libraries {
    /// The code of `file` with its thread: what is there already, else loaded from its private copy in
    /// `copies`. `io` is the host's runtime. One line of the log tells of each attempt to load.
    ///
    /// # Errors
    ///
    /// The load step that failed.
    pub async fn host(
        &self,
        file: &PluginFile,
        copies: &Path,
        io: &Handle,
    ) -> Result<PluginHost, PluginError> {
        if let Some(host) = self.there(file, io) {
            return host;
        }
        let loaded = self.load(file, copies).await;
        let others = self.count(&file.manifest.name);
        super::log::attempt(file, "none", others, loaded.as_ref().err());
        let library = loaded?;
        let host = start(&library, io)?;
        let loaded = Loaded {
            library,
            runtime: Arc::downgrade(&host.runtime),
        };
        let mut plugins = self.lock();
        let versions = plugins.entry(file.manifest.name.clone()).or_default();
        versions.insert(file.sha256.clone(), loaded);
        Ok(host)
    }

    /// The library of that very file, with its thread, or with another one if that hangs.
    fn there(&self, file: &PluginFile, io: &Handle) -> Option<Result<PluginHost, PluginError>> {
        let mut plugins = self.lock();
        let loaded = plugins
            .get_mut(&file.manifest.name)?
            .get_mut(&file.sha256)?;
        if let Some(runtime) = loaded.runtime.upgrade()
            && !runtime.is_hung()
        {
            let library = loaded.library.clone();
            return Some(Ok(PluginHost::new(library, runtime, io.clone())));
        }
        let host = start(&loaded.library, io);
        if let Ok(host) = &host {
            loaded.runtime = Arc::downgrade(&host.runtime);
        }
        Some(host)
    }

    async fn load(&self, file: &PluginFile, copies: &Path) -> Result<Library, PluginError> {
        let count = self.count(&file.manifest.name);
        if count >= VERSIONS_MAX {
            let message = format!(
                "{count} versions of it are in this process, and none ever leaves it; restart \
                 Scanhost to load another"
            );
            return Err(PluginError::new(
                ErrorCode::TooManyVersions,
                &file.path,
                message,
            ));
        }
        let (judged, copies) = (file.clone(), copies.to_owned());
        let copy: PathBuf = on_a_thread(file, move || private_copy(&judged, &copies)).await?;
        probe::probe(file, &copy).await?;
        let judged = file.clone();
        on_a_thread(file, move || Library::load_copy(&judged, &copy)).await
    }

    /// How many libraries the plugin has in this process.
    fn count(&self, plugin: &PluginName) -> usize {
        self.lock().get(plugin).map_or(0, Versions::len)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PluginName, Versions>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(library: &Library, io: &Handle) -> Result<PluginHost, PluginError> {
    PluginHost::start(library.clone(), io)
}

/// Runs one step on a thread that nobody needs if the step never ends.
async fn on_a_thread<T: Send + 'static>(
    file: &PluginFile,
    step: impl FnOnce() -> Result<T, PluginError> + Send + 'static,
) -> Result<T, PluginError> {
    let fail = |code, message: String| PluginError::new(code, &file.path, message);
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(format!("load {}", file.manifest.name))
        .spawn(move || {
            // Nobody listens any more once the deadline is over.
            let _ = done.send(step());
        })
        .map_err(|error| fail(ErrorCode::Link, format!("its thread: {error}")))?;
    match tokio::time::timeout(probe::LOAD_MAX, result).await {
        Ok(Ok(result)) => result,
        Ok(Err(_gone)) => {
            let message = "loading it has failed on its thread".to_owned();
            Err(fail(ErrorCode::Link, message))
        }
        Err(_elapsed) => Err(fail(ErrorCode::LoadDeadline, probe::overdue())),
    }
}
