//! `scanhost plugins list`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::context::{Context, caution, executable_dir, say};
use super::super::output::{self, Format, Out, Table, json_line};
use super::super::{CliError, Exit};
use crate::config::Config;
use crate::model::PluginName;
use crate::plugin::{Catalog, PluginError, PluginFile, audit};
use crate::pool::assemble;

const COLUMNS: [&str; 11] = [
    "name",
    "version",
    "state",
    "abi",
    "capabilities",
    "networks",
    "sha256",
    "imports",
    "path",
    "error_code",
    "error_message",
];

/// A file in one of the folders.
#[derive(Debug, Default, Serialize)]
struct Line {
    name: Option<String>,
    version: Option<String>,
    /// `usable`, `shadowed` or `refused`.
    state: &'static str,
    abi: Option<String>,
    capabilities: Vec<String>,
    networks: Vec<String>,
    sha256: Option<String>,
    /// What no plugin needs.
    imports: Vec<String>,
    path: String,
    error_code: Option<&'static str>,
    error_message: Option<String>,
}

pub(super) fn run(format: Format, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load_or_default()?;
    let plugins = &loaded.config.plugins;
    let mut folders = plugins.folders(&executable_dir());
    if plugins.dirs.is_none() {
        // Nobody asked for the default folders; one that is not there is no oddity.
        folders.retain(|folder| folder.is_dir());
    }
    let lines = lines(&loaded.config, &folders);
    if lines.is_empty() {
        let folders: Vec<_> = folders.iter().map(|it| it.display().to_string()).collect();
        let folders = folders.join(", ");
        say(&format!(
            "there is no plugin in {folders}; put plugin files there, or set `dirs` in [plugins]"
        ));
    }
    let mut out = output::stdout();
    match format {
        Format::Json => lines
            .iter()
            .try_for_each(|line| json_line(&mut out, line))?,
        Format::Csv => print_csv(&lines, &mut out)?,
        Format::Table if lines.is_empty() => {}
        Format::Table => print_table(&lines, &mut out)?,
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn lines(config: &Config, folders: &[PathBuf]) -> Vec<Line> {
    let trust = assemble::trust(config);
    let mut first: BTreeMap<PluginName, PathBuf> = BTreeMap::new();
    let mut lines = Vec::new();
    for folder in folders {
        let catalog = Catalog::scan(std::slice::from_ref(folder), &trust);
        for remark in catalog.errors.iter().chain(&catalog.warnings) {
            caution(&remark.to_string());
        }
        for file in catalog.iter() {
            let name = &file.manifest.name;
            lines.push(Line::usable(file, first.get(name).map(PathBuf::as_path)));
            first
                .entry(name.clone())
                .or_insert_with(|| file.path.clone());
        }
        lines.extend(catalog.refused.iter().map(Line::refused));
    }
    lines
}

// === impl Line ===

impl Line {
    fn usable(file: &PluginFile, hidden_by: Option<&Path>) -> Self {
        let manifest = &file.manifest;
        let hidden = hidden_by.map(|path| format!("not used: `{}` comes first", path.display()));
        let imports =
            (!file.imports.is_empty()).then(|| format!("imports {}", audit::told(&file.imports)));
        let message: Vec<_> = hidden.iter().chain(&imports).cloned().collect();
        Self {
            name: Some(manifest.name.to_string()),
            version: Some(manifest.version.clone()),
            state: if hidden.is_some() {
                "shadowed"
            } else {
                "usable"
            },
            abi: Some(file.abi.clone()),
            capabilities: manifest.capabilities.clone(),
            networks: manifest.networks.clone(),
            sha256: Some(format!("sha256:{}", file.sha256)),
            imports: file.imports.iter().map(|it| it.name.clone()).collect(),
            path: file.path.display().to_string(),
            error_code: None,
            error_message: (!message.is_empty()).then(|| message.join("; ")),
        }
    }

    fn refused(error: &PluginError) -> Self {
        Self {
            state: "refused",
            path: error.path.display().to_string(),
            error_code: Some(error.code.as_str()),
            error_message: Some(error.message.clone()),
            ..Self::default()
        }
    }
}

fn print_csv(lines: &[Line], out: &mut Out) -> Result<(), CliError> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for line in lines {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        writer.write_record([
            text(&line.name),
            text(&line.version),
            line.state.to_owned(),
            text(&line.abi),
            line.capabilities.join(" "),
            line.networks.join(" "),
            text(&line.sha256),
            line.imports.join(" "),
            line.path.clone(),
            line.error_code.unwrap_or_default().to_owned(),
            text(&line.error_message),
        ])?;
    }
    Ok(writer.flush()?)
}

fn print_table(lines: &[Line], out: &mut Out) -> Result<(), CliError> {
    let mut table = Table::new(&[
        "NAME", "VERSION", "ABI", "READS", "NETWORKS", "SHA256", "PATH", "NOTE",
    ]);
    for line in lines {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let hash = line.sha256.as_deref().unwrap_or("-");
        let hash = hash.trim_start_matches("sha256:");
        let note = match (line.error_code, &line.error_message) {
            (Some(code), Some(message)) => format!("refused: {message} [{code}]"),
            (_, message) => message.clone().unwrap_or_default(),
        };
        table.row(vec![
            text(&line.name),
            text(&line.version),
            text(&line.abi),
            line.capabilities.join(", "),
            line.networks.join(", "),
            hash.chars().take(12).collect(),
            line.path.clone(),
            note,
        ]);
    }
    table.print(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Env};

    #[test]
    fn refused_files_are_listed_with_their_reason() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("text.so"), "hello").unwrap();
        std::fs::write(folder.path().join("readme.txt"), "hello").unwrap();
        let file = Path::new("scanhost.toml");
        let loaded = config::load_text(file, "", &Env::default()).unwrap();
        let lines = lines(&loaded.config, &[folder.path().to_owned()]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0].state, "refused");
        assert_eq!(lines[0].error_code, Some("not_a_library"));
    }

    #[test]
    fn csv_and_json_have_the_same_columns() {
        let line = serde_json::to_value(Line::default()).unwrap();
        let fields = line.as_object().unwrap();
        assert_eq!(fields.len(), COLUMNS.len());
        assert!(COLUMNS.iter().all(|column| fields.contains_key(*column)));
    }
}
