//! `scanhost plugins`: what lies in the folders, what a file says, whether it can be used; a new one.

mod inspect;
mod list;
mod lock;
mod new;
mod try_;
mod verify;

use std::path::PathBuf;

use super::context::Context;
use super::output::Format;
use super::{CliError, Exit};
use crate::plugin::{ErrorCode, PluginError};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Every plugin in the folders, from its manifest; runs none of them
    List {
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Everything that a plugin file says of itself, without running it
    Inspect {
        /// The plugin's file
        file: PathBuf,
    },
    /// Pin the files that lie in the folders, in the lock file beside the configuration
    Lock(lock::Args),
    /// Load a plugin file step by step and hold it against the conformance checks, without any
    /// network
    Verify(verify::Args),
    /// Look at an endpoint through a plugin, without any configuration
    Try(try_::Args),
    /// Write the crate of a new plugin into ./NAME/
    New(new::Args),
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Exit, CliError> {
    match command {
        Command::List { format } => list::run(format, context),
        Command::Inspect { file } => inspect::run(&file),
        Command::Lock(args) => lock::run(&args, context),
        Command::Verify(args) => verify::run(args, context).await,
        Command::Try(args) => try_::run(args, context).await,
        Command::New(args) => new::run(&args),
    }
}

/// A file that is no plugin for this host, with what to do about it.
fn unusable(error: &PluginError) -> CliError {
    let next = match error.code {
        ErrorCode::Unreadable => "; check the path and who may read it",
        ErrorCode::NotALibrary | ErrorCode::NotAPlugin => {
            "; name the library that was built of a plugin, as libNAME.so"
        }
        // The others say so themselves.
        _ => "",
    };
    CliError::Usage(format!("{error}{next}"))
}
