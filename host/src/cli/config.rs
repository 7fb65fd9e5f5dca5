//! `scanhost config`: is it right, and what is in effect.

use std::io::Write;

use super::context::Context;
use super::output;
use super::{CliError, Exit};
use crate::config::{Config, Loaded, StoreUrl};
use crate::plugin::Catalog;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Tell every mistake at once, without any network
    Check,
    /// Print every value in effect and where it comes from, without secrets
    Show,
}

pub(super) fn run(command: &Command, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load()?;
    let lines: Vec<String> = match command {
        Command::Check => {
            let catalog = context.catalog(&loaded.config)?;
            summary(&loaded, &catalog)
        }
        Command::Show => loaded.show().collect(),
    };
    let mut out = output::stdout();
    for line in lines {
        writeln!(out, "{}", output::plain(&line))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn summary(loaded: &Loaded, catalog: &Catalog) -> Vec<String> {
    let config: &Config = &loaded.config;
    let mut lines = vec![format!("{}: ok", loaded.file.display())];
    lines.push(match &config.store.url {
        StoreUrl::Sqlite(file) => format!("store    SQLite file {}", file.display()),
        StoreUrl::Postgres(_) => "store    PostgreSQL".to_owned(),
    });
    for chain in config.chains.values() {
        let join = |words: Vec<&str>| words.join(", ");
        let pool = join(chain.pool.iter().map(|name| name.as_str()).collect());
        let assets = chain.assets.iter().map(|asset| asset.symbol.as_str());
        let assets = join(assets.collect());
        lines.push(format!("chain    {}: {assets} from {pool}", chain.name));
    }
    for file in catalog.iter() {
        let (name, version) = (&file.manifest.name, &file.manifest.version);
        lines.push(format!("plugin   {name} {version} {}", file.path.display()));
    }
    lines
}
