//! To be written.

use super::{CliError, Exit};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> Result<Exit, CliError> {
    Err(CliError::Broken("not written yet".to_owned()))
}
