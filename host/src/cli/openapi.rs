//! `scanhost openapi`: the document of the service's API, for generators of clients.

use std::io::Write;

use super::{CliError, Exit, output};
use crate::service;

pub(super) fn run() -> Result<Exit, CliError> {
    let mut out = output::stdout();
    writeln!(out, "{}", service::openapi())?;
    out.flush()?;
    Ok(Exit::Done)
}
