//! Starting a child, hearing what it prints, and telling how it ended.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::link::LinkError;
use crate::http::Redactor;
use crate::model::{ProviderName, is_unprintable};

/// How long a child that closed its socket may take to end by itself.
const END_MAX: Duration = Duration::from_secs(1);
/// How long its last words may take once it has ended.
const WORDS_MAX: Duration = Duration::from_millis(500);
/// Longest line of its output that is kept, in bytes.
const LINE_MAX: usize = 1024;
/// Lines that are told of one child; a plugin has a log, and printing is for its last words.
const LINES_MAX: u32 = 100;

/// The standard library's words when a stack is full, and when there is no memory.
const FULL_STACK: &str = "overflowed its stack";
const NO_MEMORY: &str = "memory allocation of";

/// A child that runs.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// What it printed last.
    last_words: Arc<Mutex<String>>,
    listener: JoinHandle<()>,
}

/// Why the host lets go of a child.
#[derive(Debug)]
pub(super) enum End {
    /// The link is of no use any more; mostly because the child is gone.
    Link(LinkError),
    /// It does not answer.
    Hung,
    /// Nobody needs it.
    Dropped,
}

// === impl Process ===

impl Process {
    /// Starts the child of a provider; the stream is the host's end of its socket.
    pub(super) async fn start(
        provider: &ProviderName,
        redactor: Redactor,
        io: &Handle,
    ) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let ours = UnixStream::from_std(ours)?;
        let (output, input) = io::pipe()?;
        let child = spawn(provider, theirs.into(), input, io).await?;
        let output = pipe::Receiver::from_owned_fd(output.into())?;
        let last_words = Arc::new(Mutex::default());
        let listener = Listener {
            provider: provider.clone(),
            redactor,
            last_words: last_words.clone(),
            told: 0,
        };
        let process = Self {
            child,
            last_words,
            listener: io.spawn(listener.listen(output)),
        };
        Ok((process, ours))
    }

    /// Ends it, if it has not ended by itself, and tells why.
    pub(super) async fn end(mut self, end: &End, memory_max: u64) -> String {
        let said = match end {
            End::Link(LinkError::Closed | LinkError::Io(_)) => {
                if let Ok(Ok(status)) = timeout(END_MAX, self.child.wait()).await {
                    let _ = timeout(WORDS_MAX, &mut self.listener).await;
                    let words = self.last_words.lock();
                    let words = words.unwrap_or_else(PoisonError::into_inner);
                    return told(status, &words, memory_max);
                }
                "the plugin's process closed its socket; it was ended".to_owned()
            }
            End::Link(error) => format!("the plugin's process was ended: {error}"),
            End::Hung => "the plugin hangs; its process was ended".to_owned(),
            End::Dropped => "the plugin's process is no longer needed".to_owned(),
        };
        // An error means that it is gone already.
        let _ = self.child.kill().await;
        said
    }
}

/// How a child ended by itself, its words about it included.
fn told(status: ExitStatus, words: &str, memory_max: u64) -> String {
    let Some(signal) = status.signal() else {
        let code = status.code().unwrap_or_default();
        return format!("the plugin crashed: its process exited with code {code}");
    };
    if signal == libc::SIGABRT && words.contains(NO_MEMORY) {
        return format!(
            "the plugin crashed: its process ran out of its memory limit of {} MiB",
            memory_max / (1024 * 1024)
        );
    }
    let stack = if words.contains(FULL_STACK) {
        "its stack overflowed, and "
    } else {
        ""
    };
    let hint = match signal {
        libc::SIGKILL => "; when nobody did it, the machine ran out of memory",
        _ => "",
    };
    format!(
        "the plugin crashed: {stack}its process was ended by {}{hint}",
        name_of(signal)
    )
}

fn name_of(signal: i32) -> String {
    let name = match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGILL => "SIGILL",
        libc::SIGKILL => "SIGKILL",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSYS => "SIGSYS",
        libc::SIGTRAP => "SIGTRAP",
        other => return format!("signal {other}"),
    };
    format!("signal {signal} ({name})")
}

/// Starts the program once more, by the thread that starts all children.
///
/// Linux sends a child its death signal when the *thread* that made it ends, and threads of a
/// runtime come and go; this one lives as long as the process.
async fn spawn(
    provider: &ProviderName,
    socket: OwnedFd,
    output: io::PipeWriter,
    io: &Handle,
) -> io::Result<Child> {
    type Job = Box<dyn FnOnce() + Send>;
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

    let spawner = match SPAWNER.get() {
        Some(spawner) => spawner,
        None => {
            let (jobs, work) = mpsc::channel::<Job>();
            let thread = std::thread::Builder::new().name("plugin processes".to_owned());
            thread.spawn(move || work.into_iter().for_each(|job| job()))?;
            // Of two that were started at once, the second ends with its channel.
            SPAWNER.get_or_init(|| jobs)
        }
    };
    let (done, child) = tokio::sync::oneshot::channel();
    let (name, io) = (provider.to_string(), io.clone());
    let job = move || {
        let _context = io.enter();
        let _ = done.send(command(&name, socket, output).and_then(|mut it| it.spawn()));
    };
    let gone = || io::Error::other("the thread that starts processes is gone");
    spawner.send(Box::new(job)).map_err(|_| gone())?;
    child.await.map_err(|_| gone())?
}

/// Nothing of ours goes with it: no variable, since they hold keys, no file, no folder.
fn command(provider: &str, socket: OwnedFd, output: io::PipeWriter) -> io::Result<Command> {
    let mut command = Command::new(program()?);
    command
        .arg0("scanhost")
        .args([super::ARGUMENT, provider])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(output))
        // A signal from the terminal is the host's to act on.
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// This program, even where its file was replaced since it started.
fn program() -> io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() {
        return Ok(running);
    }
    std::env::current_exe()
}

/// Tells what a child prints: a plugin's print is never the host's output.
struct Listener {
    provider: ProviderName,
    redactor: Redactor,
    last_words: Arc<Mutex<String>>,
    told: u32,
}

// === impl Listener ===

impl Listener {
    async fn listen(mut self, mut output: pipe::Receiver) {
        let mut line = Vec::new();
        let mut chunk = [0; LINE_MAX];
        loop {
            let read = match output.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            for byte in &chunk[..read] {
                if *byte == b'\n' || line.len() == LINE_MAX {
                    self.hear(&line);
                    line.clear();
                }
                if *byte != b'\n' {
                    line.push(*byte);
                }
            }
        }
        self.hear(&line);
    }

    fn hear(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line: String = line
            .chars()
            .map(|char| if is_unprintable(char) { ' ' } else { char })
            .collect();
        let line = self.redactor.redact_line(line.trim());
        if line.is_empty() {
            return;
        }
        self.told = self.told.saturating_add(1);
        let provider = self.provider.as_str();
        if self.told <= LINES_MAX {
            tracing::warn!(
                provider,
                "the plugin of provider `{provider}` prints: {line}"
            );
        }
        if self.told == LINES_MAX {
            tracing::warn!(
                provider,
                "the plugin of provider `{provider}` prints too much; the rest is left out"
            );
        }
        let mut last = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The standard library says more behind the line that tells what happened.
        if ![FULL_STACK, NO_MEMORY].iter().any(|it| last.contains(it)) {
            *last = line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn an_end_is_told_by_its_name() {
        let check = |status: i32, words: &str, expected: &str| {
            let said = told(ExitStatus::from_raw(status), words, 64 * MIB);
            assert_eq!(said, format!("the plugin crashed: {expected}"));
        };
        check(0, "", "its process exited with code 0");
        check(7 << 8, "", "its process exited with code 7");
        check(11, "", "its process was ended by signal 11 (SIGSEGV)");
        check(64, "", "its process was ended by signal 64");
        check(6, "panicked", "its process was ended by signal 6 (SIGABRT)");
        check(
            6,
            "memory allocation of 8 bytes failed",
            "its process ran out of its memory limit of 64 MiB",
        );
        check(
            6,
            "thread 'main' has overflowed its stack",
            "its stack overflowed, and its process was ended by signal 6 (SIGABRT)",
        );
        check(
            9,
            "",
            "its process was ended by signal 9 (SIGKILL); when nobody did it, the machine ran out \
             of memory",
        );
    }

    #[test]
    fn only_so_much_of_what_is_printed_is_kept() {
        let last_words: Arc<Mutex<String>> = Arc::default();
        let mut listener = Listener {
            provider: "p".into(),
            redactor: Redactor::default(),
            last_words: last_words.clone(),
            told: 0,
        };
        listener.hear(&[b'x'; 5_000]);
        assert!(last_words.lock().unwrap().len() < 400);
        listener.hear(b"\x1b[31mthread has overflowed its stack\xff\r");
        listener.hear(b"fatal runtime error: stack overflow");
        let words = last_words.lock().unwrap().clone();
        assert!(words.contains(FULL_STACK), "{words}");
        assert!(!words.chars().any(char::is_control), "{words}");
    }
}
