//! `scanhost metrics`: what the service tells at `/metrics`, and what reads it.

use std::io::Write;

use super::output::{self, Table};
use super::{CliError, Exit};
use crate::service::metrics::{dashboard, registry, rules};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List every metric
    List,
    /// Print a dashboard for Grafana
    Dashboard,
    /// Print alert rules for Prometheus
    Rules,
}

pub(super) fn run(command: &Command) -> Result<Exit, CliError> {
    let mut out = output::stdout();
    match command {
        Command::List => list(&mut out)?,
        Command::Dashboard => out.write_all(dashboard::dashboard().as_bytes())?,
        Command::Rules => out.write_all(rules::rules().as_bytes())?,
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn list(out: &mut output::Out) -> Result<(), CliError> {
    let mut table = Table::new(&["NAME", "TYPE", "LABELS", "MEANING"]);
    for family in registry::ALL {
        let labels: Vec<&str> = family.labels.iter().map(|label| label.name()).collect();
        table.row(vec![
            family.name.to_owned(),
            family.kind.as_str().to_owned(),
            labels.join(","),
            family.help.to_owned(),
        ]);
    }
    table.print(out)?;
    Ok(())
}
