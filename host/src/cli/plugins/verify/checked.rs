//! The conformance checks on a built file, each in a process of its own: this program again, with
//! a hidden argument.

use std::io::Write;
use std::process::Command;
use std::sync::Arc;

use scanhost_conformance::{CHECKS, Cassette, Sample, SampleAsset, Verdict, check, child};
use serde_json::{Value, json};

use super::super::super::context::Context;
use super::super::super::output::{self, json_line, plain};
use super::super::super::{CliError, Exit, STEP_DONE};
use super::super::try_::TryFormat;
use super::super::unusable;
use super::{Args, LOAD};
use crate::plugin::{Library, Manifest, PluginFile, Specimen};

/// Loads it, and holds it against every check.
pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    options(args)?;
    cassette(args)?;
    let loading = command(LOAD, args, context)?;
    if let Some(exit) = load(loading, args)? {
        return Ok(exit);
    }
    let file = PluginFile::read(&args.file).map_err(|error| unusable(&error))?;
    let missing = match args.options {
        None => file.manifest.check_options(&json!({})).into_iter().next(),
        Some(_) => None,
    };
    let mut out = output::stdout();
    let mut counts = [0_usize; 3];
    for check in &CHECKS {
        let verdict = match &missing {
            Some(option) => Verdict::Skipped(format!(
                "its options must be set; give them by `--options`: {}",
                option.message
            )),
            None => child::run(command(check.id, args, context)?, check.id, child::LIMIT),
        };
        let (word, why) = (verdict.word(), plain(verdict.why()));
        match args.format {
            TryFormat::Table => writeln!(out, "{} {word:<8} {}: {why}", check.id, check.what)?,
            TryFormat::Json => json_line(
                &mut out,
                &json!({"check": check.id, "what": check.what, "result": word, "why": why}),
            )?,
        }
        out.flush()?;
        let place = match verdict {
            Verdict::Passed(_) => 0,
            Verdict::Failed(_) => 1,
            Verdict::Skipped(_) => 2,
        };
        counts[place] += 1;
    }
    let [passed, failed, skipped] = counts;
    let summary = format!("{passed} checks passed, {failed} failed, {skipped} skipped");
    if args.format == TryFormat::Table {
        writeln!(out, "{summary}")?;
        out.flush()?;
    }
    match failed {
        0 => Ok(Exit::Done),
        _ => Err(CliError::Broken(format!(
            "`{}`: {summary}",
            args.file.display()
        ))),
    }
}

/// Runs the load steps, which print themselves. `Some` where there is nothing to go on with.
fn load(mut command: Command, args: &Args) -> Result<Option<Exit>, CliError> {
    let status = command
        .status()
        .map_err(|error| CliError::Broken(format!("failed to start a process: {error}")))?;
    match status.code() {
        Some(code) if code == i32::from(STEP_DONE) => Ok(None),
        // It has said why.
        Some(2) => Ok(Some(Exit::Unusable)),
        _ => Err(CliError::Broken(format!(
            "plugin `{}`: its process {} while it was loaded or opened",
            args.file.display(),
            child::how(status)
        ))),
    }
}

/// This program again, for one step.
fn command(step: &str, args: &Args, context: &Context) -> Result<Command, CliError> {
    let own = std::env::current_exe()
        .map_err(|error| CliError::Broken(format!("failed to find this program: {error}")))?;
    let mut command = Command::new(own);
    command.args(["plugins", "verify", "--step", step]);
    if let Some(config) = &context.file {
        command.arg("--config").arg(config);
    }
    let named = [
        ("--options", &args.options),
        ("--provider", &args.provider),
        ("--network", &args.network),
        ("--identity", &args.identity),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            command.arg(format!("{name}={value}"));
        }
    }
    for address in &args.addresses {
        command.arg(format!("--address={address}"));
    }
    if let Some(cassette) = &args.cassette {
        command.arg("--cassette").arg(cassette);
    }
    if args.format == TryFormat::Json {
        command.args(["--format", "json"]);
    }
    command.arg("--").arg(&args.file);
    Ok(command)
}

/// In the child: one check.
pub(super) fn one(id: &str, args: &Args, context: &Context) -> Result<Exit, CliError> {
    let Some(check) = check(id) else {
        return Err(CliError::Usage(format!("there is no check `{id}`")));
    };
    let loaded = context.load_or_default()?;
    let file = PluginFile::read(&args.file).map_err(|error| unusable(&error))?;
    let trusted = crate::pool::assemble::trust(&loaded.config).check(&file);
    trusted.map_err(|error| unusable(&error))?;
    let recorded = cassette(args)?;
    let sample = sample(args, &file.manifest, recorded.as_ref())?;
    let folder = tempfile::tempdir()
        .map_err(|error| CliError::Broken(format!("failed to make a temporary folder: {error}")))?;
    child::tell(|| match Library::load(&file, folder.path()) {
        Ok(library) => match Specimen::new(library).hold_against(check, &sample) {
            // It was not shown what it is judged by.
            Verdict::Failed(why) if recorded.as_ref().is_some_and(|(it, _)| it.has_missed()) => {
                Verdict::Skipped(format!("the recording lacks answers: {why}"))
            }
            verdict => verdict,
        },
        Err(error) => Verdict::Failed(error.to_string()),
    })?;
    Ok(Exit::Done)
}

/// What the plugin is asked: the manifest's examples, and what the command line says instead.
fn sample(
    args: &Args,
    manifest: &Manifest,
    recorded: Option<&(Arc<Cassette>, String)>,
) -> Result<Sample, CliError> {
    let network = network(args, manifest);
    let mut sample = Sample::new(&network);
    let examples = manifest.examples.get(&network).cloned().unwrap_or_default();
    sample.options = options(args)?;
    sample.identity = args.identity.clone().or(examples.identity);
    sample.addresses = match args.addresses.is_empty() {
        true => examples.addresses,
        false => args.addresses.clone(),
    };
    sample.invalid = examples.invalid;
    let assets = examples.assets.into_iter().map(|asset| SampleAsset {
        contract: asset.contract,
        decimals: asset.decimals,
    });
    sample.assets = assets.collect();
    if let Some((cassette, provider)) = recorded {
        sample.upstream = Some(cassette.clone().upstream(provider));
    }
    Ok(sample)
}

/// The network that a provider is opened on.
pub(super) fn network(args: &Args, manifest: &Manifest) -> String {
    let first = manifest.networks.first().map(String::as_str);
    let named = args.network.as_deref().or(first);
    named.unwrap_or("mainnet").to_owned()
}

/// The options that a provider is opened with.
pub(super) fn options(args: &Args) -> Result<Value, CliError> {
    let Some(text) = &args.options else {
        return Ok(json!({}));
    };
    match serde_json::from_str(text) {
        Ok(options @ Value::Object(_)) => Ok(options),
        Ok(_) => Err(CliError::Usage(format!(
            "`--options {text}` is no JSON object; write it as {{\"name\":value}}"
        ))),
        Err(error) => Err(CliError::Usage(format!("`--options {text}`: {error}"))),
    }
}

fn cassette(args: &Args) -> Result<Option<(Arc<Cassette>, String)>, CliError> {
    let Some(path) = &args.cassette else {
        return Ok(None);
    };
    let usage = |why: String| CliError::Usage(format!("`{}`: {why}", path.display()));
    let cassette = Cassette::load(path).map_err(|error| usage(error.to_string()))?;
    let providers = cassette.providers();
    let told = providers.join("`, `");
    let provider = match (&args.provider, providers.as_slice()) {
        (Some(name), known) if known.contains(&name.as_str()) => name.clone(),
        (Some(name), _) => return Err(usage(format!("has no provider `{name}`, but `{told}`"))),
        (None, [only]) => (*only).to_owned(),
        (None, []) => return Err(usage("nothing was recorded in it".into())),
        (None, _) => {
            return Err(usage(format!(
                "has several; name one by `--provider`: `{told}`"
            )));
        }
    };
    Ok(Some((Arc::new(cassette), provider)))
}
