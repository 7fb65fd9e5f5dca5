//! The line of the log that each attempt to load a plugin leaves, for whoever audits them.

use super::audit::told;
use super::{PluginError, PluginFile};

/// Tells of one attempt: which file, what it is, where it was to run, how many libraries of the plugin
/// the process has besides, and how that went.
pub(super) fn attempt(
    file: &PluginFile,
    isolation: &'static str,
    others: usize,
    error: Option<&PluginError>,
) {
    let imports = match file.imports.as_slice() {
        [] => "none".to_owned(),
        imports => told(imports),
    };
    let manifest = &file.manifest;
    let (name, version) = (manifest.name.as_str(), manifest.version.as_str());
    let result = error.map_or("loaded", |error| error.code.as_str());
    tracing::info!(
        target: "scanhost::plugin::load",
        plugin = name,
        version,
        path = %file.path.display(),
        sha256 = file.sha256,
        abi = file.abi,
        rustc = file.rustc,
        imports,
        isolation,
        others,
        result,
        "plugin `{name}` {version}: {}", error.map_or("loaded", |error| &error.message)
    );
}

/// Tells of one that was refused before anything of it could be run.
pub(crate) fn refused(plugin: &str, error: &PluginError) {
    tracing::info!(
        target: "scanhost::plugin::load",
        plugin,
        path = %error.path.display(),
        result = error.code.as_str(),
        "plugin `{plugin}`: {}", error.message
    );
}
