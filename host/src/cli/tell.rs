//! What is told on standard error beside the log, in the log's own form: a collector that was
//! promised JSON is to meet nothing else.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::config::{Finding, LogFormat};

/// Of the process, as the log is; text until a configuration says otherwise.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// The members that a line of the log has too.
#[derive(Debug, Serialize)]
struct Line<'l> {
    timestamp: &'l str,
    level: &'l str,
    message: &'l str,
    target: &'l str,
}

/// From now on in this form, also what a panic says.
pub(super) fn in_form(format: LogFormat) {
    let is_json = format == LogFormat::Json;
    if is_json && !IS_JSON.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|panic| write(&json("ERROR", &panic.to_string()))));
    }
}

/// One line.
pub(super) fn say(line: &str) {
    tell("INFO", "", line);
}

/// Where the program is in its life.
pub(super) fn announce(message: &str) {
    tell("INFO", "scanhost: ", message);
}

/// Something that the operator should look at.
pub(super) fn caution(message: &str) {
    tell("WARN", "warning: ", message);
}

/// Why the command failed.
pub(super) fn complain(message: &str) {
    tell("ERROR", "scanhost: ", message);
}

/// Warnings.
pub(super) fn warn(findings: &[Finding]) {
    for finding in findings {
        caution(&finding.to_string());
    }
}

/// Whatever the log's level is: this was said before there was a log, and stays.
fn tell(level: &str, prefix: &str, message: &str) {
    if IS_JSON.load(Ordering::Relaxed) {
        write(&json(level, message));
    } else {
        write(&format!("{prefix}{message}\n"));
    }
}

/// In one piece, so that no line of the log gets between. If it is closed, there is nobody to tell.
fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn json(level: &str, message: &str) -> String {
    let mut timestamp = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let line = Line {
        timestamp: &timestamp,
        level,
        message,
        target: "scanhost::cli",
    };
    let mut text = serde_json::to_string(&line).expect("strings are JSON");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_many_lines_is_one_line_of_json() {
        let line = json("WARN", "a \"b\"\n  c");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "a \"b\"\n  c");
        let at: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(at.as_second() > 0);
    }
}
