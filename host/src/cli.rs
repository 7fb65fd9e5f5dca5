//! The command line: results on standard output, everything else on standard error.
//!
//! Exit codes: 0 all asked cells known; 1 the run itself broke; 2 wrong usage or
//! configuration; 3 some cells are unknown.

mod addresses;
mod balances;
mod completions;
mod config;
mod context;
mod doctor;
mod explain;
mod health;
mod init;
mod jobs;
mod judge;
mod man;
mod metrics;
mod openapi;
mod output;
mod plan;
mod plugins;
mod progress;
mod remarks;
mod rows;
mod scan;
mod serve;
mod simulate;
mod tell;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use context::Context;

use crate::plugin::probe;
use crate::watch::{WARNING, is_private};

/// Balances of many addresses on many chains, over provider plugins.
#[derive(Debug, Parser)]
#[command(name = "scanhost", version, about, max_term_width = 100)]
struct Cli {
    /// Configuration file [default: `$SCANHOST_CONFIG`, else `scanhost.toml`]
    #[arg(long, global = true, value_name = "F")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read balances now and print them
    Scan(scan::Args),
    /// Tell requests, quota, time and bottleneck of a scan before anything is sent
    Plan(plan::Args),
    /// Run the service: scans by schedule and request, API, events, dashboard
    Serve(serve::Args),
    /// Print what the store holds
    Balances(balances::Args),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// List, look at and verify plugins
    #[command(subcommand)]
    Plugins(plugins::Command),
    /// How each provider fares
    Health(health::Args),
    /// Why a provider was used or passed over
    Explain(explain::Args),
    /// List the service's metrics; print a dashboard and alert rules made for them
    #[command(subcommand)]
    Metrics(metrics::Command),
    /// Import and list address sets
    #[command(subcommand)]
    Addresses(addresses::Command),
    /// Write a commented scanhost.toml and sample lists
    Init(init::Args),
    /// Ask every provider: chain, height, one balance, key
    Doctor(doctor::Args),
    /// Print the document of the service's API, for generators of clients
    Openapi,
    /// Run the real pool under scripted faults, on virtual time
    Simulate(simulate::Args),
    /// Print what makes a shell complete these commands
    Completions(completions::Args),
    /// Print the manual page, or write those of all commands
    Man(man::Args),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Everything that was asked is known.
    Done,
    /// Some of it is unknown.
    Unknown,
    /// Wrong usage, of which a child of this process has told.
    Unusable,
    /// A step that a child of this process did to its end; a plugin's own `exit(0)` is none.
    StepDone,
}

/// The code of [`Exit::StepDone`].
const STEP_DONE: u8 = 100;

/// Why a command did not work.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// The user can mend it: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The run broke: exit code 1.
    #[error("{0}")]
    Broken(String),
    /// Nobody reads our output any more.
    #[error("the output was closed")]
    OutputClosed,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    // Before anything repeats one in a message.
    let private = |argument: std::ffi::OsString| is_private(&argument.to_string_lossy());
    if std::env::args_os().any(private) {
        return exit_code(Err(CliError::Usage(format!("an argument {WARNING}"))));
    }
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == probe::ARGUMENT)
    {
        return probe::run(arguments.next().as_deref());
    }
    probe::by_this_program();
    let cli = Cli::parse();
    // Virtual time needs a runtime of its own, and nothing of what the others start.
    if let Command::Simulate(args) = &cli.command {
        return exit_code(simulate::run(args));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            context::complain(&format!("failed to start: {error}"));
            return ExitCode::from(1);
        }
    };
    let outcome = runtime.block_on(run(cli));
    // A plugin that hangs must not keep the process from ending.
    runtime.shutdown_background();
    exit_code(outcome)
}

fn exit_code(outcome: Result<Exit, CliError>) -> ExitCode {
    match outcome {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Unknown) => ExitCode::from(3),
        Ok(Exit::Unusable) => ExitCode::from(2),
        Ok(Exit::StepDone) => ExitCode::from(STEP_DONE),
        Err(CliError::OutputClosed) => ExitCode::from(1),
        Err(CliError::Broken(message)) => {
            context::complain(&message);
            ExitCode::from(1)
        }
        Err(CliError::Usage(message)) => {
            context::complain(&message);
            ExitCode::from(2)
        }
    }
}

async fn run(cli: Cli) -> Result<Exit, CliError> {
    let context = Context::new(cli.config);
    match cli.command {
        Command::Scan(args) => scan::run(args, &context).await,
        Command::Plan(args) => plan::run(args, &context).await,
        Command::Serve(args) => serve::run(args, &context).await,
        Command::Balances(args) => balances::run(args, &context).await,
        Command::Config(command) => config::run(&command, &context),
        Command::Plugins(command) => plugins::run(command, &context).await,
        Command::Health(args) => health::run(args, &context).await,
        Command::Explain(args) => explain::run(args, &context).await,
        Command::Metrics(command) => metrics::run(&command),
        Command::Addresses(command) => addresses::run(command, &context).await,
        Command::Init(args) => init::run(&args),
        Command::Doctor(args) => doctor::run(args, &context).await,
        Command::Openapi => openapi::run(),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::Simulate(_) => unreachable!("`main` has run it without this runtime"),
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Broken(format!("failed to write the output: {error}")),
        }
    }
}

impl From<crate::ledger::LedgerError> for CliError {
    fn from(error: crate::ledger::LedgerError) -> Self {
        Self::Broken(crate::causes::with_causes(&error))
    }
}

impl From<crate::scan::ScanError> for CliError {
    fn from(error: crate::scan::ScanError) -> Self {
        Self::Broken(crate::causes::with_causes(&error))
    }
}

impl From<csv::Error> for CliError {
    fn from(error: csv::Error) -> Self {
        std::io::Error::from(error).into()
    }
}
