//! To be written.

use super::context::Context;
use super::{CliError, Exit};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_args: Args, _context: &Context) -> Result<Exit, CliError> {
    Err(CliError::Broken("not written yet".to_owned()))
}
