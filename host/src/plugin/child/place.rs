//! Where an isolated plugin lives: in a child that is started again when it ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scanhost_abi::types as abi;
use scanhost_abi::{RResult, RString, RVec};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::{Connection, Death};
use super::frames::{Confinement, Launch, Refused, ToChild, ToHost};
use super::process::Process;
use super::wire::Wire as _;
use crate::clock::SharedClock;
use crate::config::format_duration;
use crate::http::HttpClient;
use crate::model::Class;
use crate::plugin::backend::in_process::{OPEN_MAX, open_overdue, refusal};
use crate::plugin::backend::opened::{Opened, Place, Said};
use crate::plugin::services::{Calls, Services};
use crate::plugin::{CallError, ErrorCode, OpenSettings, PluginError, PluginFile, loader, log};

/// The first wait before a child is started again; each further one is twice as long.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long a process may take until it is ready to load a plugin.
const START_MAX: Duration = Duration::from_secs(10);
/// Addresses in one frame.
const VALIDATE_MAX: usize = 10_000;

/// A provider whose code runs in a child.
#[derive(Debug)]
struct InChild {
    plan: Plan,
    state: Mutex<State>,
    /// What the first child said that it can do, as it was written.
    caps: Vec<u8>,
}

/// What each child of a provider is started with.
#[derive(Debug)]
struct Plan {
    file: PluginFile,
    copies: PathBuf,
    settings: OpenSettings,
    settings_json: String,
    memory_max: u64,
    services: Arc<Services>,
    io: Handle,
}

#[derive(Debug)]
struct State {
    running: Option<Running>,
    /// Ends in a row without a good answer between them.
    deaths: u32,
    last: Option<Death>,
}

#[derive(Debug)]
struct Running {
    connection: Arc<Connection>,
    /// Dropping it ends the child.
    _stop: DropGuard,
}

/// Opens a provider in a child of its own, of which `memory_max` is the most memory in bytes.
///
/// # Errors
///
/// The step that failed, in the child or before it.
pub async fn open(
    file: &PluginFile,
    copies: &Path,
    settings: &OpenSettings,
    memory_max: u64,
    client: Arc<HttpClient>,
    clock: SharedClock,
    io: &Handle,
) -> Result<Opened, PluginError> {
    let fail = |code, message: String| PluginError::new(code, &file.path, message);
    let settings_json = serde_json::to_string(settings)
        .map_err(|error| fail(ErrorCode::Options, error.to_string()))?;
    let calls = Arc::new(Calls::default());
    let services = Services {
        provider: settings.provider.clone(),
        client: client.clone(),
        start: clock.now(),
        clock,
        io: io.clone(),
        calls: calls.clone(),
    };
    let plan = Plan {
        file: file.clone(),
        copies: copies.to_owned(),
        settings: settings.clone(),
        settings_json,
        memory_max,
        services: Arc::new(services),
        io: io.clone(),
    };
    let started = plan.start().await;
    log::attempt(file, "process", 0, started.as_ref().err());
    let (running, caps, confinement) = started?;
    plan.tell(&confinement);
    let place = InChild {
        plan,
        state: Mutex::new(State {
            running: Some(running),
            deaths: 0,
            last: None,
        }),
        caps: written(&caps),
    };
    Opened::new(Box::new(place), &caps, calls, client)
        .map_err(|why| fail(ErrorCode::Descriptor, why))
}

/// How two that say the same are found: the ABI's type has no equality.
fn written(caps: &abi::Caps) -> Vec<u8> {
    let mut out = Vec::new();
    caps.put(&mut out);
    out
}

// === impl Plan ===

impl Plan {
    /// Starts a child and has it open the provider.
    async fn start(&self) -> Result<(Running, abi::Caps, Confinement), PluginError> {
        let fail = |code, message: String| PluginError::new(code, &self.file.path, message);
        let (file, copies) = (self.file.clone(), self.copies.clone());
        let copying = tokio::task::spawn_blocking(move || {
            let copy = loader::private_copy(&file, &copies)?;
            // The child stands in another folder.
            std::path::absolute(copy)
                .map_err(|error| PluginError::new(ErrorCode::Copy, &file.path, error.to_string()))
        });
        let copy = copying
            .await
            .map_err(|error| fail(ErrorCode::Copy, error.to_string()))??;
        let redactor = self.services.client.redactor().clone();
        let process = Process::start(&self.settings.provider, redactor, &self.io).await;
        let process = process.map_err(|error| {
            let message = format!("failed to start a process for it: {error}");
            fail(ErrorCode::Open, message)
        })?;
        let launch = Launch {
            copy: copy.into_os_string().into_encoded_bytes().into(),
            manifest: self.file.manifest_json.as_str().into(),
            settings: self.settings_json.as_str().into(),
            memory_max: self.memory_max,
        };
        let stop = CancellationToken::new();
        let (connection, beginning) = Connection::begin(
            process,
            launch,
            self.services.clone(),
            &self.io,
            stop.clone(),
        );
        let running = Running {
            connection,
            _stop: stop.drop_guard(),
        };
        let died = || {
            let death = running.connection.death();
            let message = death.map_or_else(String::new, |death| death.message);
            fail(ErrorCode::Open, message)
        };
        let confinement = timeout(START_MAX, beginning.confined)
            .await
            .map_err(|_elapsed| {
                let message = format!("its process did not start within {START_MAX:?}");
                fail(ErrorCode::OpenDeadline, message)
            })?
            .map_err(|_| died())?;
        let outcome = timeout(OPEN_MAX, beginning.opened)
            .await
            .map_err(|_elapsed| fail(ErrorCode::OpenDeadline, open_overdue()))?
            .map_err(|_| died())?;
        match outcome {
            RResult::ROk(caps) => Ok((running, caps, confinement)),
            RResult::RErr(Refused { code, message }) => {
                let client = &self.services.client;
                let code = code_of(&code);
                let message = match code {
                    ErrorCode::Open => refusal(&message, &self.settings, client),
                    _ => client.redactor().redact_line(&message),
                };
                Err(fail(code, message))
            }
        }
    }

    /// Tells once what holds around the plugin, and what does not.
    fn tell(&self, confinement: &Confinement) {
        let provider = self.settings.provider.as_str();
        let list = |words: &RVec<RString>| {
            let words: Vec<_> = words.iter().map(RString::as_str).collect();
            self.services
                .client
                .redactor()
                .redact_line(&words.join(", "))
        };
        tracing::info!(
            provider,
            plugin = self.file.manifest.name.as_str(),
            sha256 = self.file.sha256,
            "provider `{provider}` runs in a process of its own: {}",
            list(&confinement.holds)
        );
        if !confinement.lacks.is_empty() {
            tracing::warn!(
                provider,
                "provider `{provider}` is isolated in part: {}",
                list(&confinement.lacks)
            );
        }
    }
}

/// The step that a child names; anything else is a failure to open.
fn code_of(word: &str) -> ErrorCode {
    [
        ErrorCode::Link,
        ErrorCode::Descriptor,
        ErrorCode::Layout,
        ErrorCode::Constructor,
    ]
    .into_iter()
    .find(|code| code.as_str() == word)
    .unwrap_or(ErrorCode::Open)
}

// === impl State ===

impl State {
    /// Takes note of the child's end, if it has ended.
    fn bury(&mut self) {
        let death = self.running.as_ref().and_then(|it| it.connection.death());
        if let Some(death) = death {
            self.running = None;
            self.note(death);
        }
    }

    fn note(&mut self, death: Death) {
        self.deaths = match death.was_good {
            true => 1,
            false => self.deaths.saturating_add(1),
        };
        self.last = Some(death);
    }

    /// How long nothing is started; `None` where it may be.
    fn backs_off(&self, now: Instant) -> Option<(Duration, &Death)> {
        let last = self.last.as_ref()?;
        let left = (last.at + backoff(self.deaths)).checked_duration_since(now)?;
        (!left.is_zero()).then_some((left, last))
    }
}

/// The wait after so many ends in a row.
fn backoff(deaths: u32) -> Duration {
    let doublings = deaths.saturating_sub(1).min(16);
    BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

// === impl InChild ===

impl InChild {
    /// The child that runs, or another one.
    async fn connection(&self) -> Result<Arc<Connection>, CallError> {
        let mut state = self.state.lock().await;
        state.bury();
        if let Some(running) = &state.running {
            return Ok(running.connection.clone());
        }
        if let Some((left, last)) = state.backs_off(Instant::now()) {
            // Whole milliseconds, rounded up, since that is how it is told.
            let left = Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(0) + 1);
            let message = format!(
                "{}; it starts again in {}",
                last.message,
                format_duration(left)
            );
            return Err(CallError {
                retry_after: Some(left),
                ..CallError::new(Class::PluginFault, message)
            });
        }
        let started = self.plan.start().await.map_err(|error| error.message);
        let started = started.and_then(|(running, caps, _)| match written(&caps) == self.caps {
            true => Ok(running),
            false => Err("the plugin says that it can do something else than before".to_owned()),
        });
        match started {
            Ok(running) => {
                let provider = self.plan.settings.provider.as_str();
                tracing::info!(provider, "the plugin of provider `{provider}` runs again");
                let connection = running.connection.clone();
                state.running = Some(running);
                Ok(connection)
            }
            Err(message) => {
                state.note(Death {
                    at: Instant::now(),
                    message: message.clone(),
                    was_good: false,
                });
                Err(CallError::new(Class::PluginFault, message))
            }
        }
    }
}

#[async_trait]
impl Place for InChild {
    async fn validate_addresses(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Result<RString, abi::AbiError>>, CallError> {
        let connection = self.connection().await?;
        let mut judged = Vec::with_capacity(addresses.len());
        for addresses in addresses.chunks(VALIDATE_MAX) {
            let addresses = addresses.iter().map(|it| it.as_str().into()).collect();
            let question = |id| ToChild::Validate { id, addresses };
            match connection.ask(None, question).await? {
                ToHost::Validated { verdicts, .. } => {
                    judged.extend(verdicts.into_iter().map(RResult::into_result));
                }
                _ => return Err(beside_the_question()),
            }
        }
        Ok(judged)
    }

    async fn identity(&self, call: abi::CallContext) -> Said<RString> {
        let connection = self.connection().await?;
        let question = |id| ToChild::Identity { id, call };
        match connection.ask(Some(call.call), question).await? {
            ToHost::Identified { answer, .. } => Ok(good(&connection, answer)),
            _ => Err(beside_the_question()),
        }
    }

    async fn balances(
        &self,
        call: abi::CallContext,
        request: abi::BalancesRequest,
    ) -> Said<RVec<abi::Reading>> {
        let connection = self.connection().await?;
        let question = |id| ToChild::Balances { id, call, request };
        match connection.ask(Some(call.call), question).await? {
            ToHost::Balanced { answer, .. } => Ok(good(&connection, answer)),
            _ => Err(beside_the_question()),
        }
    }

    async fn derive(&self, request: abi::DeriveRequest) -> Said<abi::Derived> {
        let connection = self.connection().await?;
        let question = |id| ToChild::Derive { id, request };
        match connection.ask(None, question).await? {
            ToHost::Derived { answer, .. } => Ok(good(&connection, answer)),
            _ => Err(beside_the_question()),
        }
    }
}

/// Takes note of an answer that is none of an error: the child is worth starting at once.
fn good<T>(connection: &Connection, answer: RResult<T, abi::AbiError>) -> Result<T, abi::AbiError> {
    let answer = answer.into_result();
    if answer.is_ok() {
        connection.answered_well();
    }
    answer
}

fn beside_the_question() -> CallError {
    CallError::new(
        Class::PluginFault,
        "the plugin's process answered something else than it was asked",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(at: Instant, was_good: bool) -> Death {
        Death {
            at,
            message: "it ended".into(),
            was_good,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_to_half_a_minute_and_begin_anew_after_a_good_answer() {
        let mut state = State {
            running: None,
            deaths: 0,
            last: None,
        };
        let now = Instant::now();
        let mut wait = |was_good| {
            state.note(death(now, was_good));
            state.backs_off(now).unwrap().0.as_millis()
        };
        let waits: Vec<_> = (0..11).map(|_| wait(false)).collect();
        assert_eq!(
            waits,
            [
                100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000
            ]
        );
        assert_eq!((wait(true), wait(false)), (100, 200));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(state.backs_off(Instant::now()).is_none());
    }
}
