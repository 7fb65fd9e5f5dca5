//! The plugins that lie in the configured folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{PluginError, PluginFile, Trust};
use crate::model::PluginName;

/// What was found, by name, and what was not usable.
#[derive(Debug, Default)]
pub struct Catalog {
    found: BTreeMap<PluginName, PluginFile>,
    /// Files that look like libraries and are no plugins for this host.
    pub refused: Vec<PluginError>,
    /// The plugins whose file was refused although it can be read.
    refused_names: BTreeMap<PluginName, PluginError>,
    /// Oddities that the operator should know: shadowed files, absent folders.
    pub warnings: Vec<String>,
    /// Mistakes that nobody can decide but the operator: one name twice in a folder.
    pub errors: Vec<String>,
    folders: Vec<PathBuf>,
}

impl Catalog {
    /// Reads the folders in order; no code of any plugin runs.
    #[must_use]
    pub fn scan(folders: &[PathBuf], trust: &Trust) -> Self {
        let mut catalog = Self {
            folders: folders.to_vec(),
            ..Self::default()
        };
        for folder in folders {
            catalog.scan_folder(folder, trust);
        }
        catalog
    }

    /// The plugin of that name.
    #[must_use]
    pub fn get(&self, name: &PluginName) -> Option<&PluginFile> {
        self.found.get(name)
    }

    /// All plugins, by name.
    pub fn iter(&self) -> impl Iterator<Item = &PluginFile> {
        self.found.values()
    }

    /// The refused file that is the plugin of that name, or probably is, by its file name.
    #[must_use]
    pub fn refused_as(&self, name: &PluginName) -> Option<&PluginError> {
        let mut refused = self.refused.iter();
        self.refused_names
            .get(name)
            .or_else(|| refused.find(|error| likely_named(&error.path, name)))
    }

    /// A sentence for a name that is not there: what is, where was looked, what is close.
    #[must_use]
    pub fn not_found(&self, name: &PluginName) -> String {
        let folders: Vec<_> = self
            .folders
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let folders = folders.join(", ");
        if let Some(refused) = self.refused_as(name) {
            return format!("plugin `{name}` was refused: {refused}");
        }
        let names: Vec<_> = self.found.keys().map(PluginName::as_str).collect();
        let close = names
            .iter()
            .map(|known| (strsim::jaro_winkler(known, name.as_str()), known))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = match (close, names.as_slice()) {
            (Some((_, known)), _) => format!("; did you mean `{known}`?"),
            (None, []) => "; there is no plugin in them".to_owned(),
            (None, names) => format!("; there are: {}", names.join(", ")),
        };
        format!("unknown plugin `{name}` (looked in {folders}){hint}")
    }

    fn scan_folder(&mut self, folder: &Path, trust: &Trust) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.warnings
                    .push(format!("plugin folder `{}`: {error}", folder.display()));
                return;
            }
        };
        let mut paths: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_library(path))
            .collect();
        paths.sort();
        let mut here: BTreeMap<PluginName, PluginFile> = BTreeMap::new();
        for path in paths {
            let file = PluginFile::read(&path).and_then(|file| {
                let allowed = trust.check(&file);
                if let Err(error) = &allowed {
                    let name = file.manifest.name.clone();
                    let names = self.refused_names.entry(name);
                    names.or_insert_with(|| error.clone());
                }
                allowed.map(|()| file)
            });
            let file = match file {
                Ok(file) => file,
                Err(error) => {
                    self.refused.push(error);
                    continue;
                }
            };
            if let Some(other) = here.get(&file.manifest.name) {
                self.errors.push(format!(
                    "plugin `{}` lies twice in one folder: `{}` and `{}`; remove one",
                    file.manifest.name,
                    other.path.display(),
                    file.path.display(),
                ));
                continue;
            }
            here.insert(file.manifest.name.clone(), file);
        }
        for (name, file) in here {
            if let Some(first) = self.found.get(&name) {
                self.warnings.push(format!(
                    "plugin `{name}` at `{}` is not used: `{}` comes first",
                    file.path.display(),
                    first.path.display(),
                ));
                continue;
            }
            self.found.insert(name, file);
        }
    }
}

fn is_library(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "so" || extension == "dylib")
}

/// Whether a refused file is probably the plugin that is asked for, by its file name.
fn likely_named(path: &Path, name: &PluginName) -> bool {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    stem.replace('_', "-").ends_with(name.as_str())
}
