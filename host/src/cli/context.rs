//! What every command starts from: configuration, log, clock, store.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

pub(super) use super::tell::{announce, caution, complain, say, warn};
use super::{CliError, tell};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{self, Chain, Config, Env, Loaded, LogFormat, Place, StoreUrl};
use crate::ledger::{Ledger, LedgerError};
use crate::model::ProviderName;
use crate::plugin::Catalog;
use crate::pool::assemble;

/// The surroundings of one command.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) file: Option<PathBuf>,
    pub(super) env: Env,
    pub(super) clock: SharedClock,
}

impl Context {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self {
            file,
            env: Env::of_process(),
            clock: Arc::new(SystemClock),
        }
    }

    /// The configuration; its warnings go to standard error, and the log starts as it says.
    pub(super) fn load(&self) -> Result<Loaded, CliError> {
        self.load_and_log(true)
    }

    /// The configuration as it is written, whatever the lock file says.
    pub(super) fn load_unlocked(&self) -> Result<Loaded, CliError> {
        config::load(self.file.as_deref(), &self.env)
            .map_err(|errors| CliError::Usage(errors.to_string()))
    }

    /// The configuration, for a service: its log is not quiet by default.
    pub(super) fn load_for_service(&self) -> Result<Loaded, CliError> {
        self.load_and_log(false)
    }

    fn load_and_log(&self, is_command: bool) -> Result<Loaded, CliError> {
        // A file that cannot be read says nothing of its form.
        if self.env.get("SCANHOST__LOG__FORMAT") == Some("json") {
            tell::in_form(LogFormat::Json);
        }
        let loaded = config::load_locked(self.file.as_deref(), &self.env)
            .map_err(|errors| CliError::Usage(errors.to_string()))?;
        start_log(&loaded.config, is_command);
        warn(&loaded.warnings);
        Ok(loaded)
    }

    /// The configuration, or the built-in defaults where nobody named a file and there is none.
    pub(super) fn load_or_default(&self) -> Result<Loaded, CliError> {
        let variable = self.env.get(config::FILE_VARIABLE);
        let named = self.file.is_some() || variable.is_some_and(|file| !file.is_empty());
        let default = Path::new(config::DEFAULT_FILE);
        if named || default.exists() {
            return self.load();
        }
        let loaded = config::load_text(default, "", &self.env)
            .map_err(|errors| CliError::Usage(errors.to_string()))?;
        start_log(&loaded.config, true);
        Ok(loaded)
    }

    /// The plugin folders, held against the configuration.
    pub(super) fn catalog(&self, config: &Config) -> Result<Catalog, CliError> {
        let catalog = assemble::catalog(config, &executable_dir());
        let findings = assemble::check(config, &catalog);
        warn(&findings.warnings);
        match config::ConfigErrors::of(findings.errors) {
            Some(errors) => Err(CliError::Usage(errors.to_string())),
            None => Ok(catalog),
        }
    }

    /// The store, for work.
    pub(super) async fn ledger(&self, config: &Config) -> Result<Ledger, CliError> {
        let opened = Ledger::open(&store_url(config), self.clock.clone()).await;
        opened.map_err(|error| match error {
            LedgerError::Io { .. } | LedgerError::Database { .. } => CliError::Broken(format!(
                "{}; see that `url` in [store] is right, and that this user may write there",
                crate::causes::with_causes(&error)
            )),
            // The others say so themselves.
            error => error.into(),
        })
    }

    /// The store, for looking.
    pub(super) async fn ledger_read_only(&self, config: &Config) -> Result<Ledger, CliError> {
        self.open_read_only(config)
            .await
            .map_err(|error| match error {
                // Nothing broke: there is nothing to look at yet.
                LedgerError::Missing { .. } => CliError::Usage(error.to_string()),
                error => error.into(),
            })
    }

    /// The store, for looking, with the reason why it cannot be had.
    pub(super) async fn open_read_only(&self, config: &Config) -> Result<Ledger, LedgerError> {
        Ledger::open_read_only(&store_url(config), self.clock.clone()).await
    }

    /// Where private copies of plugins are kept: beside the SQLite file, else with the user's
    /// state.
    pub(super) fn copies(&self, config: &Config) -> PathBuf {
        if let StoreUrl::Sqlite(file) = &config.store.url {
            let mut name = file.file_name().unwrap_or_default().to_owned();
            name.push(".plugins");
            return file.with_file_name(name);
        }
        let state = self.env.get("XDG_STATE_HOME").map(PathBuf::from);
        let home = || {
            self.env
                .get("HOME")
                .map(|home| Path::new(home).join(".local/state"))
        };
        let state = state.or_else(home).unwrap_or_else(std::env::temp_dir);
        state.join("scanhost").join("plugins")
    }
}

/// The chains that a command is about: those that are named, else all.
pub(super) fn chains<'c>(config: &'c Config, names: &[String]) -> Result<Vec<&'c Chain>, CliError> {
    if names.is_empty() {
        return Ok(config.chains.values().collect());
    }
    let mut chains: Vec<&Chain> = Vec::new();
    for name in names {
        let chain = config
            .chain(name)
            .map_err(|error| CliError::Usage(error.to_string()))?;
        if !chains.iter().any(|known| known.name == chain.name) {
            chains.push(chain);
        }
    }
    Ok(chains)
}

/// The name of a provider that is in the configuration.
pub(super) fn provider(config: &Config, name: &str) -> Result<ProviderName, CliError> {
    let provider = config
        .provider(name)
        .map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(provider.name.clone())
}

/// The folder that the running program lies in.
pub(super) fn executable_dir() -> PathBuf {
    let path = std::env::current_exe().ok();
    let folder = path.as_deref().and_then(Path::parent);
    folder.unwrap_or_else(|| Path::new(".")).to_owned()
}

fn store_url(config: &Config) -> String {
    match &config.store.url {
        StoreUrl::Sqlite(file) => format!("sqlite://{}", file.display()),
        StoreUrl::Postgres(url) => url.expose().to_owned(),
    }
}

fn start_log(config: &Config, is_command: bool) {
    // A command at a terminal is quiet unless the operator said otherwise.
    let quiet = is_command && config.place_of("log.level") == Place::Default;
    let level = if quiet {
        "warn"
    } else {
        config.log.level.as_str()
    };
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    tell::in_form(config.log.format);
    // A second start (tests run commands in one process) keeps the first.
    let _ = match config.log.format {
        LogFormat::Json => log.json().flatten_event(true).try_init(),
        LogFormat::Text => log.compact().with_target(false).try_init(),
    };
}
