//! `scanhost plugins verify`: the load steps, one line each, until one fails; then the conformance
//! checks.
//!
//! The library is opened through a private copy in a folder of its own, and one provider is opened
//! on an endpoint that nobody serves. Nothing is sent. The plugin's code runs in processes of their
//! own alone, so that one that crashes is told as such.

mod checked;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;

use super::super::context::Context;
use super::super::output::{self, Out, json_line, plain};
use super::super::{CliError, Exit};
use super::try_::TryFormat;
use super::unusable;
use crate::config::Config;
use crate::http::{Endpoint, HttpClient, ProviderHttp};
use crate::model::ProviderName;
use crate::plugin::audit;
use crate::plugin::backend::PluginHost;
use crate::plugin::{Backend, Caps, ErrorCode, OpenSettings, PluginError, PluginFile};
use crate::pool::assemble;

/// Longest wait for the library's own constructors.
const LOAD_MAX: Duration = Duration::from_secs(10);
/// An endpoint of this machine; no request is ever sent to it.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A step of its own: what is found may be allowed.
const IMPORTS: &str = "imports";
/// The step of a child that loads and opens.
const LOAD: &str = "load";

/// A load step and the code that it fails with.
type Step = (&'static str, ErrorCode);

/// Judged from the file alone, in this order.
const FILE_STEPS: [Step; 9] = [
    ("file can be read", ErrorCode::Unreadable),
    (
        "only root and this user may change it",
        ErrorCode::Permissions,
    ),
    ("library for this machine", ErrorCode::NotALibrary),
    ("Scanhost plugin", ErrorCode::NotAPlugin),
    ("ABI", ErrorCode::AbiMajor),
    ("compiler", ErrorCode::Compiler),
    ("panics unwind", ErrorCode::PanicMode),
    ("manifest", ErrorCode::BadManifest),
    ("host features", ErrorCode::HostFeature),
];

/// Its code runs from the second one on.
const LOAD_STEPS: [Step; 5] = [
    ("private copy", ErrorCode::Copy),
    ("dynamic loader", ErrorCode::Link),
    ("layout of types", ErrorCode::Layout),
    ("constructor", ErrorCode::Constructor),
    ("library and manifest agree", ErrorCode::Descriptor),
];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The plugin's file
    file: PathBuf,
    /// Options of the provider, a JSON object
    #[arg(long, value_name = "JSON")]
    options: Option<String>,
    /// Recorded traffic that answers as the service does, of `scanhost scan --record`
    #[arg(long, value_name = "F")]
    cassette: Option<PathBuf>,
    /// Which provider of the recording answers [default: the only one]
    #[arg(long, value_name = "NAME", requires = "cassette")]
    provider: Option<String>,
    /// Which network's addresses are valid [default: the first of the manifest]
    #[arg(long, value_name = "N")]
    network: Option<String>,
    /// Addresses to ask for [default: the manifest's examples]
    #[arg(long = "address", value_name = "A")]
    addresses: Vec<String>,
    /// What the chain says of itself [default: the manifest's example]
    #[arg(long, value_name = "I")]
    identity: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: TryFormat,
    /// What this process does for another one of these
    #[arg(long, hide = true, value_name = "STEP")]
    step: Option<String>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    match args.step.as_deref() {
        None => checked::run(&args, context),
        Some(LOAD) => load_steps(&args, context).await,
        Some(check) => checked::one(check, &args, context),
    }
}

/// The load steps, in a process of their own: the plugin's code runs in them.
async fn load_steps(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load_or_default()?;
    let mut report = Report {
        out: output::stdout(),
        format: args.format,
    };
    match verify(args, &loaded.config, context, &mut report).await? {
        Ok(()) => Ok(Exit::StepDone),
        Err(error) => Err(unusable(&error)),
    }
}

/// The outer error is ours, the inner one is the plugin's.
async fn verify(
    args: &Args,
    config: &Config,
    context: &Context,
    report: &mut Report,
) -> Result<Result<(), PluginError>, CliError> {
    let file = match PluginFile::read(&args.file) {
        Ok(file) => file,
        Err(error) => return report.failed_in(&FILE_STEPS, error),
    };
    report.all(&FILE_STEPS)?;
    let manifest = &file.manifest;
    match config.plugins.pin(&manifest.name) {
        None => report.line("pinned hash", "none is configured")?,
        Some(pin) => match file.check_pin(&hex::encode(pin.0)) {
            Ok(()) => report.ok("pinned hash")?,
            Err(error) => return report.failed("pinned hash", error),
        },
    }
    match assemble::trust(config).check(&file) {
        Ok(()) if file.imports.is_empty() => report.ok(IMPORTS)?,
        Ok(()) => report.line(IMPORTS, &format!("allowed: {}", audit::told(&file.imports)))?,
        Err(error) => return report.failed(IMPORTS, error),
    }
    let options = checked::options(args)?;
    let missing = manifest.check_options(&options);
    match (&args.options, missing.first()) {
        (None, None) => report.ok("options may be left out")?,
        (Some(_), None) => report.ok("options fit")?,
        (Some(_), Some(error)) => {
            let (path, message) = (&error.path, &error.message);
            let message = format!("`--options`: `{path}`: {message}");
            return Err(CliError::Usage(message));
        }
        (None, Some(_)) => {}
    }
    let folder = tempfile::tempdir().map_err(|error| {
        let temp = std::env::temp_dir();
        let temp = temp.display();
        CliError::Broken(format!("failed to make a folder in `{temp}`: {error}"))
    })?;
    let host = match load(&file, folder.path()).await {
        Ok(host) => host,
        Err(error) => return report.failed_in(&LOAD_STEPS, error),
    };
    report.all(&LOAD_STEPS)?;
    if let Some(option) = missing.first() {
        // No fault of the plugin: only an operator knows what to write.
        let why = format!("skipped: its options must be set: {}", option.message);
        report.line("open", &why)?;
        return Ok(Ok(()));
    }
    match open(&host, args, options, context).await? {
        Ok(caps) => {
            report.ok("open")?;
            report.line("describe", &describe(&caps))?;
        }
        Err(error) if error.code == ErrorCode::Descriptor => {
            report.ok("open")?;
            return report.failed("describe", error);
        }
        Err(error) => return report.failed("open", error),
    }
    let name = format!("{} {}", manifest.name, manifest.version);
    report.line("usable", &format!("{name}, sha256:{}", file.sha256))?;
    Ok(Ok(()))
}

/// Loads it on a thread of its own, since constructors take as long as they like.
pub(super) async fn load(file: &PluginFile, copies: &Path) -> Result<PluginHost, PluginError> {
    let io = Handle::current();
    let (judged, copies) = (file.clone(), copies.to_owned());
    let loading = tokio::task::spawn_blocking(move || PluginHost::load(&judged, &copies, &io));
    let fail = |message: String| PluginError {
        code: ErrorCode::Link,
        path: file.path.clone(),
        message,
    };
    match tokio::time::timeout(LOAD_MAX, loading).await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(join)) => Err(fail(join.to_string())),
        Err(_elapsed) => Err(fail(format!(
            "its constructors did not come back within {} s",
            LOAD_MAX.as_secs()
        ))),
    }
}

async fn open(
    host: &PluginHost,
    args: &Args,
    options: serde_json::Value,
    context: &Context,
) -> Result<Result<Caps, PluginError>, CliError> {
    let provider = ProviderName::from("verify");
    let broken = |error: String| CliError::Broken(format!("failed to make a client: {error}"));
    let endpoint = Endpoint::parse(NOWHERE).map_err(|error| broken(error.to_string()))?;
    let client = HttpClient::new(
        ProviderHttp::new(provider.clone(), endpoint),
        context.clock.clone(),
    );
    let client = Arc::new(client.map_err(|error| broken(error.to_string()))?);
    let mut settings = OpenSettings {
        chain: "verify".into(),
        provider,
        network: checked::network(args, &host.library().file().manifest),
        identity: args.identity.clone(),
        options,
    };
    let clock = context.clock.clone();
    let first = host.open(&settings, client.clone(), clock.clone()).await;
    let opened = match first {
        // Some ask for a chain by its identity and cannot do without; any will do here.
        Err(error) if error.code == ErrorCode::Open && settings.identity.is_none() => {
            settings.identity = Some("1".to_owned());
            let second = host.open(&settings, client, clock).await;
            second.map_err(|_| error)
        }
        first => first,
    };
    Ok(opened.map(|provider| provider.caps()))
}

fn describe(caps: &Caps) -> String {
    let reads = match (caps.native, caps.tokens) {
        (true, true) => "native coin and tokens",
        (true, false) => "native coin",
        (false, _) => "tokens",
    };
    let limit = |limit: usize| match u32::try_from(limit) {
        Ok(u32::MAX) | Err(_) => "any number of".to_owned(),
        Ok(limit) => limit.to_string(),
    };
    let (cells, addresses) = (limit(caps.cells_max), limit(caps.addresses_max));
    format!("ok: reads {reads}, {cells} cells of {addresses} addresses in a call")
}

/// Prints each step as it is done, so that a plugin that kills the process shows where.
struct Report {
    out: Out,
    format: TryFormat,
}

impl Report {
    fn line(&mut self, step: &str, what: &str) -> Result<(), CliError> {
        match self.format {
            TryFormat::Table => writeln!(self.out, "{step:<40}{}", plain(what))?,
            TryFormat::Json => json_line(&mut self.out, &json!({"step": step, "result": what}))?,
        }
        Ok(self.out.flush()?)
    }

    fn ok(&mut self, step: &str) -> Result<(), CliError> {
        self.line(step, "ok")
    }

    fn all(&mut self, steps: &[Step]) -> Result<(), CliError> {
        steps.iter().try_for_each(|(step, _)| self.ok(step))
    }

    fn failed(
        &mut self,
        step: &str,
        error: PluginError,
    ) -> Result<Result<(), PluginError>, CliError> {
        let code = error.code.as_str();
        self.line(step, &format!("FAILED [{code}] {}", error.message))?;
        Ok(Err(error))
    }

    /// The steps before the one that failed, and that one.
    fn failed_in(
        &mut self,
        steps: &'static [Step],
        error: PluginError,
    ) -> Result<Result<(), PluginError>, CliError> {
        for step in passed(steps, error.code) {
            self.ok(step)?;
        }
        let failed = steps.iter().find(|(_, code)| *code == error.code);
        let step = failed.map_or("thread of its own", |(step, _)| step);
        self.failed(step, error)
    }
}

/// The steps that are known to have gone well when `failed` did not.
fn passed(steps: &'static [Step], failed: ErrorCode) -> impl Iterator<Item = &'static str> {
    // A manifest is bad as bytes or as JSON; in the first case nothing was read after it.
    let last = match failed {
        ErrorCode::BadManifest => ErrorCode::AbiMajor,
        failed => failed,
    };
    let before = steps.iter().take_while(move |(_, code)| *code != last);
    before.map(|(step, _)| *step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(steps: &'static [Step], failed: ErrorCode) -> Option<&'static str> {
        passed(steps, failed).last()
    }

    #[test]
    fn only_steps_that_went_well_are_told_so() {
        assert_eq!(before(&FILE_STEPS, ErrorCode::Unreadable), None);
        let last = before(&FILE_STEPS, ErrorCode::NotAPlugin);
        assert_eq!(last, Some("library for this machine"));
        let last = before(&FILE_STEPS, ErrorCode::BadManifest);
        assert_eq!(last, Some("Scanhost plugin"));
        assert_eq!(
            before(&FILE_STEPS, ErrorCode::HostFeature),
            Some("manifest")
        );
        // A thread that cannot be started comes after all of them.
        let last = before(&LOAD_STEPS, ErrorCode::Open);
        assert_eq!(last, Some("library and manifest agree"));
    }
}
