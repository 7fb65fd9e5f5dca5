//! `--record`, `--replay` and `--inject`: a scan whose traffic is kept, comes from a file, or fails
//! on purpose.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use scanhost_conformance::fault::Fault;
use scanhost_conformance::{Cassette, Faults};
use tempfile::TempDir;

use super::super::CliError;
use super::super::context::complain;
use crate::config::{Config, StoreUrl};
use crate::http::Rig;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DrillArgs {
    /// Write down what is asked of providers and answered, without keys, to a new file
    #[arg(long, value_name = "F")]
    record: Option<PathBuf>,
    /// Let a recording answer instead of the network; what comes of it is not kept
    #[arg(long, value_name = "F")]
    replay: Option<PathBuf>,
    /// Let requests fail, e.g. `provider=NAME,status=503,every=3`; what comes of it is not kept
    ///
    /// One of status=N, timeout, reset, truncate, garbage, delay=D, at every=N-th or the first=N
    /// requests, of one provider or of all. May be given several times.
    #[arg(long, value_name = "FAULT")]
    inject: Vec<Fault>,
}

/// What the arguments come to.
pub(super) struct Drill {
    rig: Option<Arc<Rig>>,
    record: Option<PathBuf>,
    replay: Option<PathBuf>,
    /// Where the store of this run alone is.
    folder: Option<TempDir>,
}

// === impl Drill ===

impl Drill {
    /// Reads the recording, and finds out early what cannot be done. A configuration that nothing
    /// may be kept of gets a store of its own, and one that answers from a file no limits.
    pub(super) fn new(args: &DrillArgs, config: &mut Config) -> Result<Self, CliError> {
        for fault in &args.inject {
            let named = fault.provider.as_deref();
            if let Some(name) = named.filter(|name| !knows(config, name)) {
                let known: Vec<_> = config.providers.keys().map(|it| it.as_str()).collect();
                return Err(CliError::Usage(format!(
                    "`--inject`: there is no provider `{name}`; there are `{}`",
                    known.join("`, `")
                )));
            }
        }
        let mut rig = Rig::default().with_faults(Faults::new(args.inject.clone()));
        if let Some(path) = &args.replay {
            let cassette = Cassette::load(path).map_err(|error| {
                CliError::Usage(format!("`--replay {}`: {error}", path.display()))
            })?;
            rig = rig.replaying(cassette);
            for provider in config.providers.values_mut() {
                provider.limits = Some(Vec::new());
            }
        }
        if let Some(path) = &args.record {
            rig = rig.recording(path).map_err(|error| {
                let told = path.display();
                CliError::Usage(format!(
                    "`--record {told}`: {error}; name a new file where this user may write"
                ))
            })?;
        }
        let folder = match args.replay.is_some() || !args.inject.is_empty() {
            true => Some(own_store(config)?),
            false => None,
        };
        Ok(Self {
            rig: (!rig.is_idle()).then(|| Arc::new(rig)),
            record: args.record.clone(),
            replay: args.replay.clone(),
            folder,
        })
    }

    pub(super) fn rig(&self) -> Option<Arc<Rig>> {
        self.rig.clone()
    }

    /// What nothing else may be written to.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.record.iter().chain(&self.replay).cloned().collect()
    }

    pub(super) fn records(&self) -> bool {
        self.record.is_some()
    }

    /// Whether what comes of the run is forgotten.
    pub(super) fn forgets(&self) -> bool {
        self.folder.is_some()
    }

    /// Completes the recording.
    pub(super) fn finish(&self) -> Result<(), CliError> {
        let (Some(rig), Some(path)) = (&self.rig, &self.record) else {
            return Ok(());
        };
        rig.finish().map_err(|error| {
            let told = path.display();
            CliError::Broken(format!(
                "`--record {told}`: {error}; the recording is cut short"
            ))
        })
    }
}

/// A store in a folder that goes away.
fn own_store(config: &mut Config) -> Result<TempDir, CliError> {
    let folder = tempfile::tempdir()
        .map_err(|error| CliError::Broken(format!("failed to make a temporary folder: {error}")))?;
    config.store.url = StoreUrl::Sqlite(store_in(folder.path()));
    complain("a drill: what comes of it is printed, and not kept in the store");
    Ok(folder)
}

fn store_in(folder: &Path) -> PathBuf {
    folder.join("drill.db")
}

fn knows(config: &Config, name: &str) -> bool {
    config.providers.keys().any(|it| it.as_str() == name)
}
