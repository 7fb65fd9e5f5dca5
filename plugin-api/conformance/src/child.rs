//! A check in a process of its own, so that a crash, a hang or a stray word is its own failure.
//!
//! The child writes the verdict to its standard output between two marks, and the marks to its
//! standard error as well; what stands between them beside is the plugin's.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::check::Verdict;
use crate::stopwatch::Stopwatch;

/// The variable by which a child knows which check it is.
pub const CHILD_VARIABLE: &str = "SCANHOST_CONFORMANCE_CHILD";
/// Longest time that a check may take.
pub const LIMIT: Duration = Duration::from_secs(60);

const BEGIN: &str = "\u{1}conformance begin\u{1}";
const END: &str = "\u{1}conformance end\u{1}";
/// How often a running child is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Longest wait for what a child that ended has written.
const REST: Duration = Duration::from_secs(2);
/// Longest piece of a plugin's words that a verdict quotes.
const QUOTE_MAX: usize = 300;

/// Whether this process is the child for a check.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a test is told by its environment alone that it is the child"
)]
pub fn is_child_for(id: &str) -> bool {
    std::env::var(CHILD_VARIABLE).is_ok_and(|value| value == id)
}

/// In the child: runs the check and tells what came of it.
///
/// # Errors
///
/// Nobody listens any more.
pub fn tell(run: impl FnOnce() -> Verdict) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    write_line(&mut out, BEGIN)?;
    write_line(&mut std::io::stderr(), BEGIN)?;
    let verdict = run();
    let verdict = serde_json::to_string(&verdict)?;
    write_line(&mut std::io::stderr(), END)?;
    write_line(&mut out, &format!("{END}{verdict}"))
}

/// Runs a command that is a child for `id`, and reads what it [told](tell).
#[must_use]
pub fn run(mut command: Command, id: &str, limit: Duration) -> Verdict {
    command
        .env(CHILD_VARIABLE, id)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Verdict::Skipped(format!("failed to start a process: {error}")),
    };
    match wait(child, limit) {
        Ok(ended) => judge(id, &ended),
        Err(error) => Verdict::Skipped(format!("failed to look after a process: {error}")),
    }
}

/// How a child ended, and what it wrote.
struct Ended {
    /// `None` was killed by us, for taking too long.
    status: Option<ExitStatus>,
    limit: Duration,
    stdout: String,
    stderr: String,
}

fn wait(mut child: Child, limit: Duration) -> std::io::Result<Ended> {
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let watch = Stopwatch::start();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if watch.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(LOOK);
    };
    // A grandchild may hold the pipes open for ever; then what came so far is lost.
    let text = |bytes: mpsc::Receiver<Vec<u8>>| {
        let bytes = bytes.recv_timeout(REST).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Ended {
        status,
        limit,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read before it broke off counts.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = send.send(bytes);
    });
    receive
}

fn judge(id: &str, ended: &Ended) -> Verdict {
    let Some(status) = ended.status else {
        return Verdict::Failed(format!(
            "it hangs: no verdict within {} s{}",
            ended.limit.as_secs(),
            words_of(&ended.stderr)
        ));
    };
    let verdict = ended.stdout.lines().find_map(|line| line.split_once(END));
    let verdict = verdict.and_then(|(_, verdict)| serde_json::from_str(verdict).ok());
    let Some(verdict) = verdict else {
        return Verdict::Failed(format!(
            "its process {} before there was a verdict{}",
            how(status),
            words_of(&ended.stderr)
        ));
    };
    let verdict = match verdict {
        // A test harness ends with a failure of its own where the check fails; that is no crash.
        verdict @ (Verdict::Failed(_) | Verdict::Skipped(_)) => return verdict,
        verdict @ Verdict::Passed(_) => verdict,
    };
    if !status.success() {
        return Verdict::Failed(format!(
            "its process {} after all was done{}",
            how(status),
            words_of(&ended.stderr)
        ));
    }
    if id == "C19" {
        for (stream, text) in [("output", &ended.stdout), ("error", &ended.stderr)] {
            let written = between(text).trim();
            if !written.is_empty() {
                let written: String = written.chars().take(QUOTE_MAX).collect();
                return Verdict::Failed(format!(
                    "it writes to standard {stream}: {written:?}; use `Host::log`"
                ));
            }
        }
    }
    verdict
}

/// What stands between the marks.
fn between(text: &str) -> &str {
    let after = text.split_once(BEGIN).map_or("", |(_, after)| after);
    after.split_once(END).map_or(after, |(between, _)| between)
}

/// The last line that it wrote, for the end of a sentence.
fn words_of(stderr: &str) -> String {
    let lines = between(stderr).lines().map(str::trim);
    let last = lines.rev().find(|line| !line.is_empty());
    last.map_or_else(String::new, |line| {
        let line: String = line.chars().take(QUOTE_MAX).collect();
        format!(": {line}")
    })
}

/// How a process ended, for people.
#[must_use]
pub fn how(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return match signal_name(signal) {
            Some(name) => format!("was ended by signal {signal} ({name})"),
            None => format!("was ended by signal {signal}"),
        };
    }
    match status.code() {
        Some(code) => format!("ended with exit code {code}"),
        None => "ended".to_owned(),
    }
}

/// Signals that end programs; the numbers are those of Linux and macOS where both agree.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ if cfg!(target_os = "linux") && signal == 7 => "SIGBUS",
        _ if cfg!(target_os = "linux") && signal == 24 => "SIGXCPU",
        _ if cfg!(target_os = "linux") && signal == 31 => "SIGSYS",
        _ => return None,
    })
}

fn write_line(stream: &mut impl Write, line: &str) -> std::io::Result<()> {
    // A line of its own, whatever was written before it.
    stream.write_all(format!("\n{line}\n").as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn verdict_of(script: &str, id: &str) -> Verdict {
        run(shell(script), id, LIMIT)
    }

    fn marks(before: &str, after: &str) -> String {
        let passed = serde_json::to_string(&Verdict::Passed("seen".into())).unwrap();
        format!(
            "printf '\\n{BEGIN}\\n'; printf '\\n{BEGIN}\\n' >&2; {before}; \
             printf '\\n{END}\\n' >&2; printf '\\n{END}{passed}\\n'; {after}"
        )
    }

    #[test]
    fn a_verdict_is_read_between_other_lines() {
        let script = format!("echo running 1 test; {}", marks("true", "echo test ok"));
        assert_eq!(verdict_of(&script, "C01"), Verdict::Passed("seen".into()));
        assert_eq!(verdict_of(&script, "C19"), Verdict::Passed("seen".into()));
    }

    #[test]
    fn a_child_knows_its_check() {
        let script = format!(
            "[ \"${CHILD_VARIABLE}\" = C07 ] && {{ {}; }}",
            marks("true", "true")
        );
        assert_eq!(verdict_of(&script, "C07"), Verdict::Passed("seen".into()));
        let Verdict::Failed(why) = verdict_of(&script, "C08") else {
            panic!("it said nothing");
        };
        assert!(why.contains("exit code 1"), "{why}");
    }

    #[test]
    fn a_crash_is_told_by_its_signal() {
        let why = |script: &str| match verdict_of(script, "C01") {
            Verdict::Failed(why) => why,
            other => panic!("{other:?}"),
        };
        let crash = format!("printf '{BEGIN}\\nlast words\\n' >&2; kill -SEGV $$");
        let told = why(&crash);
        assert!(told.contains("signal 11 (SIGSEGV)"), "{told}");
        assert!(told.ends_with(": last words"), "{told}");
        // Also once the verdict is out: something in it runs on.
        let late = why(&marks("true", "kill -ABRT $$"));
        assert!(late.contains("(SIGABRT) after all was done"), "{late}");
        let early = why("exit 0");
        assert!(
            early.contains("exit code 0 before there was a verdict"),
            "{early}"
        );
    }

    #[test]
    fn a_hang_ends_with_the_limit() {
        let limit = Duration::from_millis(200);
        let verdict = run(shell("exec sleep 600"), "C17", limit);
        let Verdict::Failed(why) = verdict else {
            panic!("{verdict:?}");
        };
        assert!(why.starts_with("it hangs"), "{why}");
    }

    #[test]
    fn stray_words_fail_the_check_of_silence_alone() {
        for stream in ["", ">&2"] {
            let script = marks(&format!("echo debugging {stream}"), "true");
            assert_eq!(verdict_of(&script, "C01"), Verdict::Passed("seen".into()));
            let Verdict::Failed(why) = verdict_of(&script, "C19") else {
                panic!("it was not noticed");
            };
            assert!(why.contains("\"debugging\""), "{why}");
        }
    }
}
