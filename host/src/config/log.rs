//! `[log]`: how much is told on stderr, and in which form.

use super::leaf::words;
use super::reader::Table;

/// `[log]`.
#[derive(Clone, Debug)]
pub struct Log {
    /// A level, or directives per target: `info,scanhost::gate=debug`. Default `info`.
    pub level: String,
    /// Default text.
    pub format: LogFormat,
}

words! {
    /// The form of a log line.
    LogFormat {
        /// For people.
        Text = "text",
        /// One object per line, for collectors.
        Json = "json",
    }
}

pub(super) fn read(mut table: Table<'_>) -> Option<Log> {
    let level = table.required::<String>("level");
    let format = table.required("format");
    if let Some(level) = &level
        && !is_filter(level)
    {
        table.wrong(
            "level",
            format_args!(
                "expected off, error, warn, info, debug, trace or directives like \
                 \"info,scanhost::gate=debug\", found {level:?}"
            ),
        );
    }
    table.finish();
    Some(Log {
        level: level?,
        format: format?,
    })
}

/// A lone word must be a level: the filter would take any other one for the name of a target.
fn is_filter(level: &str) -> bool {
    level.split(',').all(|directive| {
        let last = directive.rsplit('=').next().unwrap_or_default();
        last.parse::<tracing_subscriber::filter::LevelFilter>()
            .is_ok()
            && directive
                .parse::<tracing_subscriber::filter::Directive>()
                .is_ok()
    })
}
