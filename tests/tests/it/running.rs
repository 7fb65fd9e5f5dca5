//! The built binary while it runs.

use std::io::Read;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use scanhost_tests::product::{Product, Run};

/// A run that the test looks at, signals or kills.
pub(crate) struct Running {
    child: Mortal,
    stdin: Option<ChildStdin>,
    stdout: Option<Reader>,
    stderr: Reader,
}

/// A process that does not outlive the test, however that ends: a service would go on for ever, and
/// keep whatever its test had open.
struct Mortal(Child);

/// A stream that is read as it comes.
struct Reader {
    thread: JoinHandle<()>,
    read: Arc<Mutex<Vec<u8>>>,
}

impl Running {
    /// `scan --format json`.
    pub(crate) fn scan(product: &Product) -> Self {
        Self::start(product, &["scan", "--format", "json"])
    }

    pub(crate) fn start(product: &Product, arguments: &[&str]) -> Self {
        let mut it = Self::start_unread(product, arguments);
        it.read_on();
        it
    }

    /// Nobody reads the standard output before [`read_on`](Self::read_on): a long one stands still.
    pub(crate) fn start_unread(product: &Product, arguments: &[&str]) -> Self {
        Self::of(product.command(arguments))
    }

    /// As [`start_unread`](Self::start_unread), of a command that was made ready.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = Reader::new(child.stderr.take().expect("it is piped"), String::new());
        Self {
            stdin: child.stdin.take(),
            child: Mortal(child),
            stdout: None,
            stderr,
        }
    }

    /// The standard input, to be written and dropped.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("it is taken once")
    }

    /// Waits for the first byte of the result, and leaves the rest where it is.
    pub(crate) fn first_byte(&mut self) -> char {
        let stdout = self.child.0.stdout.as_mut().expect("nobody reads it yet");
        let mut first = [0];
        stdout.read_exact(&mut first).expect("there is a result");
        char::from(first[0])
    }

    /// Reads the result as it comes.
    pub(crate) fn read_on(&mut self) {
        self.read_on_after(String::new());
    }

    /// As [`read_on`](Self::read_on), after what was read already.
    pub(crate) fn read_on_after(&mut self, before: String) {
        let stdout = self.child.0.stdout.take().expect("nobody reads it yet");
        self.stdout = Some(Reader::new(stdout, before));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Bytes of standard error so far.
    pub(crate) fn told(&self) -> u64 {
        self.stderr.read.lock().map_or(0, |read| read.len() as u64)
    }

    /// What it said on standard error so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.so_far()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.child.0.try_wait().expect("it can be waited for");
        ended.is_some()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([name, &pid]).status();
        assert!(status.expect("kill is there").success());
    }

    /// SIGKILL; nothing happens to a run that ended.
    pub(crate) fn kill(&self) {
        let pid = self.pid().to_string();
        let killed = Command::new("kill")
            .args(["-KILL", &pid])
            .stderr(Stdio::null())
            .status();
        killed.expect("kill is there");
    }

    pub(crate) fn end(mut self) -> Run {
        drop(self.stdin.take());
        if self.stdout.is_none() {
            self.read_on();
        }
        let status = self.child.0.wait().expect("it ends");
        let stdout = self.stdout.expect("it is read since a moment ago");
        Run {
            code: status.code().unwrap_or(-1),
            stdout: stdout.whole(),
            stderr: self.stderr.whole(),
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Reader {
    fn new(mut stream: impl Read + Send + 'static, before: String) -> Self {
        let read = Arc::new(Mutex::new(before.into_bytes()));
        let bytes = read.clone();
        let thread = std::thread::spawn(move || {
            let mut some = [0; 8192];
            loop {
                match stream.read(&mut some).expect("a pipe can be read") {
                    0 => return,
                    length => {
                        let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                        bytes.extend_from_slice(&some[..length]);
                    }
                }
            }
        });
        Self { thread, read }
    }

    fn so_far(&self) -> String {
        let bytes = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn whole(self) -> String {
        self.thread.join().expect("reading does not panic");
        let bytes = std::mem::take(&mut *self.read.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8(bytes).expect("it is text")
    }
}
