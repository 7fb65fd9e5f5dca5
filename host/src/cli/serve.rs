//! `scanhost serve`: the headless service.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::context::{self, Context, announce};
use super::{CliError, Exit};
use crate::service::setup::Surroundings;
use crate::service::{self, ServiceError, Signals};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, context: &Context) -> Result<Exit, CliError> {
    let signals = signals()?;
    let loaded = context.load_for_service()?;
    let catalog = context.catalog(&loaded.config)?;
    let config = &loaded.config;
    if config.chains.is_empty() {
        return Err(CliError::Usage(
            "no chain is configured; add a [chains.NAME] table, `scanhost init` writes examples"
                .to_owned(),
        ));
    }
    let ledger = context.ledger(config).await?;
    let surroundings = Surroundings {
        file: Some(loaded.file.clone()),
        env: context.env.clone(),
        clock: context.clock.clone(),
        executable_dir: context::executable_dir(),
        copies: context.copies(config),
    };
    let base_path = config.service.base_path.clone();
    let ready = |address| announce(&format!("listening at http://{address}{base_path}"));
    let served = service::serve(surroundings, (loaded, catalog), ledger, signals, ready).await;
    served.map_err(|error| match error {
        ServiceError::Ledger(error) => error.into(),
        ServiceError::Listen { .. } => CliError::Broken(error.to_string()),
    })?;
    Ok(Exit::Done)
}

/// SIGTERM and SIGINT ask to stop, a second one stops; SIGHUP asks to read the configuration again.
fn signals() -> Result<Signals, CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| {
        signal(kind)
            .map_err(|error| CliError::Broken(format!("failed to listen for signals: {error}")))
    };
    let mut term = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let shutdown = CancellationToken::new();
    // Two reloads that wait are as good as one.
    let (sender, reload) = mpsc::channel(1);
    let asked = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    let _ = sender.try_send(());
                    continue;
                }
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked.is_cancelled() {
                std::process::exit(1);
            }
            announce("stopping; once more to stop at once");
            asked.cancel();
        }
    });
    Ok(Signals { shutdown, reload })
}
