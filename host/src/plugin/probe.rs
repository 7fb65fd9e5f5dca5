//! A plugin is loaded for a trial in a process of its own, before this one loads it.
//!
//! The dynamic loader runs a library's constructors, and what a library says of its own layout has to
//! be believed before it can be checked. One that crashes, ends the process or never comes back there
//! would take the host with it, and a constructor that hangs keeps the loader's lock for ever. What
//! the trial does not survive is an error with a name here.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use scanhost_abi::stamp::MANIFEST_MAX;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::loader::{Library, OTHER_MANIFEST};
use super::{ErrorCode, PluginError, PluginFile};

/// The first argument of the process that tries one library, named by the second.
pub(crate) const ARGUMENT: &str = "plugin-probe";
/// Longest wait for what runs when a library is loaded.
pub(super) const LOAD_MAX: Duration = Duration::from_secs(10);
/// More than a verdict takes, which has a manifest in it; the plugin may print too.
const OUTPUT_MAX: u64 = 4 * MANIFEST_MAX as u64;
/// What the verdict's line begins with.
const MARK: &str = "scanhost-probe ";

/// The program that makes the trial; without one, as in benches, there is none.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// What the trial found, as one line.
#[derive(Debug, Serialize, Deserialize)]
struct Verdict {
    /// The word of an [`ErrorCode`]; `None` is good.
    code: Option<String>,
    /// Why, or the manifest that the library tells.
    text: String,
}

/// From now on plugins are tried by this program first. The running one, whatever lies at its path.
pub(crate) fn by_this_program() {
    let running = Path::new("/proc/self/exe");
    let program = match running.exists() {
        true => Some(running.to_owned()),
        false => std::env::current_exe().ok(),
    };
    if let Some(program) = program {
        let _ = PROGRAM.set(program);
    }
}

/// The trial itself, in its own process: loads `library` and tells how it went.
pub(crate) fn run(library: Option<&OsStr>) -> ExitCode {
    let Some(library) = library.map(Path::new) else {
        return ExitCode::from(2);
    };
    let verdict = match Library::try_out(library) {
        Ok(manifest) => Verdict {
            code: None,
            text: manifest,
        },
        Err((code, text)) => Verdict {
            code: Some(code.as_str().to_owned()),
            text,
        },
    };
    let json = serde_json::to_string(&verdict).unwrap_or_default();
    // The plugin may have printed something that does not end its line.
    let told = writeln!(std::io::stdout(), "\n{MARK}{json}");
    match told.and_then(|()| std::io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Tries the private copy of `file`.
///
/// # Errors
///
/// The load step that failed, or how the trial ended.
pub(super) async fn probe(file: &PluginFile, copy: &Path) -> Result<(), PluginError> {
    let Some(program) = PROGRAM.get() else {
        return Ok(());
    };
    let fail = |code, message: String| PluginError::new(code, &file.path, message);
    let broken = |error: std::io::Error| {
        let message = format!("failed to try it in a process of its own: {error}");
        fail(ErrorCode::Link, message)
    };
    // The trial starts in another folder.
    let copy = std::path::absolute(copy).map_err(broken)?;
    // Nothing of ours goes there: keys may stand in the environment.
    let mut child = Command::new(program)
        .arg(ARGUMENT)
        .arg(copy)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(broken)?;
    let Some(stdout) = child.stdout.take() else {
        return Err(broken(std::io::ErrorKind::BrokenPipe.into()));
    };
    let trial = async {
        let mut said = Vec::new();
        stdout.take(OUTPUT_MAX).read_to_end(&mut said).await?;
        Ok::<_, std::io::Error>((said, child.wait().await?))
    };
    let tried = tokio::time::timeout(LOAD_MAX, trial).await;
    let Ok(tried) = tried else {
        return Err(fail(ErrorCode::LoadDeadline, overdue()));
    };
    let (said, status) = tried.map_err(broken)?;
    match verdict_of(&said) {
        Some(Verdict { code: None, text }) if text == file.manifest_json => Ok(()),
        Some(Verdict { code: None, .. }) => {
            Err(fail(ErrorCode::Descriptor, OTHER_MANIFEST.to_owned()))
        }
        Some(Verdict {
            code: Some(code),
            text,
        }) => Err(fail(
            ErrorCode::of_word(&code).unwrap_or(ErrorCode::Link),
            super::backend::clean(&text),
        )),
        None => {
            let message = format!(
                "its process {} while it was loaded for a trial; it is not loaded here",
                ending(status)
            );
            Err(fail(ErrorCode::LoadCrash, message))
        }
    }
}

/// Why a library that does not come back is not waited for.
pub(super) fn overdue() -> String {
    format!(
        "loading it did not end within {} s; what it runs at that moment must not wait for anything",
        LOAD_MAX.as_secs()
    )
}

fn verdict_of(said: &[u8]) -> Option<Verdict> {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().rev().find_map(|line| line.strip_prefix(MARK));
    serde_json::from_str(line?).ok()
}

/// For the middle of a sentence: `was ended by signal 11 (SIGSEGV)`.
fn ending(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        let code = status.code().unwrap_or_default();
        return format!("exited with code {code}");
    };
    let name = match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        _ => "",
    };
    format!("was ended by signal {signal}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_found_behind_whatever_the_plugin_printed() {
        let said = b"hello\n\nscanhost-probe {\"code\":\"layout\",\"text\":\"x\"}\n";
        let verdict = verdict_of(said).unwrap();
        assert_eq!(verdict.code.as_deref(), Some("layout"));
        let none = [
            &b""[..],
            b"scanhost-probe",
            b"scanhost-probe {}",
            b"\xff\xff\n",
        ];
        for none in none {
            assert!(verdict_of(none).is_none(), "{none:?}");
        }
    }

    #[test]
    fn each_ending_has_a_name() {
        let by_signal = |signal| ending(ExitStatus::from_raw(signal));
        assert_eq!(by_signal(11), "was ended by signal 11 (SIGSEGV)");
        assert_eq!(by_signal(15), "was ended by signal 15");
        assert_eq!(ending(ExitStatus::from_raw(0)), "exited with code 0");
    }
}
