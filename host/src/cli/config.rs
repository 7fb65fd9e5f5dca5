//! To be written.

use super::context::Context;
use super::{CliError, Exit};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// To be written
    Check,
}

pub(super) fn run(_command: &Command, _context: &Context) -> Result<Exit, CliError> {
    Err(CliError::Broken("not written yet".to_owned()))
}
