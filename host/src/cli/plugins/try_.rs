//! `scanhost plugins try`: one look through a plugin, without any configuration or store.
//!
//! The host's own client, loader and calls, with what an operator would write given on the command
//! line. Nothing is kept, and nothing is paced: it is a handful of requests.

mod asked;
mod told;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use super::super::context::Context;
use super::super::scan::duration;
use super::super::{CliError, Exit};
use super::{unusable, verify};
use crate::gate::{Pacer, RequestSlots};
use crate::http::{Credential, Endpoint, HttpClient, ProviderHttp};
use crate::model::{Class, Commitment, ProviderName};
use crate::plugin::backend::{CallBudget, CallReport};
use crate::plugin::{Backend, CallError, OpenSettings, Opened, PluginFile};
use crate::pool::assemble;
use crate::pool::client::key_place;
use crate::scan::identity::same_identity;
use crate::scan::reconcile::reconcile;
use asked::{Cell, cells, chunks, items, options};
use told::{Requests, Told};

pub(super) use told::TryFormat;

/// What chain and provider are called where a name is needed.
const NAME: &str = "try";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The plugin's file
    file: PathBuf,
    /// What requests are built on; {key} in it stands for the key
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// Addresses to ask for
    #[arg(long = "address", value_name = "A", required = true)]
    addresses: Vec<String>,
    /// Which network's addresses are valid
    #[arg(long, value_name = "N", default_value = "mainnet")]
    network: String,
    /// What the chain says of itself: checked, and what a plugin asks for where it must name it
    #[arg(long, value_name = "I")]
    identity: Option<String>,
    /// Tokens to ask for, beside the native coin where the plugin reads it
    #[arg(long = "asset", value_name = "CONTRACT:DECIMALS")]
    assets: Vec<String>,
    /// Options of the provider: text, or any value as TOML has it
    #[arg(long = "option", value_name = "K=V")]
    options: Vec<String>,
    /// Environment variable with the key
    #[arg(long, value_name = "NAME")]
    key_env: Option<String>,
    /// How settled a block must be [default: the plugin's]
    #[arg(long, value_enum, value_name = "C")]
    commitment: Option<Settled>,
    /// Longest wait for one request
    #[arg(long, value_name = "D", value_parser = duration, default_value = "15s")]
    timeout: Duration,
    /// Let plain http leave this machine
    #[arg(long)]
    allow_http: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: TryFormat,
}

/// [`Commitment`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Settled {
    Latest,
    Confirmed,
    Finalized,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load_or_default()?;
    let file = PluginFile::read(&args.file).map_err(|error| unusable(&error))?;
    let trusted = assemble::trust(&loaded.config).check(&file);
    trusted.map_err(|error| unusable(&error))?;
    let options = options(&args.options, &file.manifest)?;
    let requests = Arc::new(Requests::default());
    let client = client(&args, &file, context)?.watched_by(requests.clone());
    let endpoint = client.origin().to_string();
    let folder = tempfile::tempdir()
        .map_err(|error| CliError::Broken(format!("failed to make a temporary folder: {error}")))?;
    let provider = open(&args, &file, folder.path(), options, client, context).await?;
    let look = Look {
        pacer: Pacer::unlimited(context.clock.clone()),
        timeout: args.timeout,
        told: Told::new(args.format, requests),
        provider,
    };
    look.run(&args, &file, &endpoint).await
}

fn client(args: &Args, file: &PluginFile, context: &Context) -> Result<HttpClient, CliError> {
    let wrong = |what: &str, error: String| CliError::Usage(format!("`{what}`: {error}"));
    let manifest = &file.manifest;
    let endpoint =
        Endpoint::parse(&args.endpoint).map_err(|error| wrong("--endpoint", error.to_string()))?;
    let mut http = ProviderHttp::new(ProviderName::from(NAME), endpoint);
    http.allow_http = args.allow_http;
    http.timeout = args.timeout;
    if let Some(name) = &args.key_env {
        let Some(key) = context.env.get(name).filter(|key| !key.is_empty()) else {
            let why = format!("the environment has no `{name}`; export it first");
            return Err(wrong("--key-env", why));
        };
        http.credential = Credential::Key {
            key: key.into(),
            place: key_place(manifest),
        };
    } else if manifest.key.as_ref().is_some_and(|key| key.required) {
        return Err(CliError::Usage(format!(
            "plugin `{}` needs a key; name the variable that has it by `--key-env NAME`",
            manifest.name
        )));
    }
    HttpClient::new(http, context.clock.clone()).map_err(|error| {
        wrong(
            "--endpoint",
            error
                .to_string()
                .replace("`allow_http = true`", "`--allow-http`"),
        )
    })
}

async fn open(
    args: &Args,
    file: &PluginFile,
    copies: &Path,
    options: serde_json::Value,
    client: HttpClient,
    context: &Context,
) -> Result<Opened, CliError> {
    let host = verify::load(file, copies).await;
    let host = host.map_err(|error| unusable(&error))?;
    let settings = OpenSettings {
        chain: NAME.into(),
        provider: NAME.into(),
        network: args.network.clone(),
        identity: args.identity.clone(),
        options,
    };
    let opened = host.open(&settings, Arc::new(client), context.clock.clone());
    opened.await.map_err(|error| unusable(&error))
}

/// A provider that is asked.
struct Look {
    provider: Opened,
    pacer: Pacer,
    timeout: Duration,
    told: Told,
}

impl Look {
    async fn run(
        mut self,
        args: &Args,
        file: &PluginFile,
        endpoint: &str,
    ) -> Result<Exit, CliError> {
        let caps = self.provider.caps();
        let cells = cells(&args.assets, &self.canonical(&args.addresses).await?, &caps)?;
        let commitment = match args.commitment {
            Some(Settled::Latest) => Commitment::Latest,
            Some(Settled::Confirmed) => Commitment::Confirmed,
            Some(Settled::Finalized) => Commitment::Finalized,
            None => caps.commitment_default,
        };
        self.told.plugin(file, endpoint)?;
        let mut known = self.identity(args.identity.as_deref()).await?;
        for chunk in chunks(&cells, &caps) {
            known &= self.balances(chunk, commitment).await?;
        }
        self.told.end()?;
        Ok(if known { Exit::Done } else { Exit::Unknown })
    }

    /// The addresses as the plugin writes them.
    async fn canonical(&self, addresses: &[String]) -> Result<Vec<String>, CliError> {
        let verdicts = self.provider.validate_addresses(addresses.to_vec()).await;
        let verdicts = verdicts.map_err(|error| CliError::Usage(error.to_string()))?;
        let canonical = addresses.iter().zip(verdicts).map(|(address, verdict)| {
            verdict.map_err(|why| {
                CliError::Usage(format!(
                    "`--address {address}` is no address of this network: {why}"
                ))
            })
        });
        canonical.collect()
    }

    fn budget(&self, requests: u32) -> CallBudget {
        let slots = RequestSlots::of(&self.pacer);
        slots.expect(requests);
        CallBudget {
            // One more for what a plugin asks besides.
            deadline: self
                .timeout
                .saturating_mul(requests.max(1).saturating_add(1)),
            slots,
        }
    }

    /// Who the chain is, and whether that is known and as it should be.
    async fn identity(&mut self, expected: Option<&str>) -> Result<bool, CliError> {
        let CallReport { result, .. } = self.provider.identity(self.budget(1)).await;
        let result = result.and_then(|told| match expected {
            Some(expected) if !same_identity(expected, &told) => {
                let message = format!("it serves chain `{told}`, not `{expected}`");
                Err(CallError::new(Class::WrongChain, message))
            }
            _ => Ok(told),
        });
        self.told.identity(result.as_deref(), expected.is_some())?;
        Ok(result.is_ok())
    }

    /// One call; whether every cell of it is known.
    async fn balances(&mut self, cells: &[Cell], commitment: Commitment) -> Result<bool, CliError> {
        let caps = self.provider.caps();
        let (request, tokens) = asked::request(cells, commitment);
        let natives = u32::try_from(cells.len())
            .unwrap_or(u32::MAX)
            .saturating_sub(tokens);
        let cost = caps.cost;
        let once = [
            cost.once,
            cost.once_tokens,
            cost.once_per_token.saturating_mul(tokens),
        ];
        let requests = once
            .into_iter()
            .fold(cost.requests(natives, tokens), u32::saturating_add);
        let call = self.provider.balances(request, self.budget(requests));
        let CallReport { result, .. } = call.await;
        let settled =
            result.and_then(|answers| reconcile(items(cells), answers).map_err(|(_, error)| error));
        self.told.readings(cells, settled)
    }
}
