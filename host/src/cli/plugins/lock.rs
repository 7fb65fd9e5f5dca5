//! `scanhost plugins lock`: pins what lies in the plugin folders, or says what has changed since.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::super::context::{Context, caution, executable_dir};
use super::super::output;
use super::super::{CliError, Exit};
use crate::config::{Pin, lock};
use crate::model::PluginName;
use crate::plugin::{Catalog, Trust};
use crate::pool::assemble;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Write nothing; exit 2 where the folders hold something else than the lock file says
    #[arg(long)]
    check: bool,
    /// Forget the pins of plugins that are not found
    #[arg(long, conflicts_with = "check")]
    prune: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load_unlocked()?;
    let path = lock::path_of(&loaded.file);
    let plugins = &loaded.config.plugins;
    let trust = Trust {
        pins: BTreeMap::new(),
        ..assemble::trust(&loaded.config)
    };
    let mut folders = plugins.folders(&executable_dir());
    if plugins.dirs.is_none() {
        // The default folders need not be there.
        folders.retain(|folder| folder.is_dir());
    }
    let catalog = Catalog::scan(&folders, &trust);
    for remark in catalog.errors.iter().chain(&catalog.warnings) {
        caution(remark);
    }
    for error in &catalog.refused {
        caution(&format!("not locked: {error}"));
    }
    let mut found = BTreeMap::new();
    for file in catalog.iter() {
        let mut hash = [0; 32];
        if hex::decode_to_slice(&file.sha256, &mut hash).is_ok() {
            found.insert(file.manifest.name.clone(), Pin(hash));
        }
    }
    let mut locked = lock::read(&path).map_err(|error| CliError::Usage(error.to_string()))?;
    if args.check {
        // As a start judges: the configuration's own pin counts first.
        for name in found.keys().cloned().collect::<Vec<_>>() {
            if let Some(pin) = plugins.pin(&name) {
                locked.insert(name, pin);
            }
        }
        return check(&path, &locked, &found);
    }
    // Without a pin any file would be taken, also one that is only away for the moment.
    let mut pins = match args.prune {
        true => BTreeMap::new(),
        false => locked.clone(),
    };
    for name in pins.keys().filter(|name| !found.contains_key(*name)) {
        caution(&format!(
            "`{name}` is not found; its pin stays, unless `--prune` is given"
        ));
    }
    pins.extend(found.clone());
    for (name, pin) in &found {
        if plugins
            .pin(name)
            .is_some_and(|configured| configured != *pin)
        {
            caution(&format!(
                "`{name}` has another pin in [plugins.pin], which counts before the lock file"
            ));
        }
    }
    write(&path, &pins)?;
    let mut out = output::stdout();
    for line in differences(&locked, &pins) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "wrote {}: {} plugins", path.display(), pins.len())?;
    out.flush()?;
    Ok(Exit::Done)
}

fn check(
    path: &Path,
    locked: &BTreeMap<PluginName, Pin>,
    found: &BTreeMap<PluginName, Pin>,
) -> Result<Exit, CliError> {
    let differ = differences(locked, found);
    if differ.is_empty() {
        let mut out = output::stdout();
        writeln!(
            out,
            "{}: {} plugins, as locked",
            path.display(),
            found.len()
        )?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    Err(CliError::Usage(format!(
        "{}: {}; if that is your own change, run `scanhost plugins lock`",
        path.display(),
        differ.join("; ")
    )))
}

/// What is not as it was, by name.
fn differences(before: &BTreeMap<PluginName, Pin>, now: &BTreeMap<PluginName, Pin>) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let told = |name: &&PluginName| match (before.get(*name), now.get(*name)) {
        (None, Some(pin)) => Some(format!("`{name}` is new: {pin}")),
        (Some(_), None) => Some(format!("`{name}` is gone")),
        (Some(before), Some(now)) if before != now => {
            Some(format!("`{name}` has changed: {before} is now {now}"))
        }
        _ => None,
    };
    names.iter().filter_map(told).collect()
}

/// Puts the file there as a whole, whatever happens in between.
fn write(path: &Path, pins: &BTreeMap<PluginName, Pin>) -> Result<(), CliError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut draft = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        draft.write_all(lock::text(pins).as_bytes())?;
        draft.as_file().sync_all()?;
        draft.persist(path)?;
        Ok(())
    };
    write().map_err(|error| {
        let told = path.display();
        CliError::Broken(format!("failed to write `{told}`: {error}"))
    })
}
