//! What the service works by: a configuration, and the pool of each of its chains.
//!
//! A setup is never changed. A reload makes another one from the file, and whoever works with the
//! old one keeps it until it is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::clock::SharedClock;
use crate::config::{self, Chain, ConfigErrors, Env, Finding, Loaded};
use crate::ledger::{Ledger, LedgerError};
use crate::model::ChainName;
use crate::plugin::Catalog;
use crate::pool::Pool;
use crate::pool::assemble::{self, Assembled, Assembler};

/// What a configuration is made ready with.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The configuration's file, where somebody named one.
    pub file: Option<PathBuf>,
    /// Variables.
    pub env: Env,
    /// Time.
    pub clock: SharedClock,
    /// The folder of the program, where plugins lie by default.
    pub executable_dir: PathBuf,
    /// Where private copies of plugins are kept.
    pub copies: PathBuf,
}

/// A configuration and its pools.
#[derive(Debug)]
pub struct Setup {
    /// The configuration.
    pub loaded: Loaded,
    /// What is worth knowing about it.
    pub warnings: Vec<Finding>,
    /// Its plugin folders.
    pub catalog: Catalog,
    /// Its chains.
    pub chains: BTreeMap<ChainName, Arc<ChainSetup>>,
    /// What the next setup goes on with, where it needs the same.
    pub assembled: Assembled,
}

/// A chain and who can be asked about it.
#[derive(Debug)]
pub struct ChainSetup {
    /// Its configuration.
    pub chain: Chain,
    /// Its providers.
    pub pool: Pool,
}

/// A configuration that cannot be used; the one before stays.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The operator's to mend.
    #[error("{0}")]
    Config(ConfigErrors),
    /// What providers remember cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Surroundings {
    /// Reads the configuration and the plugin folders, and holds them against each other.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn read(&self) -> Result<(Loaded, Catalog), ConfigErrors> {
        let mut loaded = config::load_locked(self.file.as_deref(), &self.env)?;
        let catalog = assemble::catalog(&loaded.config, &self.executable_dir);
        let findings = assemble::check(&loaded.config, &catalog);
        if let Some(errors) = ConfigErrors::of(findings.errors) {
            return Err(errors);
        }
        loaded.warnings.extend(findings.warnings);
        Ok((loaded, catalog))
    }

    /// Loads and opens what a configuration names. What one provider lacks costs that provider.
    ///
    /// # Errors
    ///
    /// What gates and pacers remember cannot be read.
    pub async fn assemble(
        &self,
        (loaded, catalog): (Loaded, Catalog),
        ledger: &Ledger,
        before: Option<&Setup>,
    ) -> Result<Setup, LedgerError> {
        let config = &loaded.config;
        let mut assembler = Assembler::new(
            config,
            &catalog,
            self.copies.clone(),
            Some(ledger),
            self.clock.clone(),
            Handle::current(),
        );
        if let Some(before) = before {
            assembler.go_on_with(&before.assembled);
        }
        let mut chains = BTreeMap::new();
        for chain in config.chains.values() {
            let pool = assembler.pool(chain, None).await?;
            let setup = ChainSetup {
                chain: chain.clone(),
                pool,
            };
            chains.insert(chain.name.clone(), Arc::new(setup));
        }
        let (assembled, kept) = assembler.finish();
        Ok(Setup {
            warnings: loaded.warnings.iter().cloned().chain(kept).collect(),
            chains,
            assembled,
            catalog,
            loaded,
        })
    }
}

impl Setup {
    /// The chain of that name, as the configuration has it.
    #[must_use]
    pub fn chain(&self, name: &str) -> Option<&Arc<ChainSetup>> {
        let chain = self.loaded.config.chain(name).ok()?;
        self.chains.get(&chain.name)
    }

    /// Plugin folders that are configured and not there.
    #[must_use]
    pub fn missing_folders(&self) -> Vec<PathBuf> {
        let configured = self.loaded.config.plugins.dirs.iter().flatten();
        let missing = configured.filter(|folder| !Path::is_dir(folder));
        missing.cloned().collect()
    }
}
