//! What the operator allows of plugin files.

use std::collections::BTreeMap;

use super::audit::told;
use super::{ErrorCode, PluginError, PluginFile};
use crate::model::PluginName;

/// Which files may be loaded, beside what holds for every file.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The only file of a plugin, by its hash: 64 hex digits.
    pub pins: BTreeMap<PluginName, String>,
    /// A plugin that imports what the host does for it is loaded all the same.
    pub allow_imports: bool,
}

impl Trust {
    /// Refuses a file that is not allowed.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::HashMismatch`] or [`ErrorCode::Imports`].
    pub fn check(&self, file: &PluginFile) -> Result<(), PluginError> {
        let name = normal(&file.manifest.name);
        let mut pins = self.pins.iter();
        if let Some((_, pin)) = pins.find(|(pinned, _)| normal(pinned) == name) {
            file.check_pin(pin)?;
        }
        if self.allow_imports || file.imports.is_empty() {
            return Ok(());
        }
        let message = format!(
            "it imports {}, which no plugin needs, since the host does all of it; get a build \
             without, or allow it by `imports = \"warn\"` in [plugins]",
            told(&file.imports)
        );
        Err(PluginError::new(ErrorCode::Imports, &file.path, message))
    }
}

/// `-` and `_` are the same in names.
fn normal(name: &PluginName) -> String {
    name.as_str().to_ascii_lowercase().replace('-', "_")
}
