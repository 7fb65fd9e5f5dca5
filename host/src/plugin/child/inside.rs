//! The child's side: a plugin behind a loop of frames, on one thread.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scanhost_abi::host::settle;
use scanhost_abi::types as abi;
use scanhost_abi::{BoxFuture, HostHandle, HostServices, OpenRequest, ProviderObject, RResult};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::frames::{FRAME_MAX, Frame as _, LENGTH, Launch, Refused, ToChild, ToHost};
use super::link::{Inbox, Link, LinkError};
use crate::clock::{Clock as _, SystemClock};
use crate::plugin::backend::in_process::VALIDATE_CHUNK;
use crate::plugin::{ErrorCode, loader, sandbox};

/// Longest line for the log that is sent, in bytes.
const LOG_MAX: usize = 4 * 1024;

/// Becomes the child that the host asked for; ends when the host closes the socket.
#[must_use]
pub fn serve() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(
                io::stderr(),
                "`{}` is started by Scanhost itself: {error}",
                super::ARGUMENT
            );
            ExitCode::from(2)
        }
    }
}

fn run() -> io::Result<()> {
    let socket = sandbox::detach()?;
    let launch = read_launch(&socket)?;
    // All that the loop needs is open before nothing can be opened any more.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _context = runtime.enter();
    socket.set_nonblocking(true)?;
    let link = Arc::new(Link::new(tokio::net::UnixStream::from_std(socket)?));

    let copy = Path::new(OsStr::from_bytes(&launch.copy));
    let confinement = sandbox::confine(copy, launch.memory_max);
    send(
        &link,
        &ToHost::Confined {
            confinement: confinement.clone(),
        },
    );
    let services = Arc::new(Services::new(link.clone()));
    let opened = open(copy, &launch, &confinement, &services);
    let (provider, outcome) = match opened {
        Ok((provider, caps)) => (Some(provider), RResult::ROk(caps)),
        Err((code, message)) => {
            let refused = Refused {
                code: code.as_str().into(),
                message: message.into(),
            };
            (None, RResult::RErr(refused))
        }
    };
    send(&link, &ToHost::Opened { outcome });
    let calls = provider.map(|provider| Calls {
        provider: Arc::new(provider),
        link: link.clone(),
        under_way: Arc::default(),
    });
    runtime.block_on(async {
        tokio::select! {
            _gone = link.drive() => {}
            // Whatever ends the link ends the child: the host is gone, or done with it.
            _gone = follow(&link, calls.as_ref(), &services) => {}
        }
    });
    Ok(())
}

fn read_launch(mut socket: &UnixStream) -> io::Result<Launch> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut length = [0; LENGTH];
    socket.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_MAX {
        return Err(invalid("no launch"));
    }
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes)?;
    match ToChild::parse(&bytes) {
        Ok(ToChild::Launch { launch }) => Ok(launch),
        Ok(_) => Err(invalid("no launch")),
        Err(error) => Err(invalid(&error.to_string())),
    }
}

/// Where the plugin's code begins to run.
fn open(
    copy: &Path,
    launch: &Launch,
    confinement: &super::Confinement,
    services: &Arc<Services>,
) -> Result<(ProviderObject, abi::Caps), (ErrorCode, String)> {
    let root = loader::enter(copy, &launch.manifest)?;
    sandbox::seal(confinement).map_err(|why| (ErrorCode::Link, format!("seccomp: {why}")))?;
    let request = OpenRequest {
        settings: launch.settings.clone(),
        reserved: [0; 4],
    };
    let said = |error: abi::AbiError| (ErrorCode::Open, error.message.into_string());
    let provider = root.open()(HostHandle::new(Arc::new(Shared(services.clone()))), request);
    let provider = provider.into_result().map_err(said)?;
    let caps = provider.describe().map_err(said)?;
    Ok((provider, caps))
}

/// Sends a frame that cannot be too long.
fn send(link: &Link, frame: &ToHost) {
    let sent = link.send(frame);
    debug_assert!(sent.is_ok(), "only answers and requests can be long");
}

async fn follow(link: &Link, calls: Option<&Calls>, services: &Services) -> LinkError {
    let mut inbox = Inbox::default();
    loop {
        let frame = match inbox.next(link).await {
            Ok(frame) => frame,
            Err(error) => return error,
        };
        match (frame, calls) {
            (ToChild::Ping {}, _) => send(link, &ToHost::Pong {}),
            (ToChild::Answered { id, answer }, _) => services.answered(id, answer.into_result()),
            (ToChild::Cancel { id }, Some(calls)) => calls.cancel(id),
            (frame, Some(calls)) => calls.begin(frame),
            // Nothing is open to be asked.
            (_, None) => {}
        }
    }
}

/// The calls of the provider.
struct Calls {
    provider: Arc<ProviderObject>,
    link: Arc<Link>,
    under_way: Arc<Mutex<HashMap<u64, AbortHandle>>>,
}

// === impl Calls ===

impl Calls {
    fn begin(&self, frame: ToChild) {
        let provider = self.provider.clone();
        match frame {
            ToChild::Validate { id, addresses } => self.spawn(id, async move {
                let mut verdicts = Vec::with_capacity(addresses.len());
                for chunk in addresses.chunks(VALIDATE_CHUNK) {
                    let judged = chunk.iter().map(|it| provider.validate_address(it).into());
                    verdicts.extend(judged);
                    tokio::task::yield_now().await;
                }
                let verdicts = verdicts.into();
                ToHost::Validated { id, verdicts }
            }),
            ToChild::Identity { id, call } => self.spawn(id, async move {
                let answer = settle(provider.identity(call)).await.into();
                ToHost::Identified { id, answer }
            }),
            ToChild::Balances { id, call, request } => self.spawn(id, async move {
                let answer = settle(provider.balances(call, request)).await.into();
                ToHost::Balanced { id, answer }
            }),
            ToChild::Derive { id, request } => self.spawn(id, async move {
                let answer = provider.derive(request).into();
                ToHost::Derived { id, answer }
            }),
            ToChild::Launch { .. }
            | ToChild::Cancel { .. }
            | ToChild::Answered { .. }
            | ToChild::Ping {} => {}
        }
    }

    fn spawn(&self, id: u64, call: impl Future<Output = ToHost> + Send + 'static) {
        let (link, under_way) = (self.link.clone(), self.under_way.clone());
        let task = tokio::spawn(async move {
            let answer = call.await;
            if link.send(&answer).is_err() {
                send(&link, &too_long(id, &answer));
            }
            lock(&under_way).remove(&id);
        });
        // One thread: the task has not begun yet.
        lock(&self.under_way).insert(id, task.abort_handle());
    }

    fn cancel(&self, id: u64) {
        if let Some(call) = lock(&self.under_way).remove(&id) {
            call.abort();
        }
    }
}

/// The answer in place of one that no frame holds.
fn too_long(id: u64, answer: &ToHost) -> ToHost {
    let message = format!(
        "its answer is longer than {} MiB",
        FRAME_MAX / (1024 * 1024)
    );
    let error = abi::AbiError::new(abi::ErrorKind::PLUGIN_FAULT, message);
    match answer {
        ToHost::Balanced { .. } => ToHost::Balanced {
            id,
            answer: RResult::RErr(error),
        },
        ToHost::Derived { .. } => ToHost::Derived {
            id,
            answer: RResult::RErr(error),
        },
        ToHost::Validated { .. } => ToHost::Validated {
            id,
            verdicts: vec![RResult::RErr(error)].into(),
        },
        _ => ToHost::Identified {
            id,
            answer: RResult::RErr(error),
        },
    }
}

/// The host's services, as frames; time is the machine's.
struct Services {
    link: Arc<Link>,
    clock: SystemClock,
    start: Instant,
    next: AtomicU64,
    asked: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
}

type Answer = Result<abi::HttpResponse, abi::AbiError>;

// === impl Services ===

impl Services {
    fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            clock: SystemClock,
            start: SystemClock.now(),
            next: AtomicU64::new(0),
            asked: Mutex::default(),
        }
    }

    fn answered(&self, id: u64, answer: Answer) {
        if let Some(waiting) = lock(&self.asked).remove(&id) {
            // Who dropped its request a moment ago does not want it.
            let _ = waiting.send(answer);
        }
    }
}

/// A request that the plugin waits for; dropping it calls it back.
struct Asked {
    services: Arc<Services>,
    id: u64,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if lock(&self.services.asked).remove(&self.id).is_some() {
            send(&self.services.link, &ToHost::HttpDropped { id: self.id });
        }
    }
}

/// What the plugin holds.
struct Shared(Arc<Services>);

impl HostServices for Shared {
    fn http(&self, call: abi::CallContext, request: abi::HttpRequest) -> BoxFuture<Answer> {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        lock(&self.0.asked).insert(id, answer);
        let asked = Asked {
            services: self.0.clone(),
            id,
        };
        let call = call.call;
        if self
            .0
            .link
            .send(&ToHost::Http { id, call, request })
            .is_err()
        {
            let message = format!(
                "its request is longer than {} MiB",
                FRAME_MAX / (1024 * 1024)
            );
            self.0.answered(
                id,
                Err(abi::AbiError::new(abi::ErrorKind::PLUGIN_FAULT, message)),
            );
        }
        Box::pin(async move {
            let _asked = asked;
            answered.await.unwrap_or_else(|_| {
                let message = "the host is shutting down";
                Err(abi::AbiError::new(abi::ErrorKind::CANCELLED, message))
            })
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn unix_ms(&self) -> i64 {
        self.0.clock.unix_ms()
    }

    fn monotonic_ms(&self) -> u64 {
        let since = self.0.clock.now().saturating_duration_since(self.0.start);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn log(&self, level: abi::LogLevel, message: &str) {
        let end = message.floor_char_boundary(LOG_MAX);
        let message = message[..end].into();
        send(&self.0.link, &ToHost::Log { level, message });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
